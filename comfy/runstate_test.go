package comfy_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/require"
)

// TestRunStateWithoutStart: a prompt that runs is running, also if the log has lost its
// first events, or all of them.
func TestRunStateWithoutStart(t *testing.T) {
	log := nodebus.NewMemoryLog(nil)
	h := newHostOn(t, nodebus.NewHub(&nodebus.HubOptions{Log: log}), nil, &flow.EngineOptions{Parallel: 1}, func(*flow.Engine) {})
	h.submit("me", waitFor("a"), `"prompt_id":"p"`)
	s, _ := h.follow("GET", runs+"/p", "")
	s.begun()
	check := func(incomplete bool) {
		t.Helper()
		run := h.state("p")
		require.Equal(t, []any{fold.Running, incomplete}, []any{run.State, run.Incomplete})
		late, _ := h.follow("GET", runs+"/p", "")
		require.Equal(t, "nodebus.run", late.next())
		same(t, &run, &late.run)
		late.close()
	}
	check(false)
	require.NoError(t, log.Drop("p"))
	check(true)
	require.NoError(t, h.hub.Publish(nodebus.Event{PromptID: "p", Attempt: 1, Payload: spoken{"1", "word"}}))
	s.until("spoken word")
	check(true)
	h.gate.open("a")
}
