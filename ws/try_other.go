//go:build !unix

package ws

import (
	"errors"
	"net"
)

// socket has no values, because Go cannot write to sockets without blocking on this
// system. Instead, a client has a goroutine while messages are sent to it.
type socket struct{}

func nonBlocking(net.Conn) *socket { return nil }

func (*socket) try([]byte) (n int, err error) { return 0, errors.ErrUnsupported }
