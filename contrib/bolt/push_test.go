package bolt_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// heldContext is a context that has ended, and whose caller learns why only when goOn is
// closed: so a test stops a call between two steps.
type heldContext struct {
	context.Context
	once        sync.Once
	asked, goOn chan struct{}
}

func (h *heldContext) Value(any) any { return nil }

func (h *heldContext) Err() error {
	h.once.Do(func() { close(h.asked) })
	<-h.goOn
	return context.Canceled
}

// holdContext returns such a context. end ends it, and returns when a call has learned it.
func holdContext() (ctx *heldContext, end func()) {
	ended, cancel := context.WithCancel(context.Background())
	ctx = &heldContext{Context: ended, asked: make(chan struct{}), goOn: make(chan struct{})}
	return ctx, func() {
		cancel()
		<-ctx.asked
	}
}

// starts calls f in a goroutine, and returns when it waits or has returned.
func starts(f func() error) (done chan error) {
	done = make(chan error, 1)
	go func() { done <- f() }()
	synctest.Wait()
	return done
}

func pushOf(ctx context.Context, db *bolt.DB, id string) func() error {
	return func() error { return db.Queue().Push(ctx, &nodebus.Prompt{ID: id}, nil) }
}

func requireLen(t *testing.T, db *bolt.DB, waiting, leased int) {
	t.Helper()
	w, l, err := db.Queue().Len(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{waiting, leased}, []int{w, l})
}

// TestPushWaitsForPush checks that a Push is not told of a duplicate before the other Push of
// the id has succeeded: callers take a duplicate for a prompt that is accepted.
func TestPushWaitsForPush(t *testing.T) {
	for name, fails := range map[string]bool{"the first fails": true, "the first succeeds": false} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				db := open(t, newPath(t), nil)
				resume := db.SlowDisk()
				defer resume()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				gone, leave := context.WithCancel(t.Context())
				first := starts(pushOf(ctx, db, "a"))
				second, third := starts(pushOf(t.Context(), db, "a")), starts(pushOf(gone, db, "a"))
				require.Empty(t, second)
				leave()
				require.ErrorIs(t, <-third, context.Canceled)
				if fails {
					cancel()
					require.ErrorIs(t, <-first, context.Canceled)
					resume()
					require.NoError(t, <-second)
				} else {
					resume()
					require.NoError(t, <-first)
					require.ErrorIs(t, <-second, flow.ErrDuplicate)
				}
				requireLen(t, db, 1, 0)
			})
		})
	}
}

// TestFailedPushKeepsLater checks that a Push that fails removes its own prompt only. A Delete
// has made the id free meanwhile.
func TestFailedPushKeepsLater(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		db := open(t, newPath(t), nil)
		resume := db.SlowDisk()
		defer resume()
		ctx, end := holdContext()
		first := starts(pushOf(ctx, db, "a"))
		end()
		resume()
		_, err := db.Queue().Delete(t.Context(), "a")
		require.NoError(t, err)
		require.NoError(t, pushOf(t.Context(), db, "a")())
		close(ctx.goOn)
		require.ErrorIs(t, <-first, context.Canceled)
		requireLen(t, db, 1, 0)
		require.NoError(t, db.Queue().Move(t.Context(), "a", 1))
	})
}

// TestTakeOfDeleted checks that a call that has a prompt in memory and learns nothing of its
// Delete, because its context ends, does not bring the prompt back. Until the call knows, a
// Push of the id waits.
func TestTakeOfDeleted(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		db := open(t, newPath(t), nil)
		require.NoError(t, pushOf(t.Context(), db, "a")())
		resume := db.SlowDisk()
		defer resume()
		deleted := starts(func() error { _, err := db.Queue().Delete(t.Context(), "a"); return err })
		ctx, end := holdContext()
		taken := starts(func() error { _, err := db.Queue().TakeOne(ctx, "a"); return err })
		end()
		resume()
		require.NoError(t, <-deleted)
		require.ErrorIs(t, db.Queue().Move(t.Context(), "a", 1), flow.ErrNotFound)
		pushed := starts(pushOf(t.Context(), db, "a"))
		require.Empty(t, pushed)
		close(ctx.goOn)
		require.ErrorIs(t, <-taken, context.Canceled)
		require.NoError(t, <-pushed)
		requireLen(t, db, 1, 0)
		require.NoError(t, db.Queue().Move(t.Context(), "a", 1))
	})
}

// TestLeaseBeginsAfterWrite checks that a lease is a whole one when Take returns, however long
// the disk needed.
func TestLeaseBeginsAfterWrite(t *testing.T) {
	for _, write := range []time.Duration{29 * time.Second, time.Hour} {
		bubble.Test(t, func(t *testing.T) {
			db := open(t, newPath(t), nil)
			require.NoError(t, pushOf(t.Context(), db, "a")())
			resume := db.SlowDisk()
			defer resume()
			var l flow.Lease
			taken := starts(func() (err error) {
				l, err = db.Queue().Take(t.Context(), func(string) bool { return false })
				return err
			})
			time.Sleep(write)
			requireLen(t, db, 0, 1)
			resume()
			require.NoError(t, <-taken)
			require.Equal(t, 1, l.Job().Attempt)
			time.Sleep(29 * time.Second)
			require.NoError(t, l.Extend(t.Context(), 30*time.Second))
			time.Sleep(31 * time.Second)
			require.ErrorIs(t, l.Done(t.Context()), flow.ErrLapsed)
			requireLen(t, db, 1, 0)
		})
	}
}

// TestDropWithoutTurn checks that Drop drops signals also if its context ends while a Send for
// the prompt waits for the disk.
func TestDropWithoutTurn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		path := newPath(t)
		db := open(t, path, nil)
		send := func(s flow.Signal) func() error {
			return func() error { return db.Signals().Send(t.Context(), s) }
		}
		receive := func() (got []flow.Signal) {
			stop, err := db.Signals().Receive("a", func(s flow.Signal) error { got = append(got, s); return nil })
			require.NoError(t, err)
			stop()
			return got
		}
		require.NoError(t, send(flow.Signal{PromptID: "a", Interrupt: true})())
		resume := db.SlowDisk()
		defer resume()
		sent := starts(send(flow.Signal{PromptID: "a", Node: "1"}))
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, db.Signals().Drop(ctx, "a"), context.Canceled)
		require.Empty(t, receive())
		resume()
		require.NoError(t, <-sent)
		after := flow.Signal{PromptID: "a", Interrupt: true, Reason: "new"}
		require.NoError(t, send(after)())
		require.NoError(t, db.Close())
		db = open(t, path, nil)
		require.Equal(t, []flow.Signal{after}, receive())
	})
}
