package flow_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// panicsInJSON is a value of a program whose MarshalJSON panics.
type panicsInJSON struct{}

func (panicsInJSON) MarshalJSON() ([]byte, error) { panic("oh") }

// TestSubmitValueThatPanics: Submit refuses the prompt and says where the value is.
func TestSubmitValueThatPanics(t *testing.T) {
	bad := map[string]any{"x": panicsInJSON{}}
	for name, c := range map[string]struct {
		prompt *nodebus.Prompt
		where  string
	}{
		"extra":          {&nodebus.Prompt{Nodes: shown("x"), Extra: map[string]any{"x": bad}}, "Extra"},
		"input":          {&nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "o", Class: "Show", Inputs: in{"in": bad}}}}, "node o"},
		"unknown input":  {&nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "o", Class: "Show", Inputs: in{"in": 1, "more": bad}}}}, "o"},
		"unneeded input": {&nodebus.Prompt{Outputs: []string{"o"}, Nodes: nodebus.Nodes{{ID: "o", Class: "Show", Inputs: in{"in": 1}}, {ID: "rest", Class: "Show", Inputs: in{"in": bad}}}}, "rest"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				_, err := r.engine.Submit(r.ctx, c.prompt, nil)
				var refused *nodebus.ValidationError
				require.ErrorAs(t, err, &refused)
				require.ErrorContains(t, err, c.where)
				require.ErrorContains(t, err, "oh")
				require.Zero(t, r.engine.Remaining())
			})
		})
	}
}

// TestAnswerThatPanics: the panic is an error of whoever answers.
func TestAnswerThatPanics(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		asksFor[bool](r, "Ask", "q", nil)
		wait := r.ask("Ask")
		err := r.engine.Answer(r.ctx, "p", "x", "q", panicsInJSON{})
		require.ErrorContains(t, err, `the answer to "q" has no JSON form`)
		require.ErrorAs(t, err, new(*nodebus.PanicError))
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", true))
		require.Equal(t, []any{"true"}, wait().text("out"))
	})
}

// TestSubmitMeta: metadata that is not JSON would make the prompt and its record
// unreadable, so Submit refuses it by the name of its node.
func TestSubmitMeta(t *testing.T) {
	for meta, good := range map[string]bool{"": true, "null": true, `{"title":"x"}`: true, "[1e999]": true, "{bad": false, "{}{}": false, " ": false} {
		inBubble(t, nil, nil, func(r *rig) {
			nodes := append(shown("x"), nodebus.NodeSpec{ID: "rest", Class: "Show", Inputs: in{}, Meta: json.RawMessage(meta)})
			_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "p", Nodes: nodes, Outputs: []string{"o"}}, nil)
			if good {
				require.NoError(t, err, meta)
				_, err := json.Marshal(nodebus.Prompt{Nodes: nodes})
				require.NoError(t, err, meta)
				return
			}
			var refused *nodebus.ValidationError
			require.ErrorAs(t, err, &refused, meta)
			require.Contains(t, refused.Message, "_meta", meta)
			require.Contains(t, refused.Details, "rest", meta)
			_, err = r.engine.Store().Get(r.ctx, "p")
			require.ErrorIs(t, err, flow.ErrNotFound)
		})
	}
}
