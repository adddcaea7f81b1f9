package flow_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests have several engines over one queue. While a prompt has ended and its lease
// is not done, the engines know different numbers; the last number that anybody tells is true.

// slowDone is a queue whose leases take a while to be done.
type slowDone struct {
	flow.Queue
	before, after func() time.Duration // Done takes this long before and after it is done
}

type slowLease struct {
	flow.Lease
	q *slowDone
}

func (q *slowDone) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	if err != nil {
		return nil, err
	}
	return slowLease{l, q}, nil
}

func (l slowLease) Done(ctx context.Context) error {
	time.Sleep(l.q.before())
	err := l.Lease.Done(ctx)
	time.Sleep(l.q.after())
	return err
}

// lastNumber returns the last number that was told.
func (tp *tape) lastNumber(t *testing.T) int {
	t.Helper()
	ns := tp.numbers()
	require.NotEmpty(t, ns)
	return ns[len(ns)-1]
}

func TestLastStatusIsTrueAfterASlowDone(t *testing.T) {
	for name, act := range map[string]func(f *fleet, b *flow.Engine){
		"pause": func(_ *fleet, b *flow.Engine) {
			b.Pause()
			b.Resume()
		},
		"submit and delete": func(f *fleet, b *flow.Engine) {
			f.submit(b, &nodebus.Prompt{ID: "q", ClientID: "later", Nodes: shown("x")})
			gone, err := b.Delete(f.ctx, "q")
			require.NoError(f.t, err)
			require.Len(f.t, gone, 1)
		},
		"nothing": func(*fleet, *flow.Engine) {},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				seconds := func() time.Duration { return 5 * time.Second }
				a, b := f.engine(&flow.EngineOptions{Parallel: 1, Queue: &slowDone{f.queue, seconds, seconds}}), f.engine(nil)
				stop := f.run(a)
				tape := f.record()
				s := f.submit(a, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
				time.Sleep(time.Second) // the prompt has ended, and Done takes 5 s
				if name == "submit and delete" {
					stopped := make(chan struct{})
					go func() { stop(); close(stopped) }() // a must not run the prompt of b
					synctest.Wait()
					defer func() { <-stopped }()
				}
				act(f, b)
				f.ended(s)
				time.Sleep(time.Minute)
				require.Zero(t, a.Remaining())
				require.Zero(t, b.Remaining())
				require.Zero(t, tape.lastNumber(t))
			})
		})
	}
}

// TestNobodyListsAPromptThatHasEnded: the prompt has ended, and Done takes 5 s. Another
// engine does not list it, either: a client that asks there waits for no end.
func TestNobodyListsAPromptThatHasEnded(t *testing.T) {
	inFleet(t, func(f *fleet) {
		seconds := func() time.Duration { return 5 * time.Second }
		a, b := f.engine(&flow.EngineOptions{Parallel: 1, Queue: &slowDone{f.queue, seconds, seconds}}), f.engine(nil)
		f.run(a)
		gate := &gateNode{make(chan struct{})}
		f.fn("Gate", gate.run)
		f.submit(b, &nodebus.Prompt{ID: "p", Nodes: two("Gate")})
		time.Sleep(time.Second)
		require.Equal(t, []string{"+p"}, queued(t, b.Queued(f.ctx)))
		close(gate.open)
		time.Sleep(time.Second)
		_, leased, err := f.queue.Len(f.ctx)
		require.NoError(t, err)
		require.Equal(t, 1, leased)
		require.Empty(t, queued(t, b.Queued(f.ctx)))
		require.Empty(t, queued(t, a.Queued(f.ctx)))
	})
}

// TestLastStatusIsTrueAfterAStorm lets two engines submit, run, delete and pause at the
// same time. Some leases take a while to be done.
func TestLastStatusIsTrueAfterAStorm(t *testing.T) {
	seeds := uint64(60)
	if testing.Short() {
		seeds = 10
	}
	for seed := range seeds {
		inFleet(t, func(f *fleet) { stormStatus(f, seed) })
	}
}

func stormStatus(f *fleet, seed uint64) {
	var mu sync.Mutex
	r := rand.New(rand.NewPCG(seed, 5))
	roll := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return r.IntN(n)
	}
	// Half of the time, all happens at the same moment.
	scale := time.Duration(seed%2) * time.Millisecond
	some := func() time.Duration { return scale * time.Duration(max(roll(6)-2, 0)) }
	f.fn("Work", func(*nodebus.Context, any, any) (any, error) {
		time.Sleep(some())
		return 1, nil
	})
	tape := f.record()
	engines := make([]*flow.Engine, 2)
	for i := range engines {
		engines[i] = f.engine(&flow.EngineOptions{Parallel: 2, PerClient: 2, Queue: &slowDone{f.queue, some, some}})
		f.run(engines[i])
	}
	var all sync.WaitGroup
	for i := range 4 {
		e := engines[i%2]
		all.Go(func() {
			for k := range 8 {
				id := fmt.Sprint(i, "-", k)
				f.submit(e, &nodebus.Prompt{ID: id, ClientID: fmt.Sprint(i), Nodes: two("Work")})
				switch roll(4) {
				case 0:
					_, err := e.Delete(f.ctx, id)
					require.NoError(f.t, err)
				case 1:
					interrupt(engines[(i+1)%2], id)
				case 2:
					e.Pause()
					time.Sleep(some())
					e.Resume()
				}
				time.Sleep(some())
			}
		})
	}
	all.Wait()
	time.Sleep(time.Minute)
	for _, e := range engines {
		require.Zero(f.t, e.Remaining(), "seed %d", seed)
	}
	require.Zero(f.t, tape.lastNumber(f.t), "seed %d", seed)
}
