package comfy_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// The jobs of ComfyUI 0.38.

// jsonOf returns v as JSON.
func jsonOf(t testing.TB, v any) string {
	t.Helper()
	text, err := json.Marshal(v)
	require.NoError(t, err)
	return string(text)
}

// jobOf returns the job of a prompt whose nodes 1, 2, … have shown uis, in this order.
func jobOf(h *host, uis ...string) map[string]any {
	h.t.Helper()
	rec := flow.Record{Prompt: &nodebus.Prompt{ID: fmt.Sprint(uis)}, State: nodebus.Succeeded, Ended: time.Now()}
	rec.Prompt.Created = rec.Ended
	for i, text := range uis {
		var ui nodebus.UI
		require.NoError(h.t, json.Unmarshal([]byte(text), &ui))
		rec.Outputs = append(rec.Outputs, nodebus.NodeOutput{Place: nodebus.Place{UniqueID: fmt.Sprint(i + 1)}.WithDefaults(), UI: ui})
	}
	require.NoError(h.t, h.engine.Store().Put(h.t.Context(), rec))
	return at(h.t, h.get("/api/jobs"), "jobs", 0).(map[string]any)
}

// detailOf returns the same job as it is alone.
func detailOf(h *host, uis ...string) any {
	h.t.Helper()
	return h.get("/api/jobs/" + url.PathEscape(jobOf(h, uis...)["id"].(string)))
}

func TestNewest3_WorkflowInEveryState(t *testing.T) {
	h := jobsOf(t)
	for _, id := range []string{"pending", "in_progress", "cancelled", "failed", "completed"} {
		workflow := at(t, h.get("/api/jobs/"+id), "workflow").(map[string]any)
		require.Equal(t, []string{"extra_data", "prompt"}, sortedNames(workflow), id)
		require.Equal(t, "me", at(t, workflow, "extra_data", "client_id"))
		require.NotEmpty(t, at(t, workflow, "prompt", "1", "class_type"))
	}
	const extra = `"extra_data":{"extra_pnginfo":{"workflow":{"id":"w2","nodes":[]}}}`
	running := h.submit("other", waitFor("other"), extra)
	h.dial("watch="+running, nil).until("executing 1")
	list, _ := h.list("?workflow_id=w2&status=in_progress")
	require.Equal(t, running, list)
	require.Equal(t, "w2", at(t, h.get("/api/jobs/"+running), "workflow", "extra_data", "extra_pnginfo", "workflow", "id"))
	h.post("/api/jobs/"+running+"/cancel", "")
	h.ended(running)
	list, _ = h.list("?workflow_id=w2&status=cancelled")
	require.Equal(t, running, list)
	require.Equal(t, "w2", at(t, h.get("/api/jobs/"+running), "workflow_id"))
	require.Equal(t, "w", at(t, h.get("/api/jobs/pending"), "workflow_id"))
	require.Equal(t, "w", at(t, h.get("/api/jobs/failed"), "workflow_id"))
}

func TestNewest3_CountsAreZeroWhileQueued(t *testing.T) {
	h := newHost(t, nil)
	graph := `{"1":{"class_type":"Show","inputs":{"ui":"{\"images\":[{\"filename\":\"a.png\"}]}"}},"2":{"class_type":"Wait","inputs":{"name":"a"}}}`
	id := h.submit("me", graph)
	s := h.dial("watch="+id, nil)
	s.until("executed 1")
	check := func(n float64) {
		for _, job := range []any{h.get("/api/jobs/" + id), at(t, h.get("/api/jobs"), "jobs", 0)} {
			require.Equal(t, []any{n, n}, []any{at(t, job, "outputs_count"), at(t, job, "previewable_outputs_count")})
		}
	}
	check(0)
	h.gate.open("a")
	s.until("executing <nil>")
	check(1)
	h.engine.Pause()
	id = h.submit("me", graph)
	check(0)
}

func TestNewest3_Counts(t *testing.T) {
	h := newHost(t, nil)
	for _, c := range []struct {
		ui              string
		count, showable float64
	}{
		{`{}`, 0, 0},
		{`{"text":["a","b"],"result":["data.json","x",null,5]}`, 0, 0},
		{`{"animated":[{"a":1},"m.glb",true],"images":[{"filename":"a"}]}`, 1, 1},
		{`{"images":[{"a":1}],"video":[{"a":1}],"audio":[{"a":1}],"3d":[{"a":1}],"text":[{"a":1}]}`, 5, 5},
		{`{"latents":[{"filename":"a.latent","type":"output"}],"images":[{"filename":"a.png"}]}`, 2, 1},
		{`{"gifs":[{"format":"video/h264"},{"format":"audio/x"},{"format":"image/gif"},{"format":5},{"format":"VIDEO/x"}]}`, 5, 2},
		{`{"files":[{"filename":"a.obj"},{"filename":"a.fbx"},{"filename":"a.gltf"},{"filename":"a.GLB"},{"filename":"a.usdz"}]}`, 5, 5},
		{`{"files":[{"filename":"a.txt"},{"filename":"a.MD"},{"filename":"a.json"}]}`, 3, 3},
		{`{"files":[{"filename":"a.stl"},{"filename":"a.ply"},{"filename":"a.png"},{"filename":"obj"},{"filename":7}]}`, 5, 0},
		{`{"result":["a.OBJ","b.fbx","c.gltf","d.glb","e.usdz",null,"f.stl"]}`, 5, 5},
	} {
		job := jobOf(h, c.ui)
		require.Equal(t, []any{c.count, c.showable}, []any{job["outputs_count"], job["previewable_outputs_count"]}, c.ui)
	}
}

