package golden_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/refpack"
	"github.com/stretchr/testify/require"
)

// watcher is a client that follows all prompts, beside those recorded.
const watcher = "(watcher)"

// replayer does in this process what the clients of a trace did, each
// thing at the time at which it was done then.
type replayer struct {
	t        *testing.T
	tr       *trace
	engine   *nodebus.Engine
	hub      *nodebus.Hub
	counter  float64 // numbers prompts as the reference's POST /prompt does
	sessions map[string]*nodebus.Session
	sinks    map[string]*sink
	serving  sync.WaitGroup
	answers  []answer
}

// replay runs the scenario, inside a synctest bubble.
func (tr *trace) replay(t *testing.T) *transcript {
	registry, hub := nodebus.NewRegistry(), nodebus.NewHub(nil)
	refpack.Register(registry, &refpack.Options{Temp: t.TempDir(), Output: t.TempDir(), Hub: hub})
	r := &replayer{
		t: t, tr: tr, hub: hub,
		engine: nodebus.NewEngine(registry, hub, &nodebus.EngineOptions{
			Executor: nodebus.NewLocal(registry, &nodebus.LocalOptions{Workers: 1}), // in the reference's order
			Parallel: 1,
		}),
		sessions: map[string]*nodebus.Session{},
		sinks:    map[string]*sink{},
	}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = r.engine.Run(ctx) })
	r.join(watcher, watcher, &nodebus.SessionOptions{WatchAll: true, Codec: nodebus.JSONCodec{BarePreviews: true}})
	r.run()
	time.Sleep(time.Minute) // until whatever still runs has ended
	synctest.Wait()
	cancel()
	running.Wait()
	require.NoError(t, hub.Close())
	r.serving.Wait()

	ts := &transcript{clients: map[string][]message{}, answers: r.answers}
	for client, sink := range r.sinks {
		ts.clients[client] = nil
		for _, f := range sink.frames {
			ts.clients[client] = append(ts.clients[client], received(t, f))
		}
	}
	return ts
}

// run does what the log says, in the order of time: a request is in the log at
// its answer.
func (r *replayer) run() {
	at := func(e *entry) float64 {
		if e.Kind == "http" {
			return e.Start
		}
		return e.T
	}
	var todo []*entry
	for i := range r.tr.Log {
		if e := &r.tr.Log[i]; !r.tr.skips(e) {
			todo = append(todo, e)
		}
	}
	slices.SortStableFunc(todo, func(a, b *entry) int { return cmp.Compare(at(a), at(b)) })
	begin := time.Now()
	for _, e := range todo {
		time.Sleep(time.Until(begin.Add(time.Duration(at(e) * float64(time.Second)))))
		synctest.Wait()
		switch e.Kind {
		case "ws_open":
			r.join(e.Client, r.tr.clientID(e), &nodebus.SessionOptions{Codec: r.tr.codec(e.Client)})
		case "ws_close":
			r.sessions[e.Client].Close(nil)
		case "http":
			status, body := r.request(e)
			r.answers = append(r.answers, answer{e.Method + " " + e.Path, status, viaJSON(r.t, body)})
		}
		synctest.Wait()
	}
}

// clientID is the id a client connects with, or is given if it has none.
func (tr *trace) clientID(open *entry) string {
	if _, id, ok := strings.Cut(open.Path, "clientId="); ok {
		return id
	}
	for i := range tr.Log {
		if sid, ok := tr.Log[i].JSON.Data["sid"]; ok && tr.Log[i].Client == open.Client {
			return sid.(string)
		}
	}
	return ""
}

// codec is what the client has asked for by its feature flags.
func (tr *trace) codec(client string) nodebus.Codec {
	for i := range tr.Log {
		e := &tr.Log[i]
		if e.Kind == "ws_send" && e.Client == client && e.JSON.Type == "feature_flags" {
			return nodebus.JSONCodec{BarePreviews: e.JSON.Data["supports_preview_metadata"] != true}
		}
	}
	return nodebus.JSONCodec{BarePreviews: true}
}

func (r *replayer) join(name, id string, opts *nodebus.SessionOptions) {
	s, sink := r.hub.Join(id, opts), &sink{}
	r.sessions[name], r.sinks[name] = s, sink
	r.serving.Go(func() { _ = s.Serve(r.t.Context(), sink) })
	synctest.Wait() // from now on all is written at once, and nothing merged
}

