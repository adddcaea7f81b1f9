package comfy_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// seen shows its input and passes it on.
type seen struct{ Value int }

type seenOut struct {
	Value int `out:"value"`
	UI    nodebus.UI
}

func (n seen) Run(*nodebus.Context) (seenOut, error) {
	return seenOut{n.Value, nodebus.UI{"seen": {n.Value}}}, nil
}

// TestIntermediateOutputs: a cached node in the middle of a graph sends again what it shows,
// immediately before the end, and the history has it.
func TestIntermediateOutputs(t *testing.T) {
	for name, cache := range map[string]flow.Cache{"default": nil, "classic": flow.ClassicCache()} {
		t.Run(name, func(t *testing.T) {
			x := &struct{ *flow.Local }{}
			h := newHostThat(t, nil, &flow.EngineOptions{Executor: x}, func(e *flow.Engine) {
				x.Local = flow.NewLocal(e.Registry(), &flow.LocalOptions{Cache: cache})
			})
			flow.Register(h.reg, seen{}, nodebus.Info{Name: "Seen", Intermediate: true})
			const graph = `{"1":{"class_type":"Seen","inputs":{"value":5}},"2":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}`
			s := h.connect("a")
			s.next()
			for i, want := range [][]string{
				{"execution_start", "execution_cached", "executing 1", "executed 1", "executing 2", "executed 2", "execution_success", "executing <nil>"},
				{"execution_start", "execution_cached", "executed 2", "executed 1", "execution_success", "executing <nil>"},
				{"execution_start", "execution_cached", "executed 2", "executed 1", "execution_success", "executing <nil>"},
			} {
				id := h.submit("a", graph)
				require.Equal(t, want, without(s.until("executing <nil>"), "status", "progress_state"), i)
				entry := at(t, h.get("/history/"+id), id)
				require.Equal(t, []any{5.0}, at(t, entry, "outputs", "1", "seen"), i)
				require.Equal(t, map[string]any{"node_id": "1", "display_node": "1", "parent_node": nil, "real_node_id": "1"}, at(t, entry, "meta", "1"), i)
			}
		})
	}
}
