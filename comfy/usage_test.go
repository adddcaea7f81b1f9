package comfy_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Sourced shows what the client says about itself.
type Sourced struct {
	Source string `in:"source" hidden:"COMFY_USAGE_SOURCE"`
}

func (n Sourced) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text(n.Source), nil }

// TestNewest1_UsageSource: a node receives comfy_usage_source of the body, or else the header.
func TestNewest1_UsageSource(t *testing.T) {
	twins(t, "/prompt", func(t *testing.T, path string) {
		h := newHost(t, nil)
		flow.Register(h.reg, Sourced{}, nodebus.Info{NoCache: true})
		for i, tt := range []struct {
			extra, header string
			want          any
		}{
			{`{"comfy_usage_source":"body"}`, "header", "body"},
			{`{"comfy_usage_source":"body"}`, "", "body"},
			{`{"comfy_usage_source":""}`, "header", ""},
			{`{"comfy_usage_source":null}`, "header", "header"},
			{`{}`, "header", "header"},
			{`null`, "header", "header"},
			{`{}`, "", nil},
		} {
			headers := []string{}
			if tt.header != "" {
				headers = append(headers, "Comfy-Usage-Source", tt.header)
			}
			graph := `{"` + string(rune('a'+i)) + `":{"class_type":"Sourced","inputs":{}}}`
			a := h.post(path, `{"prompt":`+graph+`,"extra_data":`+tt.extra+`}`, headers...)
			require.Equal(t, 200, a.status, a.body)
			id := at(t, a.json(t), "prompt_id").(string)
			h.ended(id)
			entry := at(t, h.get("/history/"+id), id)
			shown := tt.want
			if shown == nil {
				shown = ""
			}
			require.Equal(t, []any{shown}, at(t, entry, "outputs", string(rune('a'+i)), "text"))
			require.Equal(t, tt.want, at(t, entry, "prompt", 3).(map[string]any)["comfy_usage_source"], "extra_data has it")
		}
	})
}

// TestNewest1_MissingNodeType: the whole answer of POST /prompt, as the front end reads it.
func TestNewest1_MissingNodeType(t *testing.T) {
	twins(t, "/prompt", func(t *testing.T, path string) {
		h := newHost(t, nil)
		for graph, want := range map[string]string{
			`{"4":{"class_type":"Gone","inputs":{},"_meta":{"title":"My node","cnr_id":"a-pack"}},"5":{}}`: `{"error":{"type":"missing_node_type","message":"Node 'My node' not found. The custom node may not be installed.",
				"details":"Node ID '#4'","extra_info":{"node_id":"4","class_type":"Gone","node_title":"My node"}},"node_errors":{}}`,
			`{"4":{"inputs":{}},"5":{"class_type":"Gone"}}`: `{"error":{"type":"missing_node_type","message":"Node 'ID #4' has no class_type. The workflow may be corrupted or a custom node is missing.",
				"details":"Node ID '#4'","extra_info":{"node_id":"4","class_type":null,"node_title":null}},"node_errors":{}}`,
		} {
			a := h.post(path, `{"prompt":`+graph+`}`)
			require.Equal(t, 400, a.status)
			require.JSONEq(t, want, a.body)
		}
	})
}
