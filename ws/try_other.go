//go:build !unix

package ws

import "net"

// nonBlocking returns nil, because Go cannot write to sockets without blocking on this
// system. Instead, a client has a goroutine while messages are sent to it.
func nonBlocking(net.Conn) func(p []byte) (int, error) { return nil }
