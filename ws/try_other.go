//go:build !unix

package ws

import "net"

// nonBlocking: where sockets cannot be written to without waiting, each client
// has a goroutine for it.
func nonBlocking(net.Conn) func(p []byte) (int, error) { return nil }
