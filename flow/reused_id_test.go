package flow_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests have two prompts with the same id.

// TestLeftoverDoesNotHoldUpTheNewPrompt: another engine has deleted a prompt and has used its id
// again. The first engine takes the new prompt while the store does not answer: the question what
// has become of the old prompt does not cost the new one its lease.
func TestLeftoverDoesNotHoldUpTheNewPrompt(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		store.deaf.Store(false)
		e, other := f.engine(&flow.EngineOptions{Store: store}), f.engine(nil)
		old := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: shown("old")})
		_, err := other.Delete(f.ctx, "p")
		require.NoError(t, err)
		time.Sleep(time.Second)
		anew := f.submit(other, &nodebus.Prompt{ID: "p", Nodes: shown("new")})
		store.deaf.Store(true)
		f.run(e)
		time.Sleep(time.Minute)
		store.deaf.Store(false)
		o, err := anew.Wait(f.ctx)
		require.NoError(t, err)
		require.Equal(t, 1, o.Attempt)
		_, err = old.Wait(f.ctx)
		require.Error(t, err)
	})
}

// submitTwice submits a prompt in an engine whose Push is slow, and then again in another engine,
// where it ends. Then it calls then with that engine, and lets the Push go on.
func (f *fleet) submitTwice(then func(ended *flow.Engine)) *flow.Submission {
	f.t.Helper()
	slow := &heldPush{f.queue, make(chan struct{})}
	a, b := f.engine(nil), f.engine(&flow.EngineOptions{Queue: slow})
	stop := f.run(a)
	twin := make(chan *flow.Submission, 1)
	go func() {
		s, err := b.Submit(f.ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")}, nil)
		if err != nil {
			f.t.Error(err)
		}
		twin <- s
	}()
	time.Sleep(time.Second)
	require.Equal(f.t, nodebus.Succeeded, f.ended(f.submit(a, &nodebus.Prompt{ID: "p", Nodes: shown("x")})))
	stop()
	then(a)
	close(slow.open)
	return <-twin
}

// TestWaitForTheSecondSubmission: the prompt that was submitted twice ends once, and both callers
// of Submit learn how.
func TestWaitForTheSecondSubmission(t *testing.T) {
	for name, then := range map[string]func(*fleet, *flow.Engine){
		"it ends as the first":                   func(f *fleet, e *flow.Engine) { f.run(e) },
		"the record of the first is deleted":     func(f *fleet, e *flow.Engine) { f.run(e); require.NoError(f.t, f.store.Delete(f.ctx, "p")) },
		"and nobody has taken the second so far": func(*fleet, *flow.Engine) {},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				s := f.submitTwice(func(e *flow.Engine) { then(f, e) })
				require.Equal(t, nodebus.Succeeded, f.ended(s))
			})
		})
	}
}

// TestInterruptOfTheSecondSubmission: a prompt that was submitted twice has ended, and waits once
// more. An interrupt does not end it a second time.
func TestInterruptOfTheSecondSubmission(t *testing.T) {
	inFleet(t, func(f *fleet) {
		tape := f.record()
		var told []string
		var e *flow.Engine
		f.submitTwice(func(ended *flow.Engine) {
			e = ended
			told, _ = tape.of("p")
		})
		require.True(t, interrupt(e, "p"))
		types, _ := tape.of("p")
		require.Equal(t, told, types)
		rec, err := f.store.Get(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, rec.State)
		require.Empty(t, queued(t, f.queue.List(f.ctx)))
	})
}

// TestReusedIDBetweenLeaseAndStart: another engine has taken a prompt whose id was used before, and
// has not begun it, because the store does not answer. The end of the earlier prompt does not count.
func TestReusedIDBetweenLeaseAndStart(t *testing.T) {
	bothDeafStores(t, func(f *fleet, store *deafStore) {
		store.deaf.Store(false)
		var runs atomic.Int64
		a, b := f.engine(nil), f.engine(&flow.EngineOptions{Store: store, Executor: countingRuns(&runs)})
		f.run(b)
		require.Equal(t, nodebus.Succeeded, f.ended(f.submit(a, &nodebus.Prompt{ID: "p", Nodes: shown("x")})))
		synctest.Wait()
		require.NoError(t, f.store.Delete(f.ctx, "p"))
		store.deaf.Store(true)
		s := f.submit(a, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		time.Sleep(time.Minute)
		require.Equal(t, []string{"+p"}, queued(t, a.Queued(f.ctx)))
		_, err := submit(a, f.ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.ErrorIs(t, err, flow.ErrDuplicate)
		ctx, cancel := context.WithTimeout(f.ctx, time.Minute)
		defer cancel()
		_, err = s.Wait(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.True(t, interrupt(a, "p"))
		require.Equal(t, nodebus.Interrupted, f.ended(s))
		require.EqualValues(t, 1, runs.Load())
	})
}
