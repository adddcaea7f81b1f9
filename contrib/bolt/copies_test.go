package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// fate is what is known of the prompts with an id. They come one after the other, and have
// numbers from 1.
type fate struct {
	n       int  // the number of the newest prompt
	pushed  bool // its Push has succeeded
	failed  bool // its Push has failed
	ending  bool // its Done or Delete has begun, and has not failed
	deleted bool // the same of Delete
	ended   bool // its Done or Delete has succeeded
	taken   int  // its newest attempt
	sent    int  // its signals
	record  int  // the newest prompt that has a record
	putting int  // the newest prompt that may have one
}

// world is a file that is in use, and what is known of it.
type world struct {
	*testing.T
	db *bolt.DB

	mu        sync.Mutex
	fates     map[string]fate
	delivered atomic.Uint64 // the newest event that a follower has received
}

// know changes what is known of an id.
func (w *world) know(id string, change func(f *fate)) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := w.fates[id]
	change(&f)
	w.fates[id] = f
}

func (w *world) knows() map[string]fate {
	w.mu.Lock()
	defer w.mu.Unlock()
	return maps.Clone(w.fates)
}

// may returns a context that ends soon, or never.
func (w *world) may() (context.Context, context.CancelFunc) {
	if rand.IntN(3) > 0 {
		return w.Context(), func() {}
	}
	return context.WithTimeout(w.Context(), time.Duration(rand.IntN(3000))*time.Microsecond)
}

// until calls f until the disk takes it.
func (w *world) until(f func() error) {
	for {
		err := f()
		if err == nil {
			return
		}
		if !errors.Is(err, bolt.ErrWrite) {
			w.Error(err)
			return
		}
		time.Sleep(time.Millisecond)
	}
}

// live lets a prompt with an id live from its Push to its end.
func (w *world) live(id string, n int) {
	w.know(id, func(f *fate) { *f = fate{n: n, record: f.record, putting: f.putting} })
	if !w.push(id, n) {
		w.know(id, func(f *fate) { f.failed = true })
		return
	}
	w.know(id, func(f *fate) { f.pushed = true })
	if rand.IntN(3) == 0 {
		w.send(id, n)
	}
	var lease flow.Lease
	for lease == nil {
		if rand.IntN(8) == 0 && w.deletes(id) {
			return
		}
		ctx, cancel := w.may()
		l, err := w.db.Queue().TakeOne(ctx, id)
		cancel()
		if err != nil {
			continue // the disk is full, or ctx has ended
		}
		w.know(id, func(f *fate) { f.taken = l.Job().Attempt })
		switch rand.IntN(8) {
		case 0:
			w.know(id, func(f *fate) { f.taken-- })
			_ = l.Release(w.Context())
		case 1:
			_ = l.Extend(w.Context(), 0)
		default:
			lease = l
		}
	}
	w.end(id, n, lease)
}

// push pushes a prompt twice at the same time, and reports whether it was accepted.
func (w *world) push(id string, n int) bool {
	var all sync.WaitGroup
	var errs [2]error
	for i := range errs {
		all.Go(func() {
			ctx, cancel := w.may()
			defer cancel()
			errs[i] = w.db.Queue().Push(ctx, &nodebus.Prompt{ID: id, Extra: map[string]any{"n": n}}, nil)
		})
	}
	all.Wait()
	accepted := errs[0] == nil || errs[1] == nil
	if errs[0] == nil && errs[1] == nil {
		w.Errorf("prompt %s is accepted twice", id)
	}
	for _, err := range errs {
		if errors.Is(err, flow.ErrDuplicate) && !accepted {
			w.Errorf("a Push of %s is told of a duplicate, and nobody has accepted it: %v", id, errs)
		}
	}
	return accepted
}

// send sends a signal that has the number of its prompt.
func (w *world) send(id string, n int) {
	ctx, cancel := w.may()
	defer cancel()
	if w.db.Signals().Send(ctx, flow.Signal{PromptID: id, Node: fmt.Sprint(n)}) == nil {
		w.know(id, func(f *fate) { f.sent++ })
	}
}

// deletes deletes a prompt while another call takes it, and reports whether it is deleted.
func (w *world) deletes(id string) bool {
	w.know(id, func(f *fate) { f.ending, f.deleted = true, true })
	taken := make(chan flow.Lease, 1)
	go func() {
		lease, _ := w.db.Queue().TakeOne(w.Context(), id)
		taken <- lease
	}()
	ctx, cancel := w.may()
	defer cancel()
	gone, _ := w.db.Queue().Delete(ctx, id)
	lease := <-taken
	w.know(id, func(f *fate) {
		f.ended = len(gone) == 1
		f.ending, f.deleted = f.ended, f.ended
	})
	if lease == nil {
		return len(gone) == 1
	}
	if len(gone) == 1 {
		w.Errorf("prompt %s is deleted, and runs", id)
	}
	_ = lease.Release(w.Context())
	return false
}

