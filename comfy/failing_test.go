package comfy_test

import (
	"context"
	"errors"
	"iter"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

var errDisk = errors.New("the disk of 10.0.0.7 is gone")

// failingQueue and failingStore return errDisk while fails is true.
type failingQueue struct {
	flow.Queue
	fails atomic.Bool
}

func (q *failingQueue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	if q.fails.Load() {
		return errDisk
	}
	return q.Queue.Push(ctx, p, secrets)
}

func (q *failingQueue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	if q.fails.Load() {
		return func(yield func(flow.Queued, error) bool) { yield(flow.Queued{}, errDisk) }
	}
	return q.Queue.List(ctx, ids...)
}

type failingStore struct {
	flow.Store
	fails atomic.Bool
}

func (s *failingStore) Get(ctx context.Context, id string) (flow.Record, error) {
	if s.fails.Load() {
		return flow.Record{}, errDisk
	}
	return s.Store.Get(ctx, id)
}

func (s *failingStore) List(ctx context.Context) iter.Seq2[flow.Record, error] {
	if s.fails.Load() {
		return func(yield func(flow.Record, error) bool) { yield(flow.Record{}, errDisk) }
	}
	return s.Store.List(ctx)
}

func (s *failingStore) Delete(ctx context.Context, ids ...string) error {
	if s.fails.Load() {
		return errDisk
	}
	return s.Store.Delete(ctx, ids...)
}

// TestQueueOrStoreFails: if the queue or the store fails, the answer has status 503
// and does not show the reason. After the failure, everything is as before.
func TestQueueOrStoreFails(t *testing.T) {
	q, st := &failingQueue{Queue: flow.NewQueue(nil)}, &failingStore{Store: flow.NewStore(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 4, Queue: q, Store: st})
	done := h.submit("me", quick)
	h.ended(done)
	h.submit("me", waitFor("a"))
	waits := h.submit("me", waitFor("b"))

	for _, c := range []struct {
		method, path, body string
		fails              *atomic.Bool
	}{
		{"POST", "/prompt", `{"prompt":` + quick + `}`, &q.fails},
		{"POST", "/prompt", `{"prompt":` + quick + `,"prompt_id":"9f0d7f44-4b0e-4c39-a5a4-5d3ad2b0e5d1"}`, &st.fails}, // it may have been used
		{"GET", "/queue", "", &q.fails},
		{"POST", "/queue", `{"clear":true}`, &q.fails},
		{"GET", "/history", "", &st.fails},
		{"GET", "/history?max_items=1", "", &st.fails},
		{"GET", "/history/" + done, "", &st.fails},
		{"POST", "/history", `{"clear":true}`, &st.fails},
		{"GET", "/api/jobs", "", &st.fails},
		{"GET", "/api/jobs", "", &q.fails},
		{"GET", "/api/jobs/" + done, "", &st.fails},
		{"GET", "/api/jobs/" + waits, "", &q.fails},
	} {
		c.fails.Store(true)
		a := h.send(c.method, c.path, c.body)
		c.fails.Store(false)
		require.Equal(t, http.StatusServiceUnavailable, a.status, "%s %s: %s", c.method, c.path, a.body)
		require.Contains(t, a.json(t), "error")
		require.NotContains(t, a.body, "disk", "why is nobody else's business")
	}
	require.EqualValues(t, 2, at(t, h.get("/prompt"), "exec_info", "queue_remaining"))
	require.Contains(t, h.get("/history"), done)
	h.gate.open("a")
	h.gate.open("b")
	require.Contains(t, h.ended(waits), "execution_success")
}
