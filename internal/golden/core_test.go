package golden_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// inside replays a trace on an engine and a hub, without a server. It translates
// requests and connections of clients into calls.
type inside struct {
	*replayer
	counter  float64 // the number of the next prompt, as in the reference's POST /prompt
	sessions map[string]*nodebus.Session
	answers  []answer
}

func (r *inside) open(e *entry) {
	r.sessions[e.Client] = r.join(e.Client, r.tr.clientID(e), &nodebus.SessionOptions{Codec: r.tr.codec(e.Client)})
}

func (r *inside) say(*entry) {} // codec handles the feature flags

func (r *inside) leave(e *entry) { r.sessions[e.Client].Close(nil) }

func (r *inside) ask(e *entry) {
	status, body := r.request(e)
	r.answers = append(r.answers, answer{Request: e.Method + " " + e.Path, Status: status, Body: viaJSON(r.t, body)})
}

func (r *inside) seen() *transcript {
	return &transcript{clients: map[string][]message{}, answers: r.answers}
}

func (r *inside) stop() {}

// clientID returns the id that a client connects with, or the id that the reference
// gave to the client.
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

// codec returns the codec that the client requested with its feature flags.
func (tr *trace) codec(client string) nodebus.Codec {
	for i := range tr.Log {
		e := &tr.Log[i]
		if e.Kind == "ws_send" && e.Client == client && e.JSON.Type == "feature_flags" {
			return nodebus.JSONCodec{BarePreviews: e.JSON.Data["supports_preview_metadata"] != true}
		}
	}
	return nodebus.JSONCodec{BarePreviews: true}
}

// request translates an HTTP request into calls, and returns the response.
func (r *inside) request(e *entry) (status int, body any) {
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
		for _, p := range r.running() {
			if req.PromptID == "" || req.PromptID == p.ID {
				found, err := r.engine.Interrupt(ctx, p.ID)
				require.NoError(r.t, err)
				require.True(r.t, found)
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
		return http.StatusOK, r.history(func(flow.Record) bool { return true })
	case history:
		return http.StatusOK, r.history(func(rec flow.Record) bool { return rec.Prompt.ID == id })
	}
	require.Fail(r.t, "request of the trace is not supported; add it to inside.request or to skipped", "%s %s", e.Method, e.Path)
	return 0, nil
}

// submit handles POST /prompt.
func (r *inside) submit(e *entry) (status int, body any) {
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
	ready := make(chan struct{})
	defer close(ready)
	p := &nodebus.Prompt{
		ID: req.PromptID, Nodes: req.Prompt, Outputs: req.Targets,
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
	if id := e.accepted(); id != "" {
		p.ID = id // the id that the reference chose
		p.Nodes = r.tr.inOrderOfOutputs(p.ID, p.Nodes)
	}
	sub, err := r.engine.Submit(r.t.Context(), p, &flow.SubmitOptions{Ready: ready})
	var invalid *nodebus.ValidationError
	switch {
	case errors.As(err, &invalid):
		return http.StatusBadRequest, invalid
	case errors.Is(err, flow.ErrDuplicate):
		return http.StatusConflict, err.Error()
	}
	require.NoError(r.t, err)
	synctest.Wait() // the engine publishes no event of the prompt until submit returns
	nodeErrors := map[string]*nodebus.NodeProblems{}
	if sub.Rejected != nil {
		nodeErrors = sub.Rejected.Nodes
	}
	return http.StatusOK, map[string]any{"prompt_id": sub.ID, "number": p.Priority, "node_errors": nodeErrors}
}
