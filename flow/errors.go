package flow

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// These errors are for use with [errors.Is].
var (
	// ErrFull is returned if the queue has no room for a prompt, or if too many signals
	// are kept.
	ErrFull = errors.New("nodebus: queue is full")
	// ErrAnswer is returned if an answer does not fit the question.
	ErrAnswer = errors.New("nodebus: the answer does not fit the question")
	// ErrDuplicate is returned if the id of a prompt is in use.
	ErrDuplicate = errors.New("nodebus: prompt id is in use")
	// ErrSecrets is returned if a prompt has secrets and the queue cannot keep secrets.
	ErrSecrets = errors.New("nodebus: this queue does not keep secrets; submit the prompt without them")
	// ErrLapsed is returned if a lease has ended. The prompt may have been taken again.
	ErrLapsed = errors.New("nodebus: the lease has lapsed")
	// ErrNotFound is returned if nothing with the given name or id exists.
	ErrNotFound = errors.New("nodebus: not found")
	// ErrCycle is the error of a prompt whose nodes depend on each other in a cycle.
	ErrCycle = errors.New("nodebus: nodes wait for each other in a ring")
)

func typeName(v any) string { return fmt.Sprintf("%T", v) }

// errorText returns the text of an error, in the words of JSON where encoding/json names Go
// types. An error of a node is foreign code: if its method Error panics, for example on a nil
// pointer, errorText returns the type of the error.
func errorText(err error) (text string) {
	if nodebus.Protect(func() error { text = err.Error(); return nil }) != nil {
		return typeName(err)
	}
	_ = nodebus.Protect(func() error { text = jsonenc.Text(err); return nil })
	return text
}

// isAny reports whether err is one of targets. A panic of a foreign error counts as false.
func isAny(err error, targets ...error) (yes bool) {
	_ = nodebus.Protect(func() error {
		yes = slices.ContainsFunc(targets, func(target error) bool { return errors.Is(err, target) })
		return nil
	})
	return yes
}

// endsPrompt reports whether an error of a node ends the prompt at once, whatever its Policy
// says: the prompt neither continues after errors nor is attempted again.
func endsPrompt(err error) bool {
	return isAny(err, nodebus.ErrInterrupted, nodebus.ErrRefused)
}

// asError calls [errors.As] for an error of a node. ok is false if a method of the
// error panics, or if the found error is a nil pointer.
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

// joined returns the errors that [errors.Join] has joined to err; otherwise err alone. An error
// whose text says more than the errors inside is one error.
func joined(err error) (parts []error) {
	_ = nodebus.Protect(func() error {
		if list, ok := err.(interface{ Unwrap() []error }); ok {
			if parts = list.Unwrap(); errors.Join(parts...).Error() != err.Error() {
				parts = nil
			}
		}
		return nil
	})
	if len(parts) == 0 {
		return []error{err}
	}
	return parts
}

// orEmpty returns an empty list instead of nil, because JSON must contain [], not
// null.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// promptError returns an error about the whole prompt.
func promptError(typ, message, details string) *nodebus.ValidationError {
	return &nodebus.ValidationError{Problem: problem(typ, message, details, map[string]any{})}
}

func problem(typ, message, details string, extra map[string]any) nodebus.Problem {
	return nodebus.Problem{Type: typ, Message: message, Details: details, Extra: extra}
}

// protectedLogger returns a logger whose panics do no harm; nil is silent.
func protectedLogger(l *slog.Logger) *slog.Logger {
	if l == nil {
		return slog.New(slog.DiscardHandler)
	}
	if _, protected := l.Handler().(protectedHandler); protected {
		return l
	}
	return slog.New(protectedHandler{l.Handler()})
}

// protectedHandler passes records on. A panic of the handler is its error.
type protectedHandler struct{ next slog.Handler }

func (h protectedHandler) Enabled(ctx context.Context, level slog.Level) (yes bool) {
	_ = nodebus.Protect(func() error { yes = h.next.Enabled(ctx, level); return nil })
	return yes
}

func (h protectedHandler) Handle(ctx context.Context, r slog.Record) error {
	return nodebus.Protect(func() error { return h.next.Handle(ctx, r) })
}

func (h protectedHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return protectedHandler{h.next.WithAttrs(attrs)}
}

func (h protectedHandler) WithGroup(name string) slog.Handler {
	return protectedHandler{h.next.WithGroup(name)}
}

// apart is [nodebus.Protect] in a goroutine of its own, so that foreign code which calls
// runtime.Goexit does not end the caller.
func apart(f func() error) error {
	ended := make(chan error, 1)
	go func() {
		err := errForeignGoexit // unless Protect returns
		defer func() { ended <- err }()
		err = nodebus.Protect(f)
	}()
	return <-ended
}

var errForeignGoexit = errors.New("nodebus: foreign code ended its goroutine with runtime.Goexit")

// limit returns the value of an option: n, or byDefault if n is zero or less.
func limit[N int | time.Duration](n, byDefault N) N {
	if n <= 0 {
		return byDefault
	}
	return n
}
