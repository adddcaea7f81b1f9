package comfy_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"runtime"
	"slices"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// ids returns the prompt ids of one list in the answer of /queue.
func (h *host) ids(list string) (ids []string) {
	h.t.Helper()
	for _, item := range at(h.t, h.get("/queue"), list).([]any) {
		ids = append(ids, at(h.t, item, 1).(string))
	}
	return ids
}

// busy starts a prompt of the client that runs until the gate "busy" opens.
func (h *host) busy(client string) (id string) {
	h.t.Helper()
	id = h.submit(client, waitFor("busy"))
	s := h.dial("watch="+id, nil)
	s.until("executing 1")
	s.close()
	return id
}

func TestQueueListing(t *testing.T) {
	twins(t, "/queue", func(t *testing.T, path string) {
		h := newHost(t, nil)
		require.Equal(t, `{"queue_running":[],"queue_pending":[]}`, h.send("GET", path, "").body)
		running := h.busy("me")
		h.submit("me", `{"b":{"class_type":"RefOutput","inputs":{"value":["a",0]}},"a":{"class_type":"StubInt","inputs":{"value":1}},
			"c":{"class_type":"RefOutput","inputs":{"value":2}}}`, `"prompt_id":"x"`, `"partial_execution_targets":["c"]`)
		h.submit("me", quick, `"prompt_id":"y"`, `"number":0.5`)

		list := h.get(path)
		require.Len(t, at(t, list, "queue_running"), 1)
		item := at(t, list, "queue_running", 0).([]any)
		require.Len(t, item, 5)
		require.EqualValues(t, 0, item[0])
		require.Equal(t, running, item[1])
		require.Equal(t, "Wait", at(t, item[2], "1", "class_type"))
		extra := item[3].(map[string]any)
		require.Equal(t, "me", extra["client_id"])
		require.Greater(t, extra["create_time"], 1.7e12, "in milliseconds")
		require.Len(t, extra, 2)
		require.Equal(t, []any{"1"}, item[4])

		require.Equal(t, "y", at(t, list, "queue_pending", 0, 1))
		require.EqualValues(t, 0.5, at(t, list, "queue_pending", 0, 0))
		require.Equal(t, []any{"c"}, at(t, list, "queue_pending", 1, 4), "the outputs that will run")
		require.Contains(t, h.send("GET", path, "").body, `{"b":{"class_type":"RefOutput","inputs":{"value":["a",0]}},"a":`, "the graph keeps its order")
		h.gate.open("busy")
	})
}

// listedQueue calls listed once, after it has listed the waiting prompts. The
// server has not yet listed the running prompts at that moment.
type listedQueue struct {
	flow.Queue
	listed func()
}

func (q *listedQueue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	return func(yield func(flow.Queued, error) bool) {
		var all []flow.Queued
		for p, err := range q.Queue.List(ctx, ids...) {
			if err != nil {
				yield(flow.Queued{}, err)
				return
			}
			all = append(all, p)
		}
		if listed := q.listed; listed != nil {
			q.listed = nil
			listed()
		}
		for _, p := range all {
			if !yield(p, nil) {
				return
			}
		}
	}
}

// TestListingsInTransition: a prompt that begins or ends while the server makes a
// list is in the list exactly once.
func TestListingsInTransition(t *testing.T) {
	count := map[string]func(h *host) []string{
		"/queue": func(h *host) (all []string) {
			list := h.get("/queue")
			for _, half := range []string{"queue_running", "queue_pending"} {
				for _, item := range at(t, list, half).([]any) {
					all = append(all, at(t, item, 1).(string))
				}
			}
			return all
		},
		"/api/jobs": func(h *host) (all []string) {
			for _, job := range at(t, h.get("/api/jobs"), "jobs").([]any) {
				all = append(all, at(t, job, "id").(string))
			}
			return all
		},
		"/api/jobs/{id}": func(h *host) []string {
			return []string{at(t, h.get("/api/jobs/second"), "id").(string), "first"}
		},
	}
	for path, list := range count {
		t.Run(path, func(t *testing.T) {
			q := &listedQueue{Queue: flow.NewQueue(nil)}
			h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 4, Queue: q})
			h.submit("me", waitFor("a"), `"prompt_id":"first"`)
			watch := h.dial("watch=first&watch=second", nil)
			watch.until("executing 1")
			h.submit("me", waitFor("b"), `"prompt_id":"second"`)
			q.listed = func() {
				h.gate.open("a")
				watch.until("executing <nil>")
				watch.until("executing 1")
			}
			all := list(h)
			require.Contains(t, all, "second", "it waited, and runs now")
			seen := map[string]bool{}
			for _, id := range all {
				require.False(t, seen[id], "%s is there twice", id)
				seen[id] = true
			}
			if path != "/queue" {
				require.True(t, seen["first"], "it ran, and has a record now")
			}
			h.gate.open("b")
			h.ended("second")
		})
	}
}

