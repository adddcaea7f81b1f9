package flow

import (
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
)

// Errors that callers test for with [errors.Is].
var (
	// ErrFull refuses a prompt because the queue has no room.
	ErrFull = errors.New("nodebus: queue is full")
	// ErrDuplicate refuses a prompt whose id is in use.
	ErrDuplicate = errors.New("nodebus: prompt id is in use")
	// ErrSecrets refuses a prompt with secrets, because the queue cannot keep them.
	ErrSecrets = errors.New("nodebus: this queue does not keep secrets; submit the prompt without them")
	// ErrLapsed means that a lease has ended: the prompt may have been taken again.
	ErrLapsed = errors.New("nodebus: the lease has lapsed")
	// ErrNotFound means that nothing is known under a name or an id.
	ErrNotFound = errors.New("nodebus: not found")
	// ErrCycle ends a prompt whose nodes wait for each other in a ring.
	ErrCycle = errors.New("nodebus: nodes wait for each other in a ring")
)

func typeName(v any) string { return fmt.Sprintf("%T", v) }

// errorText returns the text of an error. Errors of nodes are foreign code: if Error
// panics, as a nil pointer may, the text is the error's type.
func errorText(err error) (text string) {
	if nodebus.Protect(func() error { text = err.Error(); return nil }) != nil {
		return typeName(err)
	}
	return text
}

// asError is [errors.As] for errors of nodes. It finds nothing if a method of the
// error panics, or if what it finds is a nil pointer.
func asError[E interface {
	comparable
	error
}](err error) (found E, ok bool) {
	var zero E
	if nodebus.Protect(func() error { ok = errors.As(err, &found); return nil }) != nil {
		return zero, false
	}
	return found, ok && found != zero
}

// orEmpty returns a list that is not nil: JSON has [] for it, not null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// promptError returns an error about a prompt as a whole.
func promptError(typ, message, details string) *nodebus.ValidationError {
	return &nodebus.ValidationError{Problem: problem(typ, message, details, map[string]any{})}
}

func problem(typ, message, details string, extra map[string]any) nodebus.Problem {
	return nodebus.Problem{Type: typ, Message: message, Details: details, Extra: extra}
}
