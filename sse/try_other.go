//go:build !unix

package sse

import (
	"errors"
	"syscall"
)

const writesWithoutWaiting = false

func tryWrite(syscall.RawConn, []byte) (int, error) { return 0, errors.ErrUnsupported }
