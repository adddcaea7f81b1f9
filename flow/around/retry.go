package around

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// RetryOptions are the options of [Retry]. A nil pointer, and a zero value or a negative
// number in any field, select the defaults.
type RetryOptions struct {
	// Attempts is the maximum number of tries of a call, including the first. Default 3.
	Attempts int
	// Pause is the pause before the second try. Each further pause is twice as long. Half of
	// a pause is random, so that calls that failed together do not come back together:
	// the shortest first pause is Pause/2. Default 100 milliseconds.
	Pause time.Duration
	// MaxPause limits the pauses. Default 10 seconds.
	MaxPause time.Duration
	// If says which errors are worth a new try. It is called for the errors that Retry may
	// retry at all; see [Retry]. It must be safe for concurrent use. Default: all errors
	// except a [*nodebus.PanicError] and a [*nodebus.InputError], which come again.
	If func(call *flow.Call, err error) bool
}

// Retry calls a node again if it fails. Everything that the node does happens again: its
// events are sent again, and its files are written again. While Retry waits between two
// tries, the node keeps its worker, unless the node is asynchronous.
//
// Retry never retries an interrupt ([nodebus.ErrInterrupted]), a refusal
// ([nodebus.ErrRefused]), a question that nobody answered ([nodebus.ErrExpired]), a blocked
// node ([nodebus.Block]), or a call whose context has ended. Nor does it retry the use of a
// cached result: after an error, the node is called. The error of the last try is the error
// of the node.
func Retry(opts *RetryOptions) flow.Around {
	o := RetryOptions{}
	if opts != nil {
		o = *opts
	}
	if o.Attempts <= 0 {
		o.Attempts = 3
	}
	if o.Pause <= 0 {
		o.Pause = 100 * time.Millisecond
	}
	if o.MaxPause <= 0 {
		o.MaxPause = 10 * time.Second
	}
	if o.If == nil {
		o.If = mayPass
	}
	return func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
			if call.Cached {
				return next(ctx, call)
			}
			pause := min(o.Pause, o.MaxPause)
			for try := 1; ; try++ {
				res, err := next(ctx, call)
				if err == nil || try >= o.Attempts || isFinal(err) || ctx.Err() != nil || !o.If(call, err) {
					return res, err
				}
				if err := wait(ctx, pause/2+rand.N(pause/2+1)); err != nil {
					return res, err
				}
				pause += min(pause, o.MaxPause-pause)
			}
		}
	}
}

// isFinal reports whether a new try would be wrong.
func isFinal(err error) bool {
	return errors.As(err, new(*nodebus.BlockedError)) || errors.Is(err, nodebus.ErrInterrupted) ||
		errors.Is(err, nodebus.ErrRefused) || errors.Is(err, nodebus.ErrExpired) || errors.Is(err, nodebus.ErrClosed)
}

// mayPass is the default of RetryOptions.If.
func mayPass(_ *flow.Call, err error) bool {
	return !errors.As(err, new(*nodebus.PanicError)) && !errors.As(err, new(*nodebus.InputError))
}

// wait waits for d. It returns the cause of ctx if ctx ends first.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
