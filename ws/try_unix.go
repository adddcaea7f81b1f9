//go:build unix

package ws

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// socket writes to a socket without waiting.
type socket struct{ raw syscall.RawConn }

// nonBlocking returns nil if c is not a socket, for example with TLS.
func nonBlocking(c net.Conn) *socket {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return &socket{raw}
}

// attempt holds the argument and the results of one system call.
type attempt struct {
	p    []byte
	n    int
	err  error
	call func(fd uintptr) bool
}

// attempts are shared, because most clients are idle.
var attempts = sync.Pool{New: func() any {
	a := &attempt{}
	a.call = func(fd uintptr) bool {
		a.n, a.err = syscall.Write(int(fd), a.p)
		return true // do not wait for room in the socket
	}
	return a
}}

// try writes as much of p as the socket takes now.
func (s *socket) try(p []byte) (n int, err error) {
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	a.p = p
	err = s.raw.Write(a.call)
	a.p = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(a.err, syscall.EAGAIN), errors.Is(a.err, syscall.EINTR):
		return 0, nil
	}
	return max(a.n, 0), a.err
}
