package comfy_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// queueThatHolds returns a queue that an earlier process has left: the prompts "a" to "c" with the
// numbers 3 to 5 wait, and one with a number that a client has chosen.
func queueThatHolds(t *testing.T) flow.Queue {
	t.Helper()
	q := flow.NewQueue(nil)
	var nodes nodebus.Nodes
	require.NoError(t, json.Unmarshal([]byte(quick), &nodes))
	for i, id := range []string{"a", "b", "c", "chosen"} {
		number := float64(3 + i)
		if id == "chosen" {
			number = 1e300
		}
		require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: id, ClientID: "me", Priority: number, Nodes: nodes}, nil))
	}
	return q
}

// TestServerOverAFilledQueue has a server that begins over the queue of an earlier process:
// its prompts are listed, can be ended, and run before new prompts.
func TestServerOverAFilledQueue(t *testing.T) {
	q := queueThatHolds(t)
	opts := &flow.EngineOptions{Queue: q, Parallel: 1}
	h := newHostThat(t, nil, opts, (*flow.Engine).Pause)
	require.Contains(t, h.send("GET", "/prompt", "").body, `"queue_remaining":4`)
	require.Contains(t, h.send("GET", "/prompt", "").body, `"paused":true`)
	require.Equal(t, []string{"a", "b", "c", "chosen"}, h.ids("queue_pending"))
	require.Equal(t, 409, h.post("/prompt", `{"prompt_id":"b","prompt":`+quick+`}`).status)
	require.Contains(t, h.post("/prompt", `{"client_id":"x","prompt":`+quick+`}`).body, `"number":7,`, "the refused prompt has used up a number")
	require.Contains(t, h.post("/prompt", `{"front":true,"prompt":`+quick+`}`).body, `"number":-8,`)
	require.Equal(t, 200, h.post("/interrupt", `{"prompt_id":"a"}`).status)
	require.Equal(t, 200, h.post("/queue", `{"delete":["b"]}`).status)
	require.Equal(t, "cancelled", at(t, h.get("/api/jobs/a"), "status"))
	require.Equal(t, "pending", at(t, h.get("/api/jobs/c"), "status"))
	require.Equal(t, 404, h.send("GET", "/api/jobs/b", "").status)
	h.engine.Resume()
	h.ended("c")
	h.ended("chosen")
	require.Equal(t, "completed", at(t, h.get("/api/jobs/c"), "status"))
}
