package client_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

func read(t *testing.T, c *client.Client, f nodebus.File) string {
	t.Helper()
	body, err := c.File(t.Context(), f)
	require.NoError(t, err)
	text, err := io.ReadAll(body)
	require.NoError(t, err)
	require.NoError(t, body.Close())
	return string(text)
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, os.Mkdir(dir+"/sub", 0o700))
	require.NoError(t, os.WriteFile(dir+"/sub/a&b.png", []byte("image"), 0o600))
	c := dial(t, newHost(t, &comfy.Options{Output: dir}).URL+"/ws", nil)
	f := nodebus.File{Filename: "a&b.png", Subfolder: "sub", Type: "output"}
	require.Equal(t, "image", read(t, c, f))
	f.Type = ""
	require.Equal(t, "image", read(t, c, f))

	f.Filename = "c.png"
	_, err := c.File(t.Context(), f)
	var refused *client.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 404, refused.Status)
	require.ErrorContains(t, err, "client: the server refused the file \"c.png\" with status 404: ")

	plain := dial(t, newComfyUI(t).URL+"/ws", nil)
	require.Equal(t, "temp/s/x.png", read(t, plain, nodebus.File{Filename: "x.png", Subfolder: "s", Type: "temp"}))
}

// TestFileEndsWithItsContext: the content of a file may come slowly; the end of ctx ends
// it.
func TestFileEndsWithItsContext(t *testing.T) {
	sent := make(chan struct{})
	s := newSite(t, nil)
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write([]byte("half"))
		_ = http.NewResponseController(w).Flush()
		close(sent)
		<-r.Context().Done()
	}))
	defer slow.Close()
	c := dial(t, s.URL, &client.Options{BaseURL: slow.URL})
	ctx, cancel := context.WithCancel(t.Context())
	body, err := c.File(ctx, nodebus.File{Filename: "a"})
	require.NoError(t, err)
	<-sent
	half := make([]byte, 4)
	_, err = io.ReadFull(body, half)
	require.NoError(t, err)
	cancel()
	_, err = body.Read(half)
	require.ErrorIs(t, err, context.Canceled)
	require.NoError(t, body.Close())
}
