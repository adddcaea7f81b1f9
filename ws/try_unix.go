//go:build unix

package ws

import (
	"errors"
	"net"
	"syscall"
)

// nonBlocking returns how to write to c without waiting, or nil if c is not a
// socket itself, as with TLS.
func nonBlocking(c net.Conn) func(p []byte) (int, error) {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	var p []byte // the arguments and results of write, which is made once
	var n int
	var werr error
	write := func(fd uintptr) bool {
		n, werr = syscall.Write(int(fd), p)
		return true // do not wait until there is room
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
