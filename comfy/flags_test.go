package comfy_test

import (
	"testing"

	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// The feature flags of ComfyUI 0.38.

// TestNewest6_Flags: the server announces what it serves, and nothing else.
func TestNewest6_Flags(t *testing.T) {
	for _, c := range []struct {
		name string
		opts *comfy.Options
		more string
	}{
		{"the default", nil, `"max_upload_size":104857600,"extension":{"manager":{"supports_v4":false}}`},
		{"a limit", &comfy.Options{MaxBody: 5}, `"max_upload_size":5,"extension":{"manager":{"supports_v4":false}}`},
		{
			"flags of the host", &comfy.Options{Features: map[string]any{"assets": true, "node_replacements": false, "extension": map[string]any{"manager": map[string]any{"supports_v4": true}}}},
			`"max_upload_size":104857600,"assets":true,"extension":{"manager":{"supports_v4":true}}`,
		},
		{
			"another extension of the host", &comfy.Options{Features: map[string]any{"extension": map[string]any{"own": 1}}},
			`"max_upload_size":104857600,"extension":{"own":1,"manager":{"supports_v4":false}}`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHost(t, c.opts)
			want := `{"supports_preview_metadata":true,"node_replacements":true,` + c.more + `}`
			for _, path := range []string{"/features", "/api/features"} {
				require.JSONEq(t, want, h.send("GET", path, "").body)
			}
			s := h.connect("me")
			s.next()
			s.say(`{"type":"feature_flags","data":{}}`)
			m := s.next()
			require.Equal(t, "feature_flags", m.Type)
			require.JSONEq(t, want, jsonOf(t, m.Data))
		})
	}
}

// TestNewest6_FlagsOfClients: what each flag of a front end changes. Progress text keeps the
// layout that all clients read, also for a client that knows the newer one.
func TestNewest6_FlagsOfClients(t *testing.T) {
	const graph = `{"1":{"class_type":"RefProgressHook","inputs":{"value":["2",0],"steps":1,"preview":"JPEG","delay":0}},
		"2":{"class_type":"RefSendText","inputs":{"value":1,"text":"a"}},"3":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}`
	const p, m, x = `"supports_preview_metadata":`, `"supports_manager_v4_ui":`, `"supports_progress_text_metadata":`
	for _, c := range []struct{ flags, preview string }{
		{"", "binary 1"},
		{"{}", "binary 1"},
		{"{" + p + "false}", "binary 1"},
		{"{" + p + "true}", "binary 4"},
		{"{" + x + "true}", "binary 1"},
		{"{" + p + "true," + m + "true," + x + "true}", "binary 4"},
	} {
		h := newHost(t, nil)
		s := h.connect("me")
		if c.flags != "" {
			s.say(`{"type":"feature_flags","data":` + c.flags + `}`)
			s.until("feature_flags")
		}
		h.submit("me", graph)
		var text []byte
		var said []string
		for {
			m := s.next()
			if m.binary != nil && m.binary[3] == 3 {
				text = m.binary
			}
			said = append(said, m.short())
			if m.short() == "executing <nil>" {
				break
			}
		}
		require.Contains(t, said, c.preview, c.flags)
		require.Equal(t, "\x00\x00\x00\x03\x00\x00\x00\x012a", string(text), "the type, the length of the node id, the id, and the text")
		s.close()
	}
}
