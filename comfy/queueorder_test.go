package comfy_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// ordered returns the answer of /nodebus/queue for a queue that is paused or not, and the
// given ids, separated by spaces.
func ordered(paused bool, running, waiting string) map[string]any {
	list := func(ids string) []any {
		all := []any{}
		for id := range strings.FieldsSeq(ids) {
			all = append(all, id)
		}
		return all
	}
	return map[string]any{"paused": paused, "running": list(running), "waiting": list(waiting)}
}

// withFour returns a host with a prompt that runs and the waiting prompts a, b, c and d.
func withFour(t *testing.T) (h *host, run string) {
	h = newHost(t, nil)
	run = h.busy("me")
	for _, id := range []string{"a", "b", "c", "d"} {
		h.submit("me", quick, fmt.Sprintf(`"prompt_id":%q`, id))
	}
	return h, run
}

func TestQueueOrder(t *testing.T) {
	twins(t, "/nodebus/queue", func(t *testing.T, path string) {
		empty := newHost(t, nil)
		require.Equal(t, `{"paused":false,"waiting":[],"running":[]}`, empty.send("GET", path, "").body)

		h, run := withFour(t)
		require.Equal(t, ordered(false, run, "a b c d"), h.get(path))
		for _, c := range []struct {
			body, waiting string
			paused        bool
		}{
			{`{"first":"c"}`, "c a b d", false},
			{`{"first":"c"}`, "c a b d", false},
			{`{"first":"d"}`, "d c a b", false},
			{`{"order":["a","b"]}`, "a b d c", false},
			{`{"order":["c","b","c","a"]}`, "c b a d", false}, // the first place of c counts
			{`{"order":[]}`, "c b a d", false},
			{`{"first":"a","order":["d","a","c"]}`, "a d c b", false},
			{`{"paused":true}`, "a d c b", true},
			{`{"paused":true,"first":"b"}`, "b a d c", true},
			{`{"order":["a","b","c","d"],"odd":5}`, "a b c d", true},
			{`{"paused":false,"order":["d"]}`, "d a b c", false},
			{`{"paused":null,"first":null,"order":["c"]}`, "c d a b", false},
		} {
			a := h.post(path, c.body)
			require.Equal(t, 200, a.status, "%s: %s", c.body, a.body)
			require.Equal(t, ordered(c.paused, run, c.waiting), a.json(t), c.body)
			require.Equal(t, ordered(c.paused, run, c.waiting), h.get(path), c.body)
			require.Equal(t, c.paused, h.engine.Paused(), c.body)
		}
		h.gate.open("busy")
		h.ended("b") // the last in the order
		require.Equal(t, ordered(false, "", ""), h.get(path))
	})
}

// TestQueueOrderPauses: nothing begins while the queue is paused, and the status says so.
func TestQueueOrderPauses(t *testing.T) {
	h := newHost(t, nil)
	s := h.connect("me")
	require.Equal(t, 200, h.post("/nodebus/queue", `{"paused":true}`).status)
	for said := s.next(); ; said = s.next() {
		if info := at(t, said.Data, "status", "exec_info").(map[string]any); info["paused"] == true {
			break
		}
	}
	h.submit("me", quick, `"prompt_id":"a"`)
	h.submit("me", quick, `"prompt_id":"b"`)
	require.Equal(t, ordered(true, "", "a b"), h.get("/nodebus/queue"))
	require.Equal(t, ordered(true, "", "b a"), h.post("/nodebus/queue", `{"first":"b"}`).json(t))
	require.Equal(t, 200, h.post("/nodebus/queue", `{"paused":false}`).status)
	var begun []any
	for len(begun) < 2 {
		if m := s.next(); m.Type == "execution_start" {
			begun = append(begun, m.Data["prompt_id"])
		}
	}
	require.Equal(t, []any{"b", "a"}, begun)
}