func TestNewest3_Preview(t *testing.T) {
	h := newHost(t, nil)
	const temp, saved, note = `"images":[{"filename":"t.png","type":"temp"}]`, `"audio":[{"filename":"s.flac","type":"output"}]`, `"files":[{"filename":"n.txt","type":"output"}]`
	for _, c := range []struct {
		uis  []string
		want string
	}{
		{[]string{`{` + temp + `}`, `{` + saved + `}`, `{` + note + `,"text":["x"]}`}, `{"filename":"s.flac","type":"output","nodeId":"2","mediaType":"audio"}`},
		{[]string{`{` + saved + `}`, `{"images":[{"filename":"o.png","type":"output"}]}`}, `{"filename":"s.flac","type":"output","nodeId":"1","mediaType":"audio"}`},
		{[]string{`{` + note + `,"text":["x"]}`, `{` + temp + `}`}, `{"filename":"t.png","type":"temp","nodeId":"2","mediaType":"images"}`},
		{[]string{`{"text":["x"]}`, `{` + note + `}`}, `{"filename":"n.txt","type":"output","nodeId":"2","mediaType":"files"}`},
		{[]string{`{"text":["x",{"filename":"y","type":"output"}]}`}, `{"filename":"y","type":"output","nodeId":"1","mediaType":"text"}`},
		{[]string{`{"text":[null,"x","y"]}`, `{"text":["z"]}`}, `{"content":"x","nodeId":"1","mediaType":"text"}`},
		{[]string{`{"text":[""]}`}, `{"content":"","nodeId":"1","mediaType":"text"}`},
		{[]string{`{"result":["m.glb",null]}`}, `{"filename":"m.glb","type":"output","subfolder":"","nodeId":"1","mediaType":"3d"}`},
		{
			[]string{`{"gifs":[{"filename":"g","format":"video/x","mediaType":"own","nodeId":7,"frame_rate":8.5}]}`},
			`{"filename":"g","format":"video/x","frame_rate":8.5,"nodeId":"1","mediaType":"own"}`,
		},
		// What the front end would refuse is no preview.
		{
			[]string{`{"images":[{"filename":5},{"filename":"a","type":"other"},{"filename":"b","type":null},{"filename":"c","subfolder":null},{"filename":"d"}]}`},
			`{"filename":"d","nodeId":"1","mediaType":"images"}`,
		},
		{[]string{`{"images":[{"filename":"a","type":"other"}]}`, `{"latents":[{"filename":"a.latent","type":"output"}]}`, `{"other":["x"]}`}, `null`},
	} {
		job := jobOf(h, c.uis...)
		if c.want == "null" {
			require.NotContains(t, job, "preview_output", c.uis)
			continue
		}
		require.JSONEq(t, c.want, jsonOf(t, at(t, job, "preview_output")), c.uis)
		require.Equal(t, job["preview_output"], at(t, detailOf(h, c.uis...), "preview_output"))
	}
}

// TestNewest3_PreviewOfText: the limit of a preview of text counts characters, not bytes.
func TestNewest3_PreviewOfText(t *testing.T) {
	h := newHost(t, nil)
	for _, letter := range []string{"x", "é", "漢", "😀"} {
		for _, n := range []int{1, 1023, 1024, 1025, 3000} {
			preview := at(t, jobOf(h, `{"text":["`+strings.Repeat(letter, n)+`"]}`), "preview_output").(map[string]any)
			require.Equal(t, strings.Repeat(letter, min(n, 1024)), preview["content"])
			if n > 1024 {
				require.Equal(t, true, preview["truncated"])
			} else {
				require.NotContains(t, preview, "truncated")
			}
		}
	}
}

