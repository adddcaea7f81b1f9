package client_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// traceEntry is an entry of a recorded trace of ComfyUI.
type traceEntry struct {
	recorded
	Kind    string
	Client  string
	Request json.RawMessage
	JSON    json.RawMessage `json:"json"`
}

// playback is a server that answers as a trace says: the messages of the socket follow the
// answer to the first prompt.
type playback struct {
	*httptest.Server
	greeting json.RawMessage
	after    []json.RawMessage // messages after the greeting
	answer   json.RawMessage
	id       string
	records  map[string]json.RawMessage // by path
}

func newPlayback(t *testing.T, log []traceEntry) *playback {
	p := &playback{records: map[string]json.RawMessage{}}
	socket := ""
	for _, e := range log {
		switch {
		case e.Kind == "ws_text" && p.greeting == nil:
			p.greeting, socket = e.JSON, e.Client
		case e.Kind == "ws_text" && e.Client == socket:
			p.after = append(p.after, e.JSON)
		case e.Kind == "http" && e.Method == "POST" && e.Path == "/prompt" && e.Status == 200 && p.answer == nil:
			p.answer = e.Response
			var accepted struct {
				PromptID string `json:"prompt_id"`
			}
			require.NoError(t, json.Unmarshal(e.Response, &accepted))
			p.id = accepted.PromptID
		case e.Kind == "http" && e.Method == "GET":
			p.records[e.Path] = e.Response
		}
	}
	begin := make(chan struct{})
	mux := http.NewServeMux()
	mux.HandleFunc("GET /ws", func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		ctx := conn.CloseRead(r.Context())
		_ = conn.Write(ctx, websocket.MessageText, p.greeting)
		select {
		case <-begin:
		case <-ctx.Done():
		}
		for _, m := range p.after {
			_ = conn.Write(ctx, websocket.MessageText, m)
		}
		<-ctx.Done()
	})
	mux.HandleFunc("POST /prompt", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(p.answer)
		close(begin)
	})
	mux.HandleFunc("GET /queue", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"queue_running":[[0,%q,{},{},[]]],"queue_pending":[]}`, p.id)
	})
	mux.HandleFunc("GET /", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(p.records[r.URL.Path]) })
	p.Server = httptest.NewServer(mux)
	t.Cleanup(p.Close)
	return p
}

// messages returns the types of the messages of the prompt, up to the message that closes it.
// It returns false if that never came.
func (p *playback) messages(t *testing.T) (types []string, closed bool) {
	for _, m := range p.after {
		var w struct {
			Type string
			Data struct {
				PromptID *string `json:"prompt_id"`
				Node     any
			}
		}
		require.NoError(t, json.Unmarshal(m, &w))
		if w.Data.PromptID == nil || *w.Data.PromptID != p.id {
			continue
		}
		types = append(types, w.Type)
		if w.Type == "executing" && w.Data.Node == nil {
			return types, true
		}
	}
	return types, false
}

// TestTracesOfComfyUI follows the first prompt of each trace, and waits for it.
func TestTracesOfComfyUI(t *testing.T) {
	files, err := filepath.Glob("../internal/golden/testdata/*.json")
	require.NoError(t, err)
	followed, waited := 0, 0
	for _, file := range files {
		data, err := os.ReadFile(file)
		require.NoError(t, err)
		var trace struct {
			Name string
			Log  []traceEntry
		}
		require.NoError(t, json.Unmarshal(data, &trace))
		p := newPlayback(t, trace.Log)
		if p.answer == nil {
			continue
		}
		want, closed := p.messages(t)
		if !closed {
			continue // the prompt has no client, or has stopped the server
		}
		followed++
		c := dial(t, p.URL+"/ws", &client.Options{ID: "me"})
		require.Equal(t, p.id, submit(t, c, node("Say")))
		ctx, saw := deadline(t), []string(nil)
		for ev, err := range c.Follow(ctx, p.id) {
			require.NoError(t, err)
			saw = append(saw, ev.Payload.EventType())
		}
		require.Equal(t, want, saw, trace.Name)

		var entries map[string]struct{ Status struct{ Completed bool } }
		_ = json.Unmarshal(p.records["/history/"+p.id], &entries)
		if e, ok := entries[p.id]; ok {
			waited++
			o, err := c.Outcome(ctx, p.id)
			require.NoError(t, err)
			require.Equal(t, e.Status.Completed && trace.Name != "expansion_cycle", o.State == nodebus.Succeeded, trace.Name)
		}
		require.NoError(t, c.Close())
	}
	require.Greater(t, followed, 25)
	require.Greater(t, waited, 20)
}
