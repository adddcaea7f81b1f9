package nats

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/flow"
)

// CatchUp waits until a queue has read what any process has stored.
func CatchUp(ctx context.Context, part flow.Queue) error { return part.(*queue).catchUp(ctx) }

// Sweep sweeps a queue, as it does each minute.
func Sweep(ctx context.Context, part flow.Queue) error { return part.(*queue).sweep(ctx) }

// ForgetGone compares what a queue knows with its stream, as it does after it was away for long.
func ForgetGone(ctx context.Context, part flow.Queue) error { return part.(*queue).forgetGone(ctx) }

// Orphans is the number of sweeps after which parts without a prompt are removed.
const Orphans = orphanSweeps

// QueueStream returns the stream of a queue.
func QueueStream(part flow.Queue) jetstream.Stream { return part.(*queue).prompts.stream }

// EndAsKilled ends a leased prompt, and does no more, as a process does that is killed then.
func EndAsKilled(ctx context.Context, held flow.Lease) error {
	l := held.(*lease)
	_, err := l.q.replace(ctx, &l.x, meta{Gone: true})
	return err
}

// Gone returns how many prompts a queue still has to remove from its stream.
func Gone(part flow.Queue) int { return len(part.(*queue).sweeper.all()) }
