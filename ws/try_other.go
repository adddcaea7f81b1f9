//go:build !unix

package ws

import "net"

// nonBlocking: where sockets cannot be written to without waiting, each client
// that is sent something has a goroutine for it meanwhile.
func nonBlocking(net.Conn) func(p []byte) (int, error) { return nil }