// TestQueueOrderRefuses: if a part of the request is refused, nothing changes.
func TestQueueOrderRefuses(t *testing.T) {
	h, run := withFour(t)
	for body, want := range map[string]struct {
		status int
		text   string
	}{
		``:                   {400, "the body is not the expected JSON"},
		`[]`:                 {400, "the body is not the expected JSON"},
		`{"paused":1}`:       {400, "the body is not the expected JSON"},
		`{"first":5}`:        {400, "the body is not the expected JSON"},
		`{"order":"a"}`:      {400, "the body is not the expected JSON"},
		`{"order":[5]}`:      {400, "the body is not the expected JSON"},
		`{}`:                 {400, "the body must have paused, first or order"},
		`null`:               {400, "the body must have paused, first or order"},
		`{"clear":true}`:     {400, "the body must have paused, first or order"},
		`{"first":"e"}`:      {404, `no prompt with this id waits: \"e\"`},
		`{"first":""}`:       {404, `no prompt with this id waits: \"\"`},
		`{"order":["b",""]}`: {404, `no prompt with this id waits: \"\"`},
		`{"paused":true,"order":["b","` + run + `"]}`: {404, "no prompt with this id waits"},
		`{"paused":true,"first":"b","order":["e"]}`:   {404, `no prompt with this id waits: \"e\"`},
	} {
		a := h.post("/nodebus/queue", body)
		require.Equal(t, want.status, a.status, "%s: %s", body, a.body)
		require.Contains(t, a.body, want.text, body)
	}
	require.Equal(t, 403, h.post("/nodebus/queue", `{"paused":true}`, "Origin", "https://evil.example").status)
	require.Equal(t, 403, h.post("/nodebus/queue", `{"paused":true}`, "Host", "evil.example").status)
	require.Equal(t, ordered(false, run, "a b c d"), h.get("/nodebus/queue"))
	h.gate.open("busy")
}

// brokenQueue is a queue whose list, or whose moves, fail.
type brokenQueue struct {
	flow.Queue
	list, move error
}

func (q *brokenQueue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	if q.list != nil {
		return func(yield func(flow.Queued, error) bool) { yield(flow.Queued{}, q.list) }
	}
	return q.Queue.List(ctx, ids...)
}

func (q *brokenQueue) Move(ctx context.Context, id string, priority float64) error {
	if q.move != nil {
		return q.move
	}
	return q.Queue.Move(ctx, id, priority)
}

// TestQueueOrderWithoutQueue: if the queue fails, the status is 503, without its error. A
// prompt that begins between the check and the move is no error.
func TestQueueOrderWithoutQueue(t *testing.T) {
	q := &brokenQueue{Queue: flow.NewQueue(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Queue: q})
	h.engine.Pause()
	h.submit("me", quick, `"prompt_id":"a"`)
	h.submit("me", quick, `"prompt_id":"b"`)

	q.move = errors.New("secret")
	a := h.post("/nodebus/queue", `{"first":"b","paused":false}`)
	require.Equal(t, 503, a.status)
	require.NotContains(t, a.body, "secret")
	require.True(t, h.engine.Paused(), "it resumes only after the move")
	q.move = fmt.Errorf("%w: it has begun", flow.ErrNotFound)
	require.Equal(t, ordered(true, "", "a b"), h.post("/nodebus/queue", `{"first":"b"}`).json(t))
	q.move = nil

	q.list = errors.New("secret")
	for _, a := range []answered{h.send("GET", "/nodebus/queue", ""), h.post("/nodebus/queue", `{"first":"b"}`), h.post("/nodebus/queue", `{"paused":true}`)} {
		require.Equal(t, 503, a.status)
		require.NotContains(t, a.body, "secret")
	}
	q.list = nil
	h.engine.Resume()
	h.ended("b")
}

// TestQueueOrderUndoesPause: if the prompts cannot be moved, the queue is not paused.
func TestQueueOrderUndoesPause(t *testing.T) {
	q := &brokenQueue{Queue: flow.NewQueue(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Queue: q, Parallel: 1})
	h.busy("me")
	h.submit("me", quick, `"prompt_id":"a"`)
	q.move = errors.New("secret")
	for _, before := range []bool{false, true} {
		if before {
			h.engine.Pause()
		}
		require.Equal(t, 503, h.post("/nodebus/queue", `{"paused":true,"first":"a"}`).status)
		require.Equal(t, before, h.engine.Paused(), "as before")
	}
	q.move = nil
	h.engine.Resume()
	h.gate.open("busy")
	h.ended("a")
}