// TestNewest3_OutputsOfADetail: what a node showed is in the form that the front end accepts.
func TestNewest3_OutputsOfADetail(t *testing.T) {
	h := newHost(t, nil)
	for ui, want := range map[string]string{
		`{"result":["m.glb",null,"x",5,{"a":1}]}`:                                                      `{"result":[{"filename":"m.glb","type":"output","subfolder":"","mediaType":"3d"},"x",5,{"a":1}]}`,
		`{"images":[null,"x",5,{"filename":"a.png","type":"temp","z":null}],"animated":[true,null,5]}`: `{"images":[{"filename":"a.png","type":"temp","z":null}],"animated":[true]}`,
		`{"video":[{"filename":5,"subfolder":null,"type":"other","display_name":[],"id":1,"x":1}]}`:    `{"video":[{"x":1}]}`,
		`{"text":["a",5,null,{"filename":"n.txt"},[1]],"files":[{"filename":"f"}]}`:                    `{"text":["a","5","[1]"],"files":[{"filename":"f"},{"filename":"n.txt"}]}`,
		`{"audio":[]}`:                `{"audio":[]}`,
		`{"gifs":[{"type":"other"}]}`: `{"gifs":[{"type":"other"}]}`,
	} {
		require.JSONEq(t, want, jsonOf(t, at(t, detailOf(h, ui), "outputs", "1")), ui)
	}
	id := h.submit("me", `{"1":{"class_type":"Show","inputs":{"ui":"{\"video\":[{\"filename\":5}]}"}}}`)
	h.ended(id)
	h.get("/api/jobs/" + id)
	require.EqualValues(t, 5, at(t, h.get("/history/"+id), id, "outputs", "1", "video", 0, "filename"), "the history has what the node showed")
}

// TestNewest3_CancelKnowsOurIDs: a list may name a prompt whose id is no UUID, but no other
// text. It ends only what the request may change.
func TestNewest3_CancelKnowsOurIDs(t *testing.T) {
	h := newHost(t, &comfy.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		return nodebus.Grant{Client: r.Header.Get("X-Client")}, nil
	}})
	id := h.submit("me", waitFor("never"), `"prompt_id":"mine"`)
	h.dial("watch=mine", http.Header{"X-Client": {"me"}}).until("executing 1")
	uuid := h.submit("me", waitFor("never"))
	cancel := func(client string, ids string) answered {
		return h.post("/api/jobs/cancel", `{"job_ids":[`+ids+`]}`, "X-Client", client)
	}
	a := cancel("me", `"mine","`+strings.ToUpper(uuid)+`","other",7`)
	require.Equal(t, 400, a.status)
	require.JSONEq(t, `{"error":"job_ids contains invalid id(s)","invalid_ids":["`+strings.ToUpper(uuid)+`","other","7"]}`, a.body)
	require.Equal(t, "in_progress", at(t, h.get("/api/jobs/mine", "X-Client", "me"), "status"), "nothing ends if an id is refused")
	require.JSONEq(t, `{"cancelled":false}`, cancel("other", `"mine","`+uuid+`"`).body)
	require.JSONEq(t, `{"cancelled":true}`, cancel("me", `"mine","`+uuid+`","00000000-0000-0000-0000-000000000000"`).body)
	for _, id := range []string{id, uuid} {
		_, err := h.engine.Wait(t.Context(), id)
		require.NoError(t, err)
	}
	require.JSONEq(t, `{"cancelled":false}`, cancel("me", `"mine","`+uuid+`"`).body, "they have ended")
}

// countingStore counts the records that it is asked for.
type countingStore struct {
	flow.Store
	gets atomic.Int64
}

func (s *countingStore) Get(ctx context.Context, id string) (flow.Record, error) {
	s.gets.Add(1)
	return s.Store.Get(ctx, id)
}

// TestNewest3_CancelOfManyUnknownIDs: one request cannot make the store look for many records.
func TestNewest3_CancelOfManyUnknownIDs(t *testing.T) {
	store := &countingStore{Store: flow.NewStore(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Store: store})
	var ids []string
	for i := range 50_000 {
		ids = append(ids, fmt.Sprint(i))
	}
	a := h.post("/api/jobs/cancel", `{"job_ids":`+jsonOf(t, ids)+`}`)
	require.Equal(t, 400, a.status)
	require.Equal(t, "job_ids contains invalid id(s)", at(t, a.json(t), "error"))
	require.Less(t, store.gets.Load(), int64(200))
	require.Less(t, len(at(t, a.json(t), "invalid_ids").([]any)), 200)
}

// TestNewest3_CancelIsOnlyOfItsJob cancels the same jobs from many clients, while other jobs
// run: no other job ends.
func TestNewest3_CancelIsOnlyOfItsJob(t *testing.T) {
	h := newHostOf(t, nil, &flow.EngineOptions{Parallel: 2})
	kept := h.submit("me", waitFor("kept"))
	h.dial("watch="+kept, nil).until("executing 1")
	for i := range 10 {
		id := h.submit("me", waitFor("never"))
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, h.url+"/api/jobs/"+id+"/cancel", nil)
				if err != nil {
					t.Error(err)
					return
				}
				res, err := http.DefaultTransport.RoundTrip(req)
				if err != nil || res.StatusCode != http.StatusOK {
					t.Error(i, err)
					return
				}
				_ = res.Body.Close()
			})
		}
		all.Wait()
		_, err := h.engine.Wait(t.Context(), id)
		require.NoError(t, err)
	}
	require.Equal(t, "in_progress", at(t, h.get("/api/jobs/"+kept), "status"))
	h.gate.open("kept")
	require.Contains(t, h.ended(kept), "execution_success")
}
