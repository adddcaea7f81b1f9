package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These nodes receive the prompt id or secrets through hidden inputs.

type ofPrompt struct {
	ID string `hidden:"PROMPT_ID"`
}

func (n ofPrompt) Run(*nodebus.Context) (string, error) { return n.ID, nil }

type bought struct {
	Key   string `hidden:"API_KEY_COMFY_ORG"`
	Token string `hidden:"AUTH_TOKEN_COMFY_ORG"`
}

func (n bought) Run(ctx *nodebus.Context) (string, error) {
	return ctx.PromptID() + " with " + n.Key + "/" + n.Token, nil
}

// TestResultsOfPromptsAndSecretsAreTheirOwn checks that a result that depends on the
// prompt id or a secret is not shared with a prompt that has another id or secret.
func TestResultsOfPromptsAndSecretsAreTheirOwn(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, ofPrompt{}, nodebus.Info{Name: "OfPrompt"})
		flow.Register(r.reg, bought{}, nodebus.Info{Name: "Bought"})
		run := func(id, class string, secrets map[string]string) []any {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.Add(class, nil), "in2": g.Add(class, nil)})
			return r.startWith(&nodebus.Prompt{ID: id, Nodes: g.Nodes()}, &flow.SubmitOptions{Secrets: secrets})().text("o")
		}
		require.Equal(t, []any{"p1"}, run("p1", "OfPrompt", nil))
		require.Equal(t, []any{"p2"}, run("p2", "OfPrompt", nil))

		ours, theirs := map[string]string{"API_KEY_COMFY_ORG": "k"}, map[string]string{"AUTH_TOKEN_COMFY_ORG": "k"}
		require.Equal(t, []any{"p3 with k/"}, run("p3", "Bought", ours))
		require.Equal(t, []any{"p4 with /k"}, run("p4", "Bought", theirs))
		require.Equal(t, []any{"p5 with /"}, run("p5", "Bought", nil))
		require.Equal(t, []any{"p5 with /"}, run("p6", "Bought", nil), "the same secrets")
	})
}
