package comfy_test

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"math"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// panicking has a MarshalJSON that panics.
type panicking struct{}

func (panicking) MarshalJSON() ([]byte, error) { panic("no JSON") }

// once has a form in JSON for the first left times.
type once struct{ left *int }

func (o once) MarshalJSON() ([]byte, error) {
	if *o.left--; *o.left < 0 {
		panic("no JSON any more")
	}
	return []byte(`{"a":1}`), nil
}

// ShowOnce shows a value that the engine can encode, and nobody after it.
type ShowOnce struct{}

func (ShowOnce) Run(*nodebus.Context) (nodebus.UI, error) {
	left := 1
	return nodebus.UI{"images": {map[string]any{"filename": "a.png", "type": "output", "x": once{&left}}}}, nil
}

// keep puts the record of a prompt into the store.
func keep(h *host, id string, change func(rec *flow.Record)) {
	h.t.Helper()
	rec := flow.Record{Prompt: &nodebus.Prompt{ID: id, Created: time.Now()}, State: nodebus.Succeeded, Ended: time.Now()}
	change(&rec)
	require.NoError(h.t, h.engine.Store().Put(h.t.Context(), rec))
}

// showing returns a change of a record: node 1 has shown ui.
func showing(ui nodebus.UI) func(rec *flow.Record) {
	return func(rec *flow.Record) {
		rec.Outputs = []nodebus.NodeOutput{{Place: nodebus.Place{UniqueID: "1"}.WithDefaults(), UI: ui}}
	}
}

