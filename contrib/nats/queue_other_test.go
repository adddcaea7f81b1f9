package nats_test

import (
	"context"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// watchedQueue is a queue whose leases tell when they are done.
type watchedQueue struct {
	flow.Queue
	done func()
}

type watchedLease struct {
	flow.Lease
	done func()
}

func (q watchedQueue) Take(ctx context.Context, skip func(string) bool) (flow.Lease, error) {
	l, err := q.Queue.Take(ctx, skip)
	if err != nil {
		return nil, err
	}
	return watchedLease{l, q.done}, nil
}

func (l watchedLease) Done(ctx context.Context) error {
	l.done()
	return l.Lease.Done(ctx)
}

// watchedStore is a store that tells when a record is stored.
type watchedStore struct {
	flow.Store
	put func()
}

func (s watchedStore) Put(ctx context.Context, r flow.Record) error {
	defer s.put()
	return s.Store.Put(ctx, r)
}

// TestOtherQueue has its prompts in a queue that does not know the log. While NATS is away,
// the end of a prompt waits; if the process was killed then, the queue must still have the
// prompt, so that clients hear of its end.
func TestOtherQueue(t *testing.T) {
	p, nc := newPlace(t)
	p.begin(t)
	bus, err := nats.Open(t.Context(), nc, &nats.Options{Logger: quiet, LogBytes: 64 << 20})
	require.NoError(t, err)
	defer bus.Close()
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
	defer hub.Close()
	put, done := make(chan struct{}), make(chan bool, 10)
	queue := watchedQueue{flow.NewQueue(nil), func() { done <- hasEnd(t, bus.Log(), "p") }}
	r := flow.NewRegistry()
	flow.Register(r, counts{}, nodebus.Info{Name: "Counts"})
	e := flow.NewEngine(r, hub, &flow.EngineOptions{
		Queue: queue, Store: watchedStore{flow.NewStore(nil), func() { close(put) }}, Logger: quiet,
	})
	p.end(t)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	g := nodebus.NewGraph()
	g.AddAs("c", "Counts", nodebus.Inputs{"to": 3})
	_, err = e.Submit(t.Context(), &nodebus.Prompt{ID: "p", ClientID: "ann", Nodes: g.Nodes()}, nil)
	require.NoError(t, err)
	<-put
	p.begin(t)
	require.True(t, <-done, "the log has the events when the prompt leaves the queue")
	out, err := e.Wait(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, nodebus.Succeeded, out.State)
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
}

// hasEnd reports whether a log has stored the end of a prompt.
func hasEnd(t *testing.T, l nodebus.Log, id string) bool {
	page, err := l.Read(nodebus.LogQuery{Prompts: []string{id}, UpTo: 1 << 62})
	if err != nil {
		t.Error(err)
		return false
	}
	return slices.ContainsFunc(page.Events, func(ev nodebus.Event) bool {
		e, ok := ev.Payload.(nodebus.Executing)
		return ok && e.UniqueID == ""
	})
}
