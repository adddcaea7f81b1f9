package nodebus

import (
	"errors"
	"fmt"
)

// Errors that callers test for with [errors.Is].
var (
	ErrClosed      = errors.New("nodebus: closed")
	ErrSlow        = errors.New("nodebus: client is too slow")
	ErrReplaced    = errors.New("nodebus: replaced by a newer session")
	ErrNotFound    = errors.New("nodebus: not found")
	ErrInterrupted = errors.New("nodebus: interrupted")
	ErrDuplicate   = errors.New("nodebus: prompt id is in use")
	ErrFull        = errors.New("nodebus: queue is full")
	ErrBlocked     = errors.New("nodebus: blocked") // see Block
	ErrCycle       = errors.New("nodebus: nodes wait for each other in a ring")
)

// EncodeError says that a payload has no form on the wire: a NaN, a channel, a
// cycle, a failing or panicking marshaller. Only the call that sent it fails.
type EncodeError struct {
	Type string // the payload's Go type
	Err  error
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("nodebus: cannot encode %s: %v", e.Type, e.Err)
}

func (e *EncodeError) Unwrap() error { return e.Err }

func typeName(v any) string { return fmt.Sprintf("%T", v) }

// errorText is what an error says. The errors of nodes are foreign code: one
// whose Error panics, as that of a nil pointer may, is known by its type.
func errorText(err error) (text string) {
	defer func() {
		if recover() != nil {
			text = typeName(err)
		}
	}()
	return err.Error()
}

// asError is [errors.As] for the errors of nodes: one whose methods panic is
// none that is looked for, and neither is a nil pointer.
func asError[E interface {
	comparable
	error
}](err error) (found E, ok bool) {
	var none E
	defer func() {
		if recover() != nil {
			found, ok = none, false
		}
	}()
	ok = errors.As(err, &found) && found != none
	return found, ok
}
