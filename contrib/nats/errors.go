package nats

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The reasons of a [*StreamError], for errors.Is.
var (
	// ErrOtherStream is the reason if a stream was deleted, perhaps created again, or has
	// lost its newest messages: what this process knows belongs to the stream before. All
	// methods of the part that uses the stream fail with it, and all methods of the queue:
	// this process takes no prompts. See [Bus.Done]. Close the [Bus] and open it again.
	ErrOtherStream = errors.New("the stream is another one than before")
	// ErrNewer is the reason if a newer version of this package has made the stream, or if a
	// newer nats-server has written it, so that this server does not open it.
	ErrNewer = errors.New("the stream has a newer version")
	// ErrForeign is the reason if the stream was not made by this package.
	ErrForeign = errors.New("the stream is no stream of nodebus")
	// ErrSettings is the reason if the settings of the stream would lose or change what the
	// bus stores, because somebody has edited them.
	ErrSettings = errors.New("the stream has settings with which the bus does not work")
	// ErrKey is the reason if a prompt has secrets that the secret key of [Options] does not
	// open.
	ErrKey = errors.New("the secret key does not fit the prompt")
	// ErrAway is the reason if NATS did not answer in time. Whatever was accepted before is
	// kept. A call that its caller cancels returns [context.Canceled] instead.
	ErrAway = errors.New("NATS does not answer")
)

// StreamError is an error of a stream of a [Bus]. Its text names the stream, what is wrong,
// and the mend. errors.Is finds the reason, for example [ErrOtherStream], and the error of
// NATS, if there is one.
type StreamError struct {
	Stream string // the name of the stream, for example NODEBUS_LOG
	Reason error  // one of the errors of this package, for example ErrAway; nil if none of them fits
	Detail string // what was found, and the mend
	Err    error  // the error of NATS or of the context; may be nil
}

// Error returns one line: stream, reason, detail and cause.
func (e *StreamError) Error() string {
	text := fmt.Sprintf("nats: %s: ", e.Stream)
	if e.Reason != nil {
		text += e.Reason.Error() + ": "
	}
	text += e.Detail
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return strings.ReplaceAll(text, "\n", "; ")
}

// Unwrap returns the reason and the cause.
func (e *StreamError) Unwrap() (errs []error) {
	for _, err := range []error{e.Reason, e.Err} {
		if err != nil {
			errs = append(errs, err)
		}
	}
	return errs
}

// causesError are the errors that have led to one.
type causesError []error

// causes returns an error for those that are not nil, and nil if all are. Other than errors.Join,
// its text is one line, and says nothing twice.
func causes(errs ...error) error {
	all := causesError(slices.DeleteFunc(errs, func(err error) bool { return err == nil }))
	if len(all) == 0 {
		return nil
	}
	return all
}

func (e causesError) Error() string {
	text := ""
	for _, err := range e {
		switch t := err.Error(); {
		case text == "":
			text = t
		case !strings.Contains(text, t):
			text += ": " + t
		}
	}
	return text
}

func (e causesError) Unwrap() []error { return e }