// sink is a Transport that keeps what it is sent.
type sink struct{ frames []nodebus.Frame }

func (s *sink) Write(_ context.Context, frames []nodebus.Frame) error {
	s.frames = append(s.frames, frames...)
	return nil
}

func (s *sink) TryWrite(b *nodebus.Batch) (bool, error) {
	s.frames = append(s.frames, b.Frames()...)
	return true, nil
}

func (s *sink) Close(error) error { return nil }

// request makes of an HTTP request the calls it stands for.
func (r *replayer) request(e *entry) (status int, body any) {
	ctx := r.t.Context()
	var req struct {
		PromptID string `json:"prompt_id"`
		Clear    bool
	}
	if e.Path != "/prompt" && len(e.Request) > 0 {
		require.NoError(r.t, json.Unmarshal(e.Request, &req))
	}
	id, history := strings.CutPrefix(e.Path, "/history/")
	switch {
	case e.Method == "POST" && e.Path == "/prompt":
		return r.submit(e)
	case e.Method == "POST" && e.Path == "/interrupt":
		for _, p := range r.engine.Running() {
			if req.PromptID == "" || req.PromptID == p.ID {
				require.True(r.t, r.engine.Interrupt(p.ID))
			}
		}
		return http.StatusOK, nil
	case e.Method == "POST" && e.Path == "/queue" && req.Clear:
		_, err := r.engine.Delete(ctx, r.waiting()...)
		require.NoError(r.t, err)
		return http.StatusOK, nil
	case e.Path == "/queue":
		return http.StatusOK, r.queue()
	case e.Path == "/prompt":
		return http.StatusOK, map[string]any{"exec_info": map[string]any{"queue_remaining": r.engine.Remaining()}}
	case e.Path == "/history":
		return http.StatusOK, r.history(func(nodebus.Record) bool { return true })
	case history:
		return http.StatusOK, r.history(func(rec nodebus.Record) bool { return rec.Prompt.ID == id })
	}
	require.Fail(r.t, "there is a request that is neither understood nor skipped", "%s %s", e.Method, e.Path)
	return 0, nil
}

// submit answers POST /prompt.
func (r *replayer) submit(e *entry) (status int, body any) {
	var req struct {
		Prompt   nodebus.Nodes
		PromptID string `json:"prompt_id"`
		ClientID string `json:"client_id"`
		Number   *float64
		Front    bool
		Extra    map[string]any `json:"extra_data"`
		Targets  []string       `json:"partial_execution_targets"`
	}
	require.NoError(r.t, json.Unmarshal(e.Request, &req))
	hold := make(chan struct{})
	p := &nodebus.Prompt{
		ID: req.PromptID, Nodes: req.Prompt, Outputs: req.Targets, Hold: hold,
		Extra: map[string]any{}, Priority: r.counter,
	}
	if req.Front {
		p.Priority = -r.counter
	}
	if req.Number != nil {
		p.Priority = *req.Number
	} else {
		r.counter++
	}
	for k, v := range req.Extra {
		p.Extra[k] = v
	}
	if req.ClientID != "" {
		p.Extra["client_id"] = req.ClientID
	}
	p.ClientID, _ = p.Extra["client_id"].(string)
	if was, ok := e.Response.(map[string]any); ok && e.Status == http.StatusOK {
		p.ID = was["prompt_id"].(string) // the one the reference chose
		p.Nodes = r.tr.inOrderOfOutputs(p.ID, p.Nodes)
	}
	id, err := r.engine.Submit(r.t.Context(), p)
	var invalid *nodebus.ValidationError
	switch {
	case errors.As(err, &invalid):
		return http.StatusBadRequest, invalid
	case errors.Is(err, nodebus.ErrDuplicate):
		return http.StatusConflict, err.Error()
	}
	require.NoError(r.t, err)
	synctest.Wait()
	close(hold) // nothing of the prompt is told before the answer is there
	nodeErrors := map[string]*nodebus.NodeProblems{}
	if p.Rejected != nil {
		nodeErrors = p.Rejected.Nodes
	}
	return http.StatusOK, map[string]any{"prompt_id": id, "number": p.Priority, "node_errors": nodeErrors}
}
