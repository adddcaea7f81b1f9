//go:build !unix

package nowait

import (
	"errors"
	"net"
)

// Writer has no values, because Go cannot write to sockets without waiting on this system.
type Writer struct{}

func of(net.Conn) *Writer { return nil }

func (*Writer) write([]byte) (n int, err error) { return 0, errors.ErrUnsupported }
