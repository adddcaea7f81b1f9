package flow_test

import (
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// sourced shows what the client says about itself.
type sourced struct {
	Source string `in:"source" hidden:"COMFY_USAGE_SOURCE"`
	runs   *atomic.Int32
}

func (n sourced) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	n.runs.Add(1)
	return nodebus.Text(n.Source, ctx.Hidden("COMFY_USAGE_SOURCE").(string)), nil
}

// TestNewest1_UsageSource: a node that asks for it gets comfy_usage_source of extra_data. It is
// not a part of the cache key, and no client can set it by the name of the input.
func TestNewest1_UsageSource(t *testing.T) {
	for name, tt := range map[string]struct {
		extra map[string]any
		want  string
	}{
		"a text":    {map[string]any{"comfy_usage_source": "a-client"}, "a-client"},
		"no text":   {map[string]any{"comfy_usage_source": []any{"x"}}, ""},
		"null":      {map[string]any{"comfy_usage_source": nil}, ""},
		"not there": {map[string]any{}, ""},
		"no extra":  {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				var runs atomic.Int32
				flow.Register(r.reg, sourced{runs: &runs}, nodebus.Info{Name: "Sourced"})
				graph := `{"1":{"class_type":"Sourced","inputs":{"source":"forged"}}}`
				o := r.submit(&nodebus.Prompt{Nodes: parse(r.t, graph), ClientID: "client", Extra: tt.extra})
				require.Equal(r.t, []any{tt.want, tt.want}, o.text("1"))
				require.Equal(r.t, tt.extra, o.record.Prompt.Extra, "it stays in the record")
				r.submit(&nodebus.Prompt{Nodes: parse(r.t, graph), ClientID: "client", Extra: map[string]any{"comfy_usage_source": "another"}})
				require.EqualValues(r.t, 1, runs.Load())
				c, _ := r.reg.Class("Sourced")
				require.Contains(r.t, jsonOf(r.t, c.Schema()), `"hidden":{"source":"COMFY_USAGE_SOURCE"}`)
			})
		})
	}
}
