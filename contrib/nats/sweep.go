package nats

import (
	"context"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const (
	sweepTime    = time.Minute
	cleanTime    = 5 * time.Second
	orphanSweeps = 15 // until parts whose prompt has not come are removed
)

// clean removes a prompt from the stream that has left the queue. Its state says for
// goneTime that it has left. If clean fails, sweep does it.
func (q *queue) clean(x *item) error {
	ctx, stop := context.WithTimeout(context.Background(), cleanTime)
	defer stop()
	defer context.AfterFunc(q.life, func() { // close waits a little
		select {
		case <-time.After(lonelyTime):
			stop()
		case <-ctx.Done():
		}
	})()
	if err := q.dropSignals(ctx, x); err != nil {
		return err
	}
	err := q.stream.DeleteMsg(ctx, x.Born)
	if err != nil && q.isGone(ctx, x) { // somebody else was faster
		err = nil
	}
	if err == nil && x.Parts > 0 {
		err = q.parts.drop(ctx, x.token, x.Name)
	}
	if err == nil {
		q.mu.Lock()
		defer q.mu.Unlock()
		q.cleaned(x)
	}
	return err
}

// cleaned forgets what was needed to clean. q.mu is held.
func (q *queue) cleaned(x *item) {
	delete(q.gone, x.Born)
	delete(q.broken, x.Born)
	delete(q.names, x.Name)
	delete(q.orphans, x.Name)
}

// cleanLater makes a goroutine clean. close waits for it.
func (q *queue) cleanLater(x *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.err != nil {
		return
	}
	q.cleaning = append(q.cleaning, x)
	if q.cleaners < parallel {
		q.cleaners++
		q.ended.Go(q.cleaner)
	}
}

func (q *queue) cleaner() {
	for {
		q.mu.Lock()
		if len(q.cleaning) == 0 {
			q.cleaners--
			q.mu.Unlock()
			return
		}
		x := q.cleaning[0]
		q.cleaning = q.cleaning[1:]
		q.mu.Unlock()
		if q.clean(x) != nil { // NATS is away: leave all to sweep
			q.mu.Lock()
			q.cleaning = nil
			q.mu.Unlock()
		}
	}
}

// sweeps sweeps when the queue is opened, and each minute.
func (q *queue) sweeps() {
	for q.life.Err() == nil {
		ctx, stop := context.WithTimeout(q.life, cleanTime)
		err := q.sweep(ctx)
		stop()
		if err != nil && q.life.Err() == nil {
			q.logger.Debug("nats: the queue is not swept; trying again", "stream", q.name, "error", err)
		}
		select {
		case <-time.After(sweepTime/2 + rand.N(sweepTime)):
		case <-q.life.Done():
		}
	}
}

// sweep compares what the stream has with what this process knows. It removes prompts that
// have left the queue, because their process may have died before it removed them; parts
// whose process has died before it stored their prompt; and, from the index, prompts whose
// end has expired before this process has read it.
func (q *queue) sweep(ctx context.Context) error {
	q.mu.Lock()
	gone := slices.Collect(maps.Values(q.gone))
	live := maps.Clone(q.byToken)
	q.mu.Unlock()
	// A handle of its own, because Info writes into it.
	stream, err := q.js.Stream(ctx, q.name)
	if err != nil {
		return err
	}
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(q.subject("*", "p")))
	if err != nil {
		return err
	}
	for _, x := range gone {
		if info.State.Subjects[q.subject(x.token, "p")] > 0 || x.Parts > 0 {
			if err := q.clean(x); err != nil {
				return err
			}
			continue
		}
		q.mu.Lock()
		q.cleaned(x)
		q.mu.Unlock()
	}
	for _, x := range live {
		if info.State.Subjects[q.subject(x.token, "p")] == 0 && q.isGone(ctx, x) {
			q.forget(x)
		}
	}
	return q.sweepParts(ctx)
}

// sweepParts removes parts whose prompt has not come for orphanSweeps. Push gives up much
// earlier.
func (q *queue) sweepParts(ctx context.Context) error {
	old := map[string]string{}
	q.mu.Lock()
	live := map[string]bool{}
	for _, x := range q.byToken {
		live[x.Name] = true
	}
	for name, token := range q.names {
		if live[name] {
			delete(q.orphans, name)
		} else if q.orphans[name]++; q.orphans[name] > orphanSweeps {
			old[name] = token
		}
	}
	q.mu.Unlock()
	for name, token := range old {
		if err := q.parts.drop(ctx, token, name); err != nil {
			return err
		}
		q.mu.Lock()
		delete(q.names, name)
		delete(q.orphans, name)
		q.mu.Unlock()
	}
	return nil
}
