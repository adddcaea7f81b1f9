//go:build unix

package sse

import (
	"syscall"
)

const writesWithoutWaiting = true

// tryWrite writes as much of b as the system accepts without waiting.
func tryWrite(c syscall.RawConn, b []byte) (n int, err error) {
	var failed error
	err = c.Write(func(fd uintptr) bool {
		for n < len(b) {
			m, err := syscall.Write(int(fd), b[n:])
			switch {
			case err == syscall.EINTR:
				continue
			case err == syscall.EAGAIN:
			case err != nil:
				failed = err
			default:
				n += m
				continue
			}
			break
		}
		return true
	})
	if err == nil {
		err = failed
	}
	return n, err
}