// TestListsWithoutWhatHasNoJSON: a value without a form in JSON is left out and logged. The rest of its job
// and all other jobs are in the lists.
func TestListsWithoutWhatHasNoJSON(t *testing.T) {
	var log bytes.Buffer
	h := newHost(t, &comfy.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	keep(h, "good", showing(nodebus.UI{"text": {"x"}}))
	odd := map[string]any{"a func": func() {}, "a panic": panicking{}, "broken JSON": json.RawMessage("{"), "a number": json.Number("x")}
	for name, v := range odd {
		picture := map[string]any{"filename": "a.png", "type": "output", "n": math.NaN(), "x": v, "deep": map[string]any{"b": 1}}
		keep(h, name, showing(nodebus.UI{"images": {v, picture}, "text": {"t", v}}))
		keep(h, name+" failed", func(rec *flow.Record) {
			rec.State, rec.Error = nodebus.Failed, &nodebus.ExecutionError{NodeID: "1", ExceptionMessage: "boom", CurrentInputs: map[string][]any{"a": {v}}}
			rec.Errors = []nodebus.NodeFailed{{ExceptionMessage: "boom"}}
			rec.Prompt.Priority = math.NaN()
			rec.Prompt.Extra = map[string]any{"x": v, "y": 1, "extra_pnginfo": map[string]any{"workflow": map[string]any{"id": "w", "x": v}}}
		})
	}
	jobs, history := h.get("/api/jobs"), h.get("/history?outcome")
	require.Len(t, at(t, jobs, "jobs"), 2*len(odd)+1)
	require.Len(t, history, 2*len(odd)+1)
	byID := map[string]any{}
	for _, j := range at(t, jobs, "jobs").([]any) {
		byID[at(t, j, "id").(string)] = j
	}
	want := map[string]any{"filename": "a.png", "type": "output", "n": nil, "deep": map[string]any{"b": 1.0}}
	for name := range odd {
		for _, job := range []any{byID[name], h.get("/api/jobs/" + name)} {
			require.Equal(t, with(with(want, "nodeId", "1"), "mediaType", "images"), at(t, job, "preview_output"), name)
		}
		shown := map[string]any{"images": []any{want}, "text": []any{"t"}}
		require.Equal(t, shown, at(t, h.get("/api/jobs/"+name), "outputs", "1"), name)
		require.Equal(t, shown, at(t, history, name, "outputs", "1"), name)
		require.Equal(t, history.(map[string]any)[name], at(t, h.get("/history/"+name+"?outcome"), name))
		require.Contains(t, log.String(), name)

		name += " failed"
		for _, job := range []any{byID[name], h.get("/api/jobs/" + name)} {
			require.Equal(t, "boom", at(t, job, "execution_error", "exception_message"))
		}
		require.Equal(t, map[string]any{"y": 1.0}, at(t, h.get("/api/jobs/"+name), "workflow", "extra_data"))
		require.Equal(t, map[string]any{"y": 1.0}, at(t, history, name, "prompt", 3))
		require.Equal(t, "boom", at(t, history, name, "status", "messages", 0, 1, "exception_message"))
		require.Equal(t, "error", at(t, history, name, "nodebus", "state"))
	}
}

// TestListsWithoutWhatHasNoJSONAnyMore: the engine has encoded what the node has shown, but the lists cannot.
func TestListsWithoutWhatHasNoJSONAnyMore(t *testing.T) {
	h := newHost(t, nil)
	flow.Register(h.reg, ShowOnce{}, nodebus.Info{})
	good := h.submit("me", quick)
	h.ended(good)
	bad := h.submit("me", `{"1":{"class_type":"ShowOnce","inputs":{}}}`)
	require.Contains(t, h.ended(bad), "execution_success")
	ids, all := h.list("")
	require.Equal(t, bad+" "+good, ids)
	require.Equal(t, "a.png", at(t, all, "jobs", 0, "preview_output", "filename"))
	require.Equal(t, map[string]any{"filename": "a.png", "type": "output"}, at(t, h.get("/history"), bad, "outputs", "1", "images", 0))
	require.Contains(t, h.get("/history"), good)
}

// TestRunWithoutJSON: the state of a run has what its events had. If it comes from a record
// without JSON, the answer is an error, and complete.
func TestRunWithoutJSON(t *testing.T) {
	h := newHost(t, nil)
	flow.Register(h.reg, ShowOnce{}, nodebus.Info{})
	a := h.post("/nodebus/runs", `{"prompt":{"1":{"class_type":"ShowOnce","inputs":{}}}}`)
	require.Equal(t, 200, a.status, a.body)
	require.Equal(t, map[string]any{"a": 1.0}, at(t, a.json(t), "nodes", "1", "output", "images", 0, "x"))
	keep(h, "bad", showing(nodebus.UI{"images": {panicking{}}}))
	a = h.send("GET", "/nodebus/runs/bad", "")
	require.Equal(t, 500, a.status)
	require.JSONEq(t, `{"error":"the answer cannot be encoded as JSON"}`, a.body)
}

// TestQueueWithoutWhatHasNoJSON: a prompt of the host program with values of its own is in the queue without them.
func TestQueueWithoutWhatHasNoJSON(t *testing.T) {
	h := newHost(t, nil)
	h.engine.Pause()
	for _, v := range []any{func() {}, panicking{}} {
		nodes := nodebus.Nodes{{ID: "1", Class: "Secret"}, {ID: "2", Class: "Nope", Extra: map[string]json.RawMessage{"x": json.RawMessage("{")}}}
		require.NoError(t, h.engine.Queue().Push(t.Context(), &nodebus.Prompt{ID: "bad", Nodes: nodes, Extra: map[string]any{"x": v, "y": 1}}, nil))
		h.submit("me", quick, `"prompt_id":"good"`)
		waiting := at(t, h.get("/queue"), "queue_pending").([]any)
		require.Len(t, waiting, 2)
		byID := map[string]any{at(t, waiting[0], 1).(string): waiting[0], at(t, waiting[1], 1).(string): waiting[1]}
		require.Contains(t, byID, "good")
		require.Equal(t, map[string]any{"y": 1.0}, at(t, byID["bad"], 3))
		require.Equal(t, []string{"1"}, sortedNames(at(t, byID["bad"], 2).(map[string]any)))
		require.Equal(t, at(t, byID["bad"], 2), at(t, h.get("/api/jobs/bad"), "workflow", "prompt"))
		h.get("/api/jobs")
		h.post("/queue", `{"clear":true}`)
	}
}
