package nodebus_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

func TestFilesOfUI(t *testing.T) {
	a, b := nodebus.File{Filename: "a", Type: "temp"}, nodebus.File{Filename: "b", Subfolder: "s"}
	received := map[string]any{"filename": "c", "type": "output", "more": 1}
	ui := nodebus.UI{"text": {"x", nil, 1}, "images": {a, &b, (*nodebus.File)(nil)}, "gifs": {received, map[string]any{"filename": 3}}}
	require.Equal(t, []nodebus.File{{Filename: "c", Type: "output"}, a, b}, ui.Files())
	require.Empty(t, nodebus.UI(nil).Files())
}
