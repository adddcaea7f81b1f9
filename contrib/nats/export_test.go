package nats

import (
	"context"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/flow"
)

// CatchUp waits until a queue has read what any process has stored.
func CatchUp(ctx context.Context, queue flow.Queue) error {
	q := queue.(*queueType)
	return catchUp(ctx, q.stream, q.name+".>", func(ctx context.Context, seq uint64) error {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.reads(ctx, seq)
	})
}

type queueType = queue

// Sweep sweeps a queue, as it does each minute.
func Sweep(ctx context.Context, queue flow.Queue) error { return queue.(*queueType).sweep(ctx) }

// Orphans is the number of sweeps after which parts without a prompt are removed.
const Orphans = orphanSweeps

// QueueStream returns the stream of a queue.
func QueueStream(queue flow.Queue) jetstream.Stream { return queue.(*queueType).stream }
