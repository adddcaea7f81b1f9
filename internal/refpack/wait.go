package refpack

import (
	"context"
	"time"

	"github.com/nodebus/nodebus"
)

// RefSleep waits and keeps its worker slot, like a node that computes. It ends
// early when its prompt is interrupted.
type RefSleep struct {
	Value   any
	Seconds float64 `default:"1" min:"0" max:"60"`
}

// Run waits and returns the value.
func (n RefSleep) Run(ctx *nodebus.Context) (any, error) {
	return n.Value, wait(ctx, n.Seconds)
}

// RefAsyncSleep waits. It is registered as asynchronous, so other nodes can run
// meanwhile.
type RefAsyncSleep struct {
	Value   any
	Seconds float64 `default:"0.2" min:"0" max:"60"`
}

// Run waits and returns the value.
func (n RefAsyncSleep) Run(ctx *nodebus.Context) (any, error) {
	return n.Value, wait(ctx, n.Seconds)
}

// wait returns nil after some seconds. If ctx ends earlier, wait returns the cause.
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
