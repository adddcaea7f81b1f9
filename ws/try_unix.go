//go:build unix

package ws

import (
	"errors"
	"net"
	"syscall"
)

// nonBlocking returns a function that writes to c without blocking. It returns nil if
// c is not a socket, for example with TLS.
func nonBlocking(c net.Conn) func(p []byte) (int, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var p []byte // arguments and results of write; write is created once to avoid allocations
	var n int
	var werr error
	write := func(fd uintptr) bool {
		n, werr = syscall.Write(int(fd), p)
		return true // do not wait for room in the socket
	}
	return func(b []byte) (int, error) {
		p = b
		err := raw.Write(write)
		p = nil
		switch {
		case err != nil:
			return 0, err
		case errors.Is(werr, syscall.EAGAIN), errors.Is(werr, syscall.EINTR):
			return 0, nil
		}
		return max(n, 0), werr
	}
}
