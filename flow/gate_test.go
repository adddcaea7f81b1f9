package flow_test

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

type private struct{}

func (private) EventType() string { return "private" }

// frames is a transport that records the types of the frames.
type frames struct {
	mu    sync.Mutex
	types []string
}

func (f *frames) Write(_ context.Context, frames []nodebus.Frame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, x := range frames {
		f.types = append(f.types, x.Type)
	}
	return nil
}

func (f *frames) Close(error) error { return nil }

func (f *frames) got() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string{}, f.types...)
}

// TestUnaddressedEventIsTheSubmitters checks that an event without an address goes
// to the client of the prompt, also with a custom payload, and that a broadcast goes
// to every client.
func TestUnaddressedEventIsTheSubmitters(t *testing.T) {
	exec := executorFunc(func(_ context.Context, _ nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		if err := pub.Publish(nodebus.Event{Payload: private{}}); err != nil {
			return nodebus.Report{}, err
		}
		return nodebus.Report{}, pub.Publish(nodebus.Event{Broadcast: true, Payload: nodebus.Custom{Type: "public"}})
	})
	inBubble(t, nil, &flow.EngineOptions{Executor: exec}, func(r *rig) {
		alice, bob := &frames{}, &frames{}
		var serving sync.WaitGroup
		ctx, cancel := context.WithCancel(r.ctx)
		for client, f := range map[string]*frames{"alice": alice, "bob": bob} {
			s := r.hub.Join(client, nil)
			serving.Go(func() { _ = s.Serve(ctx, f) })
		}
		o := r.submit(&nodebus.Prompt{ClientID: "alice", Nodes: shown("x")})
		require.Equal(t, nodebus.Succeeded, o.record.State, "%+v", o.record.Error)
		synctest.Wait()
		require.Contains(t, alice.got(), "private")
		require.Contains(t, alice.got(), "public")
		require.NotContains(t, bob.got(), "private")
		require.Contains(t, bob.got(), "public")
		cancel()
		serving.Wait()
	})
}

// TestGateWaitsForEventsThatArePassing checks that an event that is being published
// when the executor returns comes before the end event.
func TestGateWaitsForEventsThatArePassing(t *testing.T) {
	var mu sync.Mutex
	var order []string
	slow := func(next nodebus.Publisher) nodebus.Publisher {
		return publisherFunc(func(ev nodebus.Event) error {
			if _, ok := ev.Payload.(private); ok {
				time.Sleep(time.Second)
			}
			mu.Lock()
			order = append(order, ev.Payload.EventType())
			mu.Unlock()
			return next.Publish(ev)
		})
	}
	exec := executorFunc(func(_ context.Context, _ nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
		go func() { _ = pub.Publish(nodebus.Event{Payload: private{}}) }()
		time.Sleep(time.Millisecond)
		return nodebus.Report{}, nil
	})
	inBubble(t, nil, &flow.EngineOptions{Executor: exec, Wrap: slow}, func(r *rig) {
		r.run(shown("x"))
		require.Equal(t, []string{
			"status", "status", "execution_start", "execution_cached", "private", "execution_success", "status", "executing",
		}, order)
	})
}

// TestWrapMayUseTheEngine checks that the publisher from Wrap may call the engine,
// because the engine holds no lock while it publishes.
func TestWrapMayUseTheEngine(t *testing.T) {
	var e *flow.Engine
	var second *flow.Submission
	wrap := func(next nodebus.Publisher) nodebus.Publisher {
		return publisherFunc(func(ev nodebus.Event) error {
			if e != nil {
				for range e.Queued(context.Background()) { //nolint:revive // it only must not wait
				}
				e.Remaining()
				_, _ = e.Interrupt(context.Background(), "nobody")
			}
			_, status := ev.Payload.(nodebus.Status)
			if e != nil && !status {
				_, _ = e.Delete(context.Background(), "nobody") // sends a status event
			}
			if status && e != nil && second == nil {
				second = &flow.Submission{}
				s, err := e.Submit(context.Background(), &nodebus.Prompt{ID: "second", Nodes: shown("y")}, nil)
				if err != nil {
					return err
				}
				second = s
			}
			return next.Publish(ev)
		})
	}
	inBubble(t, nil, &flow.EngineOptions{Wrap: wrap}, func(r *rig) {
		e = r.engine
		require.Equal(t, nodebus.Succeeded, r.run(shown("x")).record.State)
		o, err := second.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, o.State)
		e = nil
	})
}

// TestLeaseIsKept checks that the engine extends the lease of a long prompt, so that
// the prompt is not taken again.
func TestLeaseIsKept(t *testing.T) {
	q := flow.NewQueue(nil)
	inBubble(t, nil, &flow.EngineOptions{Queue: q, Parallel: 4, PerClient: 4}, func(r *rig) {
		calls := 0
		r.fn("Sleep", func(*nodebus.Context, any, any) (any, error) {
			calls++
			time.Sleep(10 * time.Minute)
			return "slept", nil
		})
		rec := r.run(two("Sleep")).record
		require.Equal(t, nodebus.Succeeded, rec.State)
		require.Equal(t, 1, rec.Attempt)
		require.Equal(t, 1, calls)
	})
}
