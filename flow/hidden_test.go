package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// secretive has every kind of hidden input.
type secretive struct {
	ID     string        `hidden:"UNIQUE_ID"`
	Prompt string        `hidden:"PROMPT_ID"`
	Nodes  nodebus.Nodes `hidden:"PROMPT"`
	Live   nodebus.Nodes `hidden:"DYNPROMPT"`
	Info   any           `hidden:"EXTRA_PNGINFO"`
	Token  string        `hidden:"AUTH_TOKEN_COMFY_ORG"`
	Key    string        `hidden:"API_KEY_COMFY_ORG"`
	got    *secretive
}

func (n secretive) Run(*nodebus.Context) (int, error) {
	*n.got = n
	return 0, nil
}

func TestHiddenInputs(t *testing.T) {
	r := flow.NewRegistry()
	var got secretive
	flow.Register(r, secretive{got: &got}, nodebus.Info{Name: "S", Output: true})
	nodes := parse(t, `{"7":{"class_type":"S","inputs":{"id":"forged","token":["7",0]}}}`)
	delete(nodes[0].Inputs, "token")
	p := &nodebus.Prompt{
		ID: "p", Nodes: nodes, Extra: map[string]any{"extra_pnginfo": "png"},
	}
	hub := nodebus.NewHub(nil)
	_, err := flow.NewLocal(r, nil).Execute(t.Context(), nodebus.Job{Prompt: p, Secrets: map[string]string{"API_KEY_COMFY_ORG": "key"}}, hub)
	require.NoError(t, err)
	got.got = nil
	require.Equal(t, secretive{ID: "7", Prompt: "p", Nodes: nodes, Live: nodes, Info: "png", Key: "key"}, got)
	require.NoError(t, hub.Close())
}
