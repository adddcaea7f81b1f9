package flow_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// seed shows a number that no float64 holds.
type seed struct{}

func (seed) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.UI{"seed": {uint64(1<<63 + 1)}}, nil
}

// TestRecordSurvivesJSON: a record that a store keeps as JSON has all numbers of the prompt,
// of what nodes showed, and of the inputs of the error.
func TestRecordSurvivesJSON(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, seed{}, nodebus.Info{Name: "Seed"})
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("no") })
		g := nodebus.NewGraph()
		g.AddAs("u", "Seed", nil)
		g.AddAs("s", "Show", in{"in": g.AddAs("f", "Fail", in{"in": uint64(1<<63 + 1), "in2": 0.1})})
		rec := r.submit(&nodebus.Prompt{
			ID: "p", Nodes: g.Nodes(), Policy: nodebus.Policy{Continue: true},
			Extra: map[string]any{"extra_pnginfo": map[string]any{"seed": json.Number("9223372036854775809"), "n": int64(-1<<62 - 1)}},
		}).record
		text, err := json.Marshal(rec)
		require.NoError(t, err)
		var back flow.Record
		require.NoError(t, json.Unmarshal(text, &back))
		again, err := json.Marshal(back)
		require.NoError(t, err)
		require.Equal(t, string(text), string(again))
		for _, part := range []any{back.Prompt.Extra, back.Prompt.Nodes, back.Outputs, back.Error.CurrentInputs} {
			text, err := json.Marshal(part)
			require.NoError(t, err)
			require.Contains(t, string(text), "9223372036854775809")
		}
	})
}
