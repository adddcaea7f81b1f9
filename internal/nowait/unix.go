//go:build unix

package nowait

import (
	"errors"
	"net"
	"sync"
	"syscall"
)

// Writer is the socket of a connection.
type Writer struct{ raw syscall.RawConn }

func of(c net.Conn) *Writer {
	sc, ok := c.(syscall.Conn)
	if !ok {
		return nil
	}
	raw, err := sc.SyscallConn()
	if err != nil {
		return nil
	}
	return &Writer{raw}
}

// attempt holds the argument and the results of one system call.
type attempt struct {
	p    []byte
	n    int
	err  error
	call func(fd uintptr) bool
}

// attempts are shared, because most connections are idle.
var attempts = sync.Pool{New: func() any {
	a := &attempt{}
	a.call = func(fd uintptr) bool {
		a.n, a.err = syscall.Write(int(fd), a.p)
		return true // do not wait for room in the socket
	}
	return a
}}

func (w *Writer) write(p []byte) (n int, err error) {
	a := attempts.Get().(*attempt)
	defer attempts.Put(a)
	a.p = p
	err = w.raw.Write(a.call)
	a.p = nil
	switch {
	case err != nil:
		return 0, err
	case errors.Is(a.err, syscall.EAGAIN), errors.Is(a.err, syscall.EINTR):
		return 0, nil
	}
	return max(a.n, 0), a.err
}
