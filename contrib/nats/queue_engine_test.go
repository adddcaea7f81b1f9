package nats_test

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// counts is a node that counts its runs by prompt.
type counts struct{ To int }

var (
	runsMu sync.Mutex
	runs   = map[string]int{}
)

func (c counts) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	runsMu.Lock()
	runs[ctx.PromptID()]++
	runsMu.Unlock()
	for i := range c.To {
		ctx.Progress(float64(i+1), float64(c.To))
	}
	return nodebus.Text("counted"), nil
}

// putsOnce is a store that counts the records of each prompt.
type putsOnce struct {
	flow.Store
	mu   sync.Mutex
	puts map[string]int
}

func (s *putsOnce) Put(ctx context.Context, r flow.Record) error {
	s.mu.Lock()
	s.puts[r.Prompt.ID]++
	s.mu.Unlock()
	return s.Store.Put(ctx, r)
}

// TestEngines shares the queue and the log between an engine that submits, and two engines
// that run.
func TestEngines(t *testing.T) {
	const n = 60
	opts := nats.Options{Name: newName()}
	store, signals := &putsOnce{Store: flow.NewStore(nil), puts: map[string]int{}}, flow.NewSignals(nil)
	machine := func(runs bool) *flow.Engine {
		bus := open(t, shared, opts)
		hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
		t.Cleanup(func() { _ = hub.Close() })
		r := flow.NewRegistry()
		flow.Register(r, counts{}, nodebus.Info{Name: "Counts"})
		e := flow.NewEngine(r, hub, &flow.EngineOptions{Queue: bus.Queue(), Store: store, Signals: signals, Parallel: 4})
		if runs {
			ctx, stop := context.WithCancel(context.Background())
			ended := make(chan error, 1)
			go func() { ended <- e.Run(ctx) }()
			t.Cleanup(func() { stop(); require.ErrorIs(t, <-ended, context.Canceled) })
		}
		return e
	}
	submits := machine(false)
	machine(true)
	machine(true)
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			g := nodebus.NewGraph()
			g.AddAs("c", "Counts", nodebus.Inputs{"to": 5 + i}) // nothing comes from a cache
			p := &nodebus.Prompt{ID: fmt.Sprint(opts.Name, " ", i), ClientID: fmt.Sprint("c", i%5), Nodes: g.Nodes()}
			if _, err := submits.Submit(t.Context(), p, nil); err != nil {
				t.Errorf("submit: %v", err)
				return
			}
			if out, err := submits.Wait(t.Context(), p.ID); err != nil || out.State != nodebus.Succeeded {
				t.Errorf("%s: %v %v", p.ID, out.State, err)
			}
		})
	}
	all.Wait()
	require.Len(t, store.puts, n)
	for i := range n {
		id := fmt.Sprint(opts.Name, " ", i)
		require.Equal(t, 1, store.puts[id], "records of %s", id)
		runsMu.Lock()
		require.Equal(t, 1, runs[id], "runs of %s", id)
		runsMu.Unlock()
	}
}

// TestDoneComesLast checks that the stream has all events that were published before, when
// Done stores that the prompt has left the queue.
func TestDoneComesLast(t *testing.T) {
	const n = 500
	port := freePort(t)
	s, opts := serve(t, t.TempDir(), port), nats.Options{Name: newName()}
	other, line := open(t, s, opts), newLine()
	bus := openOn(t, line, fmt.Sprint("nats://127.0.0.1:", port), opts)
	pushAll(t, bus.Queue(), "a")
	l := takeFrom(t, bus.Queue(), "a", 1)
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
	defer hub.Close()
	deaf := line.deafAt("PUB " + opts.Name + "_QUEUE.ia.s")
	done := make(chan error, 1)
	for i := range n {
		require.NoError(t, hub.Broadcast(nodebus.Custom{Type: "n", Data: i}))
	}
	go func() { done <- l.Done(t.Context()) }()
	<-deaf
	// The other process follows the stream from here on, so it has what the stream has.
	_, stop, err := other.Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	defer stop()
	page, err := other.Log().Read(nodebus.LogQuery{Own: true, UpTo: 1 << 62})
	require.NoError(t, err)
	require.Len(t, page.Events, n)
	line.set(false, false)
	require.NoError(t, <-done)
}
