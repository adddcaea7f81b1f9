package main

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

func TestRun(t *testing.T) {
	var out strings.Builder
	run(&out)
	require.Equal(t, `class: Show
class: change_case
class: count_words
class: split
success [BARROW WHEEL RED A] [2]
nodebus: Prompt outputs failed validation; node c (change_case): Value not in list: to: 'title' not in ['upper', 'lower']
`, out.String())
}

// TestClients checks what clients learn about a tool.
func TestClients(t *testing.T) {
	registry := flow.NewRegistry()
	require.NoError(t, addTools(registry))
	class, _ := registry.Class("count_words")
	text, err := json.Marshal(class.Schema())
	require.NoError(t, err)
	var entry struct {
		Input  json.RawMessage
		Output []string
		Title  string `json:"display_name"`
	}
	require.NoError(t, json.Unmarshal(text, &entry))
	require.Equal(t, "Count Words", entry.Title)
	require.Equal(t, []string{"INT"}, entry.Output)
	require.JSONEq(t, `{
		"required": {"text": ["STRING", {"tooltip": "what to count"}]},
		"optional": {"at_least": ["INT", {"tooltip": "skip shorter words", "default": 1, "min": 1, "max": 100}]}
	}`, string(entry.Input))
}