// end ends a prompt as an engine does: its record, its last event, Done, Drop. Another call sends a
// signal meanwhile.
func (w *world) end(id string, n int, lease flow.Lease) {
	event := func(p nodebus.Payload) {
		if err := w.db.Log().Append(nodebus.Event{PromptID: id, Payload: p}); err != nil {
			w.Error(err)
		}
	}
	event(nodebus.ExecutionStart{PromptID: id})
	w.know(id, func(f *fate) { f.putting = n })
	w.until(func() error {
		return w.db.Store().Put(w.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: id}, Attempt: n})
	})
	w.know(id, func(f *fate) { f.record, f.ending = n, true })
	var sent sync.WaitGroup
	defer sent.Wait()
	if rand.IntN(3) == 0 {
		sent.Go(func() {
			w.send(id, n)
			w.drop(id)
		})
	}
	event(nodebus.Executing{PromptID: id})
	w.pause()
	ctx, cancel := w.may()
	defer cancel()
	err := lease.Done(ctx)
	w.know(id, func(f *fate) { f.ended = err == nil })
	w.drop(id)
}

// drop drops the signals of a prompt that has ended. They do not come back, also after an error.
func (w *world) drop(id string) {
	ctx, cancel := w.may()
	defer cancel()
	_ = w.db.Signals().Drop(ctx, id)
}

// harm makes changes that fail, and the disk full for a while.
func (w *world) harm() {
	switch rand.IntN(4) {
	case 0:
		w.db.Begin(bolt.TooLarge)
	case 1:
		w.db.Begin(bolt.Room)
	}
}

// TestCopies copies the file between transactions, as a kill at this moment would leave it, while
// prompts live and end, disks are full, and contexts end. Each copy has what calls have returned
// for, and ends that are whole.
func TestCopies(t *testing.T) {
	rounds := 1
	if *long {
		rounds = 40
	}
	for round := range rounds {
		for _, workers := range []int{1, 4} {
			t.Run(fmt.Sprint("workers=", workers, "/", round), func(t *testing.T) { testCopies(t, workers) })
		}
	}
}

func testCopies(t *testing.T, workers int) {
	logger := slog.New(slog.DiscardHandler)
	w := &world{T: t, db: open(t, newPath(t), &bolt.Options{Logger: logger}), fates: map[string]fate{}}
	_, stop, err := w.db.Log().Follow(func(ev nodebus.Event) { w.delivered.Store(ev.ID) })
	require.NoError(t, err)
	defer stop()
	var live sync.WaitGroup
	var enough atomic.Bool
	for worker := range workers {
		live.Go(func() {
			for n := 1; !enough.Load(); n++ {
				w.live(fmt.Sprint("p", worker, "-", n%2), n)
			}
		})
	}
	live.Go(func() {
		for !enough.Load() {
			_ = w.db.Queue().Move(t.Context(), fmt.Sprint("p", rand.IntN(workers), "-", rand.IntN(2)), rand.Float64())
			w.pause()
		}
	})
	all := w.copies(150)
	enough.Store(true)
	w.db.Begin(bolt.Room)
	live.Wait()
	all = append(all, w.copies(1)...)
	for _, c := range all {
		w.requireCopy(c)
	}
	w.requireFates(w.db, w.fates, w.fates) // memory agrees with the file
	ended := 0
	for _, f := range w.fates {
		ended += f.n
	}
	t.Logf("%d prompts, %d events", ended, w.delivered.Load())
}

// copied is the file as it is between two transactions, and what was known before and after it
// was copied.
type copied struct {
	text          []byte
	before, after map[string]fate
	delivered     uint64
}

// copies copies the file before each of n transactions. Others go on inside the transactions.
func (w *world) copies(n int) (all []copied) {
	done := make(chan struct{})
	var next func()
	next = func() {
		fails, first := rand.IntN(3) == 0, true
		w.harm()
		w.db.Begin(func(tx *bbolt.Tx) (err error) {
			if first {
				if first = false; len(all)+1 < n {
					w.soon(next)
				}
				w.pause()
				c := copied{before: w.knows(), delivered: w.delivered.Load()}
				if c.text, err = bolt.Committed(tx); err != nil {
					w.Error(err)
				}
				c.after = w.knows()
				if all = append(all, c); len(all) == n {
					close(done)
				}
				w.pause()
			}
			if fails {
				return errRefused
			}
			return nil
		})
	}
	next()
	<-done
	return all
}

// soon calls f now, or a moment later.
func (w *world) soon(f func()) {
	if rand.IntN(2) == 0 {
		f()
	} else {
		time.AfterFunc(time.Duration(rand.IntN(5000))*time.Microsecond, f)
	}
}

// pause lets others work for a moment.
func (w *world) pause() {
	if rand.IntN(2) == 0 {
		time.Sleep(time.Duration(rand.IntN(2000)) * time.Microsecond)
	}
}