func TestQueueDeleteAndClear(t *testing.T) {
	twins(t, "/queue", func(t *testing.T, path string) {
		for body, left := range map[string][]string{
			`{"delete":["b"]}`:                   {"a", "c"},
			`{"delete":["b","c","b","unknown"]}`: {"a"},
			`{"delete":["run","unknown"]}`:       {"a", "b", "c"},
			`{"delete":[]}`:                      {"a", "b", "c"},
			`{"clear":false,"delete":null}`:      {"a", "b", "c"},
			`{}`:                                 {"a", "b", "c"},
			`null`:                               {"a", "b", "c"},
			`{"clear":true}`:                     nil,
			`{"clear":1,"delete":["unknown"],"odd":5}`: nil,
		} {
			h := newHost(t, nil)
			run := h.busy("me")
			for _, id := range []string{"a", "b", "c"} {
				h.submit("me", quick, fmt.Sprintf(`"prompt_id":%q`, id))
			}
			s := h.connect("me")
			s.next()
			a := h.post(path, body)
			require.Equal(t, 200, a.status, body)
			require.Empty(t, a.body)
			require.Equal(t, left, h.ids("queue_pending"), body)
			require.Equal(t, []string{run}, h.ids("queue_running"), "never those that run")
			require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
			said := s.until("spoken over")
			require.Equal(t, len(left) < 3, len(without(said, "execution", "executing", "progress", "spoken")) > 0, "the count: %s", body)
			require.NotContains(t, said, "execution_interrupted")
			require.NotContains(t, said, "executing <nil>")
			require.Equal(t, map[string]any{}, h.get("/history"), "what is deleted leaves no record")
			h.gate.open("busy")
		}
	})
}

func TestQueueRefuses(t *testing.T) {
	h := newHost(t, nil)
	run := h.busy("me")
	h.submit("me", quick, `"prompt_id":"a"`)
	for _, body := range []string{``, `{`, `5`, `[]`, `"clear"`, `{"delete":"a"}`, `{"delete":[5]}`, `{"delete":{"a":1}}`} {
		require.Equal(t, 400, h.post("/queue", body).status, body)
	}
	require.Equal(t, []string{"a"}, h.ids("queue_pending"))
	h.gate.open("busy")
	h.ended(run)
}

// failsOnce fails, and pauses the engine, so that the next attempt waits.
type failsOnce struct{ engine *flow.Engine }

func (n failsOnce) Run(*nodebus.Context) (nodebus.UI, error) {
	n.engine.Pause()
	return nil, errors.New("once")
}

// TestTellRemovedOnce: a prompt that has begun ends with the last word of the engine, and
// with no other, whether it pauses before its next attempt or waits for it.
func TestTellRemovedOnce(t *testing.T) {
	for name, after := range map[string]time.Duration{"it waits": 0, "it pauses": time.Hour} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, &comfy.Options{TellRemoved: true})
			flow.Register(h.reg, failsOnce{h.engine}, nodebus.Info{Name: "FailsOnce"})
			g := nodebus.NewGraph()
			g.AddAs("1", "FailsOnce", nil)
			me := h.connect("me")
			_, err := h.engine.Submit(t.Context(), &nodebus.Prompt{
				ID: "p", ClientID: "me", Nodes: g.Nodes(), Policy: nodebus.Policy{Retries: 1, RetryAfter: after},
			}, nil)
			require.NoError(t, err)
			me.until("executing 1")
			for !slices.Contains(h.ids("queue_pending"), "p") {
				runtime.Gosched()
			}
			require.Equal(t, 200, h.post("/queue", `{"delete":["p"]}`).status)
			h.engine.Resume() // whatever is left of the prompt begins
			if after > 0 {
				_, err := h.engine.Interrupt(t.Context(), "p")
				require.NoError(t, err)
			}
			h.ended("p")
			require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
			said := me.until("spoken over")
			ends := slices.DeleteFunc(said, func(m string) bool { return m != "execution_interrupted" && m != "executing <nil>" })
			require.Equal(t, []string{"execution_interrupted", "executing <nil>"}, ends)
		})
	}
}

// TestTellRemoved: with the option, the client of a deleted prompt learns that the
// prompt will not run. No other client does.
func TestTellRemoved(t *testing.T) {
	h := newHost(t, &comfy.Options{TellRemoved: true})
	me, other := h.connect("me"), h.connect("other")
	h.busy("me")
	me.until("executing 1")
	h.submit("me", quick, `"prompt_id":"gone"`)
	h.submit("me", quick, `"prompt_id":"cleared"`)
	for _, c := range [][2]string{{"gone", `{"delete":["gone","unknown"]}`}, {"cleared", `{"clear":true}`}} {
		id := c[0]
		require.Equal(t, 200, h.post("/queue", c[1]).status)
		m := me.next()
		for m.Type == "status" {
			m = me.next()
		}
		require.Equal(t, "execution_interrupted", m.Type)
		require.Greater(t, m.Data["timestamp"], 1.7e12)
		delete(m.Data, "timestamp")
		require.Equal(t, map[string]any{"prompt_id": id, "node_id": "", "node_type": "", "executed": []any{}}, m.Data)
		m = me.next()
		require.Equal(t, "executing <nil>", m.short())
		require.Equal(t, id, m.Data["prompt_id"])
	}
	require.NoError(t, h.hub.Broadcast(spoken{Text: "over"}))
	require.Empty(t, without(other.until("spoken over"), "status", "spoken"))
	require.Equal(t, map[string]any{}, h.get("/history"))
	h.gate.open("busy")
}
