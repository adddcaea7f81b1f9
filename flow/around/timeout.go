package around

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// TimeoutOptions are the options of [Timeout].
type TimeoutOptions struct {
	// Default is the limit of a call of any class that Classes does not contain. 0 or less:
	// no limit.
	Default time.Duration
	// Classes holds limits by the name of the class. 0 or less: no limit for that class.
	Classes map[string]time.Duration
}

// Timeout limits how long a call of a node takes. When the limit is over, the context of the
// node ends, and its [context.Cause] is a [*TimeoutError]. If the node then returns an
// error, the error of the call is a *TimeoutError that wraps it. Functions around the call
// see that type. A [nodebus.Outcome] has texts only: its Error has the ExceptionType
// "timeout", as for a prompt that exceeds the Timeout of its policy.
//
// The limit includes the time that the node waits: for lazy inputs, for graphs that it
// evaluates, and for answers. Give classes that ask people no limit. A node that does not
// watch its context runs on: Timeout cannot stop it, and a result that comes late counts. If
// opts is nil, nothing has a limit.
func Timeout(opts *TimeoutOptions) flow.Around {
	if opts == nil {
		opts = &TimeoutOptions{}
	}
	byClass, usual := maps.Clone(opts.Classes), opts.Default
	return func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
			limit, ok := byClass[call.Class.Name()]
			if !ok {
				limit = usual
			}
			if limit <= 0 || call.Cached {
				return next(ctx, call)
			}
			over := &TimeoutError{Node: ctx.UniqueID(), Class: call.Class.Name(), Limit: limit}
			limited, cancel := context.WithTimeoutCause(ctx, limit, over)
			defer cancel()
			res, err := next(ctx.With(limited), call)
			if err == nil || !errors.Is(context.Cause(limited), over) || isFinal(err) {
				return res, err
			}
			return res, &TimeoutError{Node: over.Node, Class: over.Class, Limit: limit, Err: err}
		}
	}
}

// TimeoutError means that a call of a node took longer than its limit.
type TimeoutError struct {
	Node  string // the unique id of the node
	Class string
	Limit time.Duration
	Err   error // what the node returned; nil in the cause of its context
}

func (e *TimeoutError) Error() string {
	return fmt.Sprintf("the call took longer than the limit of %v for class %s", e.Limit, e.Class)
}

// ExceptionType returns "timeout", which is the exception_type that clients receive.
func (*TimeoutError) ExceptionType() string { return "timeout" }

func (e *TimeoutError) Unwrap() error { return e.Err }

// Timeout makes e an error of a timeout, as package net has them.
func (*TimeoutError) Timeout() bool { return true }
