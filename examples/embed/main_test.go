package main

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// TestRun starts the program, submits a job of one hour, and stops the program. The
// client must receive the start and the end of the job, and the close frame.
func TestRun(t *testing.T) {
	r, w := io.Pipe()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, "127.0.0.1:0", w) }()
	out := bufio.NewScanner(r)
	require.True(t, out.Scan())
	address := strings.TrimPrefix(out.Text(), "listening on ")

	require.Equal(t, "the program's own page\n", get(t, http.MethodGet, "http://"+address+"/", "", 200))
	c, err := client.Dial(ctx, "ws://"+address+"/events", &client.Options{ID: "me", Retry: -1})
	require.NoError(t, err)
	bad := get(t, http.MethodPost, "http://"+address+"/jobs", `{"1":{"class_type":"Wait","inputs":{"seconds":-1}}}`, 400)
	require.Contains(t, bad, "Value -1.0 smaller than min of 0.0")
	get(t, http.MethodPost, "http://"+address+"/jobs", `{`, 400)
	id := strings.TrimSpace(get(t, http.MethodPost, "http://"+address+"/jobs?client=me", `{"1":{"class_type":"Wait","inputs":{"seconds":3600}}}`, 200))

	var types []string
	var last error
	for ev, err := range c.Events(t.Context()) {
		if last = err; err != nil {
			break
		}
		if ev.PromptID != id {
			continue
		}
		types = append(types, ev.Payload.EventType())
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID != "" {
			stop()
		}
	}
	require.Equal(t, []string{"execution_start", "execution_cached", "progress_state", "executing", "progress_state", "execution_interrupted", "executing"}, types)
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(last))
	require.True(t, out.Scan())
	require.Equal(t, "stopped", out.Text())
	require.NoError(t, <-ended)
}

func get(t *testing.T, method, url, body string, want int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer res.Body.Close()
	got, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, want, res.StatusCode, "%s", got)
	return string(got)
}
