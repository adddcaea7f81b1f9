package comfy_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/require"
)

// TestRunIDAgain: the id of a prompt whose record was deleted is used again. The log still
// has the events of the first prompt; nobody sees them as the second.
func TestRunIDAgain(t *testing.T) {
	for name, waits := range map[string]bool{"waits": true, "runs": false} {
		t.Run(name, func(t *testing.T) {
			h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 1})
			h.submit("ann", `{"secret":{"class_type":"Wait","inputs":{"name":"a"}}}`, `"prompt_id":"p"`)
			h.gate.open("a")
			h.ended("p")
			old := h.state("p")
			require.True(t, old.Closed)
			require.Equal(t, 200, h.post("/history", `{"delete":["p"]}`).status)
			if waits {
				h.busy("other")
			}
			s, res := h.follow("POST", runs, `{"client_id":"bob","prompt_id":"p","prompt":`+waitFor("b")+`}`)
			require.Equal(t, 200, res.status)
			require.Equal(t, "nodebus.run", s.next())
			watcher, _ := h.follow("GET", runs+"/p", "")
			require.Equal(t, "nodebus.run", watcher.next())
			if run := h.state("p"); waits {
				require.Equal(t, fold.Run{PromptID: "p", Nodes: run.Nodes, Order: run.Order, Waiting: run.Waiting}, run)
				require.Empty(t, run.Nodes)
				h.gate.open("busy")
			}
			for _, s := range []*stream{s, watcher} {
				require.NotContains(t, s.run.Nodes, "secret")
				require.False(t, s.run.Closed)
				s.begun()
			}
			run := h.state("p")
			require.Equal(t, []string{"1"}, run.Order)
			require.Equal(t, fold.Running, run.State)
			h.gate.open("b")
			for _, s := range []*stream{s, watcher} {
				s.until("executing <nil>")
				require.Empty(t, s.next(), "the stream ends")
				require.Equal(t, []string{"1"}, s.run.Order)
			}
			run = h.state("p")
			require.Equal(t, []any{nodebus.Succeeded, []string{"1"}}, []any{run.State, run.Order})
		})
	}
}

// TestRunIDAgainOfAnother: a client that uses the id of another client's prompt again does
// not see what that prompt has done.
func TestRunIDAgainOfAnother(t *testing.T) {
	h := shared(t)
	require.Equal(t, 404, h.send("GET", runs+"/ann-ended", "", "Who", "bob").status)
	require.Equal(t, 200, h.post("/history", `{"delete":["ann-ended"]}`, "Who", "ann").status)
	require.Equal(t, 200, h.post("/nodebus/queue", `{"paused":true}`, "Who", "boss").status)
	require.Equal(t, 200, h.post("/prompt", `{"prompt_id":"ann-ended","prompt":`+quick+`}`, "Who", "bob").status)
	run := h.state("ann-ended", "Who", "bob")
	require.Equal(t, []any{nodebus.State(""), false}, []any{run.State, run.Closed})
	require.Empty(t, run.Nodes)
	require.Equal(t, 404, h.send("GET", runs+"/ann-ended", "", "Who", "ann").status)
	h.gate.open("gate of ann")
	h.gate.open("gate of bob")
}

// TestRunDeletedAndAgain: the stream of a prompt that is deleted ends, also if the log has
// the end of an earlier prompt with the same id, and never tells of a later prompt.
func TestRunDeletedAndAgain(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 1})
	h.submit("ann", quick, `"prompt_id":"p"`)
	h.ended("p")
	require.Equal(t, 200, h.post("/history", `{"delete":["p"]}`).status)
	h.busy("other")
	s, _ := h.follow("POST", runs, `{"client_id":"ann","prompt_id":"p","prompt":`+quick+`}`)
	require.Equal(t, "nodebus.run", s.next())
	require.Equal(t, 200, h.post("/queue", `{"delete":["p"]}`).status)
	h.submit("bob", waitFor("b"), `"prompt_id":"p"`)
	h.gate.open("busy")
	require.Empty(t, s.next(), "the stream ends")
	again, _ := h.follow("GET", runs+"/p", "")
	again.begun()
	h.gate.open("b")
	again.until("executing <nil>")
}
