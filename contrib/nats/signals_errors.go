package nats

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// kinds are the errors that errors.Is finds in an error of another process.
var kinds = []struct {
	name string
	err  error
}{
	{"answer", flow.ErrAnswer},
	{"full", flow.ErrFull},
	{"duplicate", flow.ErrDuplicate},
	{"secrets", flow.ErrSecrets},
	{"lapsed", flow.ErrLapsed},
	{"not_found", flow.ErrNotFound},
	{"cycle", flow.ErrCycle},
	{"closed", nodebus.ErrClosed},
	{"slow", nodebus.ErrSlow},
	{"unauthenticated", nodebus.ErrUnauthenticated},
	{"forbidden", nodebus.ErrForbidden},
	{"interrupted", nodebus.ErrInterrupted},
	{"no_address", nodebus.ErrNoAddress},
	{"expired", nodebus.ErrExpired},
	{"refused", nodebus.ErrRefused},
	{"away", ErrAway},
	{"other_stream", ErrOtherStream},
	{"gone", errGone},
}

// foreign is an error of a receiver. It has no method Unwrap, because the methods of the
// error may panic.
type foreign struct{ error }

// withoutForeign returns the error of the receiver itself.
func withoutForeign(err error) error {
	var f foreign
	if errors.As(err, &f) {
		return f.error
	}
	return err
}

// answer is the answer to a question.
type answer struct {
	Failed bool     `json:"failed,omitempty"`
	Text   string   `json:"text,omitempty"`
	Kinds  []string `json:"kinds,omitempty"`
	Unsure bool     `json:"unsure,omitempty"` // the signal may be kept; see unsure
}

// answerOf returns the answer that tells an error.
func answerOf(err error) (a answer) {
	if err == nil {
		return a
	}
	var u unsure
	a.Failed, a.Unsure = true, errors.As(err, &u)
	err = withoutForeign(err)
	if nodebus.Protect(func() error { a.Text = err.Error(); return nil }) != nil {
		a.Text = fmt.Sprintf("%T", err)
	}
	for _, k := range kinds {
		_ = nodebus.Protect(func() error {
			if errors.Is(err, k.err) {
				a.Kinds = append(a.Kinds, k.name)
			}
			return nil
		})
	}
	return a
}

// readAnswer returns the error that an answer tells.
func readAnswer(data []byte) error {
	var a answer
	if err := json.Unmarshal(data, &a); err != nil {
		return unsure{fmt.Errorf("nats: the answer to a signal cannot be read: %w", err)}
	}
	if !a.Failed {
		return nil
	}
	err := error(&remoteError{a.Text, a.Kinds})
	if a.Unsure {
		return unsure{err}
	}
	return err
}

// remoteError is an error of a receiver in another process.
type remoteError struct {
	text  string
	kinds []string
}

func (e *remoteError) Error() string { return e.text }

// Is finds the known errors.
func (e *remoteError) Is(target error) bool {
	for _, k := range kinds {
		if k.err == target {
			return slices.Contains(e.kinds, k.name)
		}
	}
	return false
}
