package nats

import (
	"context"
	"errors"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
)

const (
	sweepTime    = time.Minute
	cleanTime    = 5 * time.Second
	orphanSweeps = 15 // sweeps without a new part, until parts whose prompt has not come are removed
)

// sweeper knows what is in the stream of a queue and not needed. It removes nothing itself.
type sweeper struct {
	mu       sync.Mutex
	gone     map[uint64]*item   // prompts that have left the queue, and may be in the stream
	parts    map[string]*orphan // of prompts, by their names
	cleaning []*item            // prompts that this process removes from the stream
	cleaners int
}

// orphan says whose parts the stream has, and for how many sweeps it had no prompt and no
// new part.
type orphan struct {
	token  string
	sweeps int
}

func newSweeper() *sweeper { return &sweeper{gone: map[uint64]*item{}, parts: map[string]*orphan{}} }

// left says that a prompt has left the queue.
func (s *sweeper) left(x *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gone[x.Born] = x
}

// hasPart says that the stream has a part of a prompt.
func (s *sweeper) hasPart(token, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parts[name] = &orphan{token: token}
}

// removed says that the stream does not have a prompt any more, and that its state expires.
func (s *sweeper) removed(born uint64, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.gone, born)
	delete(s.parts, name)
}

// all returns the prompts that have left the queue.
func (s *sweeper) all() []*item {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Collect(maps.Values(s.gone))
}

// orphans counts a sweep, and returns the names of old parts that no living prompt has, with
// their tokens.
func (s *sweeper) orphans(lives map[string]bool) map[string]string {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := map[string]string{}
	for name, o := range s.parts {
		if lives[name] {
			o.sweeps = 0
		} else if o.sweeps++; o.sweeps > orphanSweeps {
			old[name] = o.token
		}
	}
	return old
}

// forget says that parts are removed.
func (s *sweeper) forget(name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.parts, name)
}

// add gives a prompt to be cleaned. It reports whether one more cleaner should run.
func (s *sweeper) add(x *item) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleaning = append(s.cleaning, x)
	if more = s.cleaners < parallel; more {
		s.cleaners++
	}
	return more
}

// next returns the next prompt to be cleaned. A cleaner that receives nil ends.
func (s *sweeper) next() (x *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cleaning) == 0 {
		s.cleaners--
		return nil
	}
	x, s.cleaning = s.cleaning[0], s.cleaning[1:]
	return x
}

// leaveAll leaves what is to be cleaned to the next sweep.
func (s *sweeper) leaveAll() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cleaning = nil
}

// clean removes a prompt from the stream that has left the queue. From then on, its state says
// for goneTime that it has left. If clean fails, or this process is killed, a sweep does it, of
// this process or another, however late: the state stays until the prompt is removed.
func (q *queue) clean(ctx context.Context, x *item) error {
	ctx, stop := context.WithTimeout(ctx, cleanTime)
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
	// The state is replaced by one that expires. Until this process has read it, others that
	// are newer would seem to be all that there is.
	if err := q.wait(ctx, x.state); err != nil && !errors.Is(err, nodebus.ErrClosed) {
		return err
	}
	if err := q.prompts.remove(ctx, x); err != nil {
		return err
	}
	q.cleaned(x)
	return nil
}

// cleaned forgets what was needed to clean.
func (q *queue) cleaned(x *item) {
	q.sweeper.removed(x.Born, x.Name)
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.broken, x.Born)
}

// cleanLater makes a goroutine clean. close waits for it.
func (q *queue) cleanLater(x *item) {
	q.mu.Lock() // see close
	defer q.mu.Unlock()
	if q.check() == nil && q.sweeper.add(x) {
		q.ended.Go(q.cleaner)
	}
}

func (q *queue) cleaner() {
	for {
		x := q.sweeper.next()
		if x == nil {
			return
		}
		err := q.check()
		if err == nil || errors.Is(err, nodebus.ErrClosed) { // what is closed is still cleaned, another stream is not
			err = q.clean(context.WithoutCancel(q.life), x)
		}
		if err != nil { // perhaps NATS is away
			q.sweeper.leaveAll()
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
			q.logger.Debug("nats: the queue is not swept; trying again", "stream", q.prompts.name, "error", err)
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
	known := maps.Clone(q.index.byToken)
	q.mu.Unlock()
	has, err := q.inStream(ctx)
	if err != nil {
		return err
	}
	for _, x := range q.sweeper.all() {
		if err := q.clean(ctx, x); err != nil {
			return err
		}
	}
	q.forgetUnless(ctx, known, has)
	return q.sweepParts(ctx)
}

// inStream asks which prompts the stream has. It returns an error if the stream is another one:
// what this process remembers says nothing of it. The reader finds out, too.
func (q *queue) inStream(ctx context.Context) (has func(*item) bool, err error) {
	stream, err := q.prompts.way.js.Stream(ctx, q.prompts.name)
	if err != nil {
		return nil, err
	}
	if epochOf(stream) != q.reader.epoch {
		return nil, &StreamError{Stream: q.prompts.name, Reason: ErrOtherStream, Detail: "it is not swept"}
	}
	all, err := subjects(ctx, stream, q.prompts.subject("*", "p"))
	return func(x *item) bool { return all[q.prompts.subject(x.token, "p")] > 0 }, err
}

// forgetUnless removes prompts from the index which the stream does not have.
func (q *queue) forgetUnless(ctx context.Context, known map[string]*item, has func(*item) bool) {
	for _, x := range known {
		if !has(x) && q.prompts.isGone(ctx, x) {
			q.forget(x)
		}
	}
}

// forgetGone removes prompts from the index whose ends this process has not read.
func (q *queue) forgetGone(ctx context.Context) error {
	q.mu.Lock()
	known := maps.Clone(q.index.byToken)
	for token, x := range q.pushing {
		if x.Born > 0 { // it is stored, and Len counts it
			known[token] = x
		}
	}
	q.mu.Unlock()
	has, err := q.inStream(ctx)
	if err == nil {
		q.forgetUnless(ctx, known, has)
	}
	return err
}

// subjects returns the subjects of a stream that match a filter, and how many messages they
// have. It writes into the handle.
func subjects(ctx context.Context, stream jetstream.Stream, filter string) (map[string]uint64, error) {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(filter))
	if err != nil {
		return nil, err
	}
	return info.State.Subjects, nil
}

// sweepParts removes parts whose prompt has not come for orphanSweeps. Push gives up much
// earlier.
func (q *queue) sweepParts(ctx context.Context) error {
	lives := map[string]bool{}
	q.mu.Lock()
	for _, x := range q.index.byToken {
		lives[x.Name] = true
	}
	q.mu.Unlock()
	for name, token := range q.sweeper.orphans(lives) {
		if err := q.prompts.parts.drop(ctx, token, name); err != nil {
			return err
		}
		q.sweeper.forget(name)
	}
	return nil
}
