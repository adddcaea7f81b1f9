package bolt_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// TestAgreement makes all calls at the same time for a few ids, while changes fail, the disk is
// full at times, and contexts end. Then memory and the file have the same prompts and signals.
func TestAgreement(t *testing.T) {
	rounds := 10
	if *long {
		rounds = 300
	}
	for range rounds {
		path := newPath(t)
		w := &world{T: t, db: open(t, path, &bolt.Options{Logger: slog.New(slog.DiscardHandler)})}
		var leases sync.Map // the leases that nobody has ended
		var all sync.WaitGroup
		for worker := range 8 {
			all.Go(func() {
				for n := range 60 {
					w.anything(&leases, fmt.Sprint(rand.IntN(3)), fmt.Sprint(worker, "-", n))
				}
			})
		}
		all.Wait()
		for range 2 { // the first one may be together with a change that is too large
			require.NoError(t, w.db.Begin(bolt.Room).Wait(t.Context()))
		}
		text, err := os.ReadFile(path)
		require.NoError(t, err)
		require.Equal(t, w.content(open(t, write(t, text), nil)), w.content(w.db))
	}
}

// anything makes a random call for an id. name is the name of the call.
func (w *world) anything(leases *sync.Map, id, name string) {
	ctx, cancel := w.may()
	defer cancel()
	q, s := w.db.Queue(), w.db.Signals()
	switch rand.IntN(12) {
	case 0, 1:
		_ = q.Push(ctx, &nodebus.Prompt{ID: id, Extra: map[string]any{"name": name}}, nil)
	case 2:
		_, _ = q.Delete(ctx, id, fmt.Sprint(rand.IntN(3)))
	case 3:
		_ = q.Move(ctx, id, rand.Float64())
	case 4, 5:
		if l, err := q.TakeOne(ctx, id); err == nil {
			leases.Store(l, nil)
		}
	case 6:
		short, stop := context.WithTimeout(ctx, time.Millisecond)
		defer stop()
		if l, err := q.Take(short, func(string) bool { return false }); err == nil {
			leases.Store(l, nil)
		}
	case 7, 8:
		leases.Range(func(key, _ any) bool {
			leases.Delete(key)
			endSomehow(ctx, key.(flow.Lease))
			return false
		})
	case 9:
		if rand.IntN(4) == 0 {
			stop, err := s.Receive(id, func(flow.Signal) error { return errRefused })
			if err != nil {
				w.Error(err)
				return
			}
			defer stop()
		}
		_ = s.Send(ctx, flow.Signal{PromptID: id, Interrupt: rand.IntN(2) == 0, Node: name})
	case 10:
		_ = s.Drop(ctx, id)
	case 11:
		w.db.Begin([]func(*bbolt.Tx) error{bolt.TooLarge, bolt.Room, bolt.Room, slowFailure}[rand.IntN(4)])
	}
}

func endSomehow(ctx context.Context, l flow.Lease) {
	switch rand.IntN(4) {
	case 0:
		_ = l.Extend(ctx, 0)
	case 1:
		_ = l.Release(ctx)
	default:
		_ = l.Done(ctx)
	}
}

// slowFailure is a change that fails, after others have begun more changes.
func slowFailure(*bbolt.Tx) error {
	time.Sleep(time.Millisecond)
	return errRefused
}

// content returns the prompts and signals of a DB. Their attempts and places do not count: after an
// error, Move and Release have an effect in memory only.
func (w *world) content(db *bolt.DB) (all []string) {
	for id := range 3 {
		id := fmt.Sprint(id)
		for x, err := range db.Queue().List(w.Context(), id) {
			require.NoError(w, err)
			all = append(all, fmt.Sprint("prompt ", id, " of ", x.Prompt.Extra["name"]))
		}
		stop, err := db.Signals().Receive(id, func(s flow.Signal) error {
			all = append(all, fmt.Sprint("signal of ", id, ": ", s.Interrupt, s.Node))
			return nil
		})
		require.NoError(w, err)
		stop()
	}
	return all
}
