package refpack

import (
	"context"
	"time"

	"github.com/nodebus/nodebus"
)

// RefSleep waits without giving its worker slot back, as a node does that
// computes, and ends early when its prompt is interrupted.
type RefSleep struct {
	Value   any
	Seconds float64 `default:"1" min:"0" max:"60"`
}

// Run returns the value, later.
func (n RefSleep) Run(ctx *nodebus.Context) (any, error) {
	return n.Value, wait(ctx, n.Seconds)
}

// RefAsyncSleep waits beside other nodes: it is registered as asynchronous.
type RefAsyncSleep struct {
	Value   any
	Seconds float64 `default:"0.2" min:"0" max:"60"`
}

// Run returns the value, later.
func (n RefAsyncSleep) Run(ctx *nodebus.Context) (any, error) {
	return n.Value, wait(ctx, n.Seconds)
}

// wait returns after some seconds, or with its cause as soon as ctx ends.
func wait(ctx context.Context, seconds float64) error {
	if seconds <= 0 || ctx.Err() != nil {
		return context.Cause(ctx)
	}
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
