package comfy_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// jobsOf returns a host with one job in each state. The id of each job is its
// state. The failed and the pending job belong to the workflow w.
func jobsOf(t *testing.T) *host {
	h := newHost(t, nil)
	const workflow = `"extra_data":{"extra_pnginfo":{"workflow":{"id":"w"}}}`
	h.submit("me", quick, `"prompt_id":"completed"`)
	h.ended("completed")
	h.submit("me", `{"1":{"class_type":"RefRaise","inputs":{"value":1,"message":"boom"}},"2":{"class_type":"RefOutput","inputs":{"value":["1",0]}}}`,
		`"prompt_id":"failed"`, workflow)
	h.ended("failed")
	h.submit("me", waitFor("never"), `"prompt_id":"cancelled"`)
	s := h.dial("watch=cancelled&watch=in_progress", nil)
	s.until("executing 1")
	h.post("/interrupt", "")
	h.ended("cancelled")
	h.submit("me", waitFor("busy"), `"prompt_id":"in_progress"`)
	s.until("execution_interrupted")
	s.until("executing 1")
	s.close()
	h.submit("me", quick, `"prompt_id":"pending"`, workflow)
	t.Cleanup(func() { h.gate.open("busy") })
	return h
}

// list returns the ids of the jobs that the query selects, and the whole answer.
func (h *host) list(query string) (ids string, all any) {
	h.t.Helper()
	all = h.get("/api/jobs" + query)
	var names []string
	for _, job := range at(h.t, all, "jobs").([]any) {
		names = append(names, at(h.t, job, "id").(string))
	}
	return strings.Join(names, " "), all
}

func TestJobsByState(t *testing.T) {
	h := jobsOf(t)
	for query, want := range map[string]string{
		"":                                   "pending in_progress cancelled failed completed",
		"?status=":                           "pending in_progress cancelled failed completed",
		"?status=,":                          "pending in_progress cancelled failed completed",
		"?status=pending":                    "pending",
		"?status=in_progress,pending":        "pending in_progress",
		"?status=pending,":                   "pending",
		"?status=%20Completed%20,FAILED":     "failed completed",
		"?status=completed,failed,cancelled": "cancelled failed completed",
		"?workflow_id=w":                     "pending failed",
		"?workflow_id=w&status=failed":       "failed",
		"?workflow_id=other":                 "",
		"?sort_order=asc":                    "completed failed cancelled in_progress pending",
		"?sort_order=ASC&sort_by=Created_At": "completed failed cancelled in_progress pending",
		"?sort_by=created_at&sort_order=desc&rand=1": "pending in_progress cancelled failed completed",
	} {
		got, all := h.list(query)
		require.Equal(t, want, got, query)
		n := float64(len(strings.Fields(want)))
		require.Equal(t, map[string]any{"offset": 0.0, "limit": max(n, 1), "total": n, "has_more": false}, at(t, all, "pagination"))
	}
	require.Equal(t, 404, h.send("GET", "/jobs", "").status, "there is no twin")
}

func TestJobPages(t *testing.T) {
	h := jobsOf(t)
	for query, want := range map[string]struct {
		ids    string
		offset float64
		limit  float64
		more   bool
	}{
		"?limit=2":           {"pending in_progress", 0, 2, true},
		"?limit=2&offset=2":  {"cancelled failed", 2, 2, true},
		"?limit=2&offset=4":  {"completed", 4, 2, false},
		"?limit=2&offset=9":  {"", 9, 2, false},
		"?limit=5":           {"pending in_progress cancelled failed completed", 0, 5, false},
		"?limit=200":         {"pending in_progress cancelled failed completed", 0, 200, false},
		"?offset=3":          {"failed completed", 3, 2, false},
		"?offset=-3&limit=1": {"pending", 0, 1, true},
	} {
		got, all := h.list(query)
		require.Equal(t, want.ids, got, query)
		require.Equal(t, map[string]any{"offset": want.offset, "limit": want.limit, "total": 5.0, "has_more": want.more},
			at(t, all, "pagination"), query)
	}
	for query, word := range map[string]string{
		"?status=odd":                "Invalid status value(s): odd",
		"?status=failed,odd,other":   "Invalid status value(s): odd, other",
		"?sort_by=id":                "sort_by",
		"?sort_order=up":             "sort_order",
		"?limit=0":                   "limit",
		"?limit=-1":                  "limit",
		"?limit=x":                   "limit",
		"?limit=1.5":                 "limit",
		"?offset=x":                  "offset",
		"?offset=1e3":                "offset",
		"?limit=9999999999999999999": "limit",
	} {
		a := h.send("GET", "/api/jobs"+query, "")
		require.Equal(t, 400, a.status, query)
		require.Contains(t, at(t, a.json(t), "error"), word)
	}
}

// TestJobFields: the fields of a job in each state, in a list and in the answer for
// a single job.
func TestJobFields(t *testing.T) {
	h := jobsOf(t)
	_, all := h.list("")
	fields := map[string]string{
		"pending":     "create_time id outputs_count previewable_outputs_count priority status workflow_id",
		"in_progress": "create_time id outputs_count previewable_outputs_count priority status",
		"cancelled":   "create_time execution_end_time execution_start_time id outputs_count previewable_outputs_count priority status",
		"failed":      "create_time execution_end_time execution_error execution_start_time id outputs_count previewable_outputs_count priority status workflow_id",
		"completed":   "create_time execution_end_time execution_start_time id outputs_count preview_output previewable_outputs_count priority status",
	}
	priority := map[string]float64{"completed": 0, "failed": 1, "cancelled": 2, "in_progress": 3, "pending": 4}
	for _, j := range at(t, all, "jobs").([]any) {
		job := j.(map[string]any)
		id := job["id"].(string)
		require.Equal(t, id, job["status"])
		require.Equal(t, priority[id], job["priority"])
		require.Greater(t, job["create_time"], 1.7e12)
		require.Equal(t, fields[id], strings.Join(sortedNames(job), " "), id)

		alone := h.get("/api/jobs/" + id).(map[string]any)
		for name, v := range job {
			require.Equal(t, v, alone[name], "%s of %s", name, id)
			delete(alone, name)
		}
		if id == "pending" || id == "in_progress" {
			require.Equal(t, []string{"workflow"}, sortedNames(alone))
			continue
		}
		entry := at(t, h.get("/history/"+id), id)
		require.Equal(t, map[string]any{
			"outputs": at(t, entry, "outputs"), "execution_status": at(t, entry, "status"),
			"workflow": map[string]any{"prompt": at(t, entry, "prompt", 2), "extra_data": at(t, entry, "prompt", 3)},
		}, alone, id)
	}
	require.Equal(t, "boom\n", at(t, h.get("/api/jobs/failed"), "execution_error", "exception_message"))

	a := h.send("GET", "/api/jobs/unknown", "")
	require.Equal(t, 404, a.status)
	require.JSONEq(t, `{"error":"Job not found"}`, a.body)
}

// TestJobOutputs: the number of a job's outputs, and the output that is its
// preview.
func TestJobOutputs(t *testing.T) {
	h := newHost(t, nil)
	for ui, want := range map[string]string{
		`{}`:                      `0 null`,
		`{"text":["a","b"]}`:      `0 {"content":"a","nodeId":"1","mediaType":"text"}`,
		`{"x":[{"a":1},{"b":2}]}`: `2 null`,
		`{"animated":[{"a":1}],"images":[{"filename":"a.png","type":"temp"}]}`:                                          `1 {"filename":"a.png","type":"temp","nodeId":"1","mediaType":"images"}`,
		`{"images":[{"filename":"a","type":"temp"},{"filename":"b","type":"output"},{"filename":"c","type":"output"}]}`: `3 {"filename":"b","type":"output","nodeId":"1","mediaType":"images"}`,
		`{"video":[{"filename":"v","type":"output"}],"images":[{"filename":"i","type":"temp"}]}`:                        `2 {"filename":"v","type":"output","nodeId":"1","mediaType":"video"}`,
		`{"audio":[{"filename":"a","type":"temp"},null,5,"x"]}`:                                                         `1 {"filename":"a","type":"temp","nodeId":"1","mediaType":"audio"}`,
		`{"3d":[{"filename":"m","type":"temp"}]}`:                                                                       `1 {"filename":"m","type":"temp","nodeId":"1","mediaType":"3d"}`,
		`{"gifs":[{"filename":"g","format":"video/h264-mp4"}]}`:                                                         `1 {"filename":"g","format":"video/h264-mp4","nodeId":"1","mediaType":"gifs"}`,
		`{"result":[{"filename":"x.GLB"}]}`:                                                                             `1 {"filename":"x.GLB","nodeId":"1","mediaType":"result"}`,
		`{"result":[{"filename":"x.bin","type":"output"},{"filename":5}]}`:                                              `2 null`,
	} {
		h.engine.Free()
		id := h.submit("me", fmt.Sprintf(`{"1":{"class_type":"Show","inputs":{"ui":%q}}}`, ui))
		require.Contains(t, h.ended(id), "execution_success", ui)
		job := h.get("/api/jobs/" + id).(map[string]any)
		n, preview, _ := strings.Cut(want, " ")
		require.Equal(t, n, fmt.Sprint(job["outputs_count"]), ui)
		if preview == "null" {
			require.NotContains(t, job, "preview_output", ui)
			continue
		}
		require.Contains(t, h.send("GET", "/api/jobs/"+id, "").body, `"preview_output":`+preview, ui)
	}
	id := h.submit("me", `{"1":{"class_type":"SaveImage","inputs":{"images":["2",0],"filename_prefix":"a"}},
		"2":{"class_type":"RefImage","inputs":{"value":0.5,"width":8,"height":8}}}`)
	h.ended(id)
	require.Equal(t, "output", at(t, h.get("/api/jobs/"+id), "preview_output", "type"), "what a node shows as a struct counts too")
}

// TestJobsByDuration puts records directly into the store, so that the durations
// are exact.
func TestJobsByDuration(t *testing.T) {
	h := newHost(t, nil)
	for id, ms := range map[string]int64{"short": 10, "long": 5000, "middle": 100} {
		ended := time.UnixMilli(1_700_000_000_000 + ms)
		require.NoError(t, h.engine.Store().Put(t.Context(), flow.Record{
			Prompt: &nodebus.Prompt{ID: id, Created: time.UnixMilli(1_600_000_000_000)}, State: nodebus.Succeeded, Ended: ended,
			Start: &nodebus.ExecutionStart{PromptID: id, Timestamp: 1_700_000_000_000},
		}))
	}
	require.NoError(t, h.engine.Store().Put(t.Context(), flow.Record{
		Prompt: &nodebus.Prompt{ID: "never", Created: time.UnixMilli(1_600_000_000_000)}, State: nodebus.Interrupted, Ended: time.UnixMilli(1_700_000_000_000),
	}))
	got, all := h.list("?sort_by=execution_duration")
	require.Equal(t, "long middle short never", got)
	require.EqualValues(t, 1.6e12, at(t, all, "jobs", 0, "create_time"))
	got, _ = h.list("?sort_by=execution_duration&sort_order=asc&limit=2")
	require.Equal(t, "never short", got)
}

func TestJobCancel(t *testing.T) {
	for _, c := range []struct {
		path, body string
		cancelled  bool
		hit        []string
	}{
		{"/api/jobs/in_progress/cancel", "", true, []string{"in_progress"}},
		{"/api/jobs/pending/cancel", "{", true, []string{"pending"}},
		{"/api/jobs/completed/cancel", "", false, nil},
		{"/api/jobs/unknown/cancel", "", false, nil},
		{"/api/jobs/cancel", `{"job_ids":["in_progress","pending","00000000-0000-0000-0000-000000000000"]}`, true, []string{"in_progress", "pending"}},
		{"/api/jobs/cancel", `{"job_ids":["pending"],"other":1}`, true, []string{"pending"}},
		{"/api/jobs/cancel", `{"job_ids":["00000000-0000-0000-0000-000000000000","completed"]}`, false, nil},
		{"/api/jobs/cancel", `{"job_ids":[]}`, false, nil},
	} {
		h := jobsOf(t)
		a := h.post(c.path, c.body)
		require.Equal(t, 200, a.status)
		require.JSONEq(t, fmt.Sprintf(`{"cancelled":%t}`, c.cancelled), a.body)
		for _, id := range c.hit {
			h.ended(id)
			require.Equal(t, "cancelled", at(t, h.get("/api/jobs/"+id), "status"), c.body)
		}
		got, _ := h.list("?status=cancelled")
		require.ElementsMatch(t, append(c.hit, "cancelled"), strings.Fields(got), "no other")
	}
}

func TestJobCancelRefuses(t *testing.T) {
	h := jobsOf(t)
	for body, want := range map[string]string{
		`{}`:                    `{"error":"job_ids must be a list"}`,
		`null`:                  `{"error":"job_ids must be a list"}`,
		`{"job_ids":null}`:      `{"error":"job_ids must be a list"}`,
		`{"job_ids":"pending"}`: `{"error":"job_ids must be a list"}`,
		`{"job_ids":{"a":1}}`:   `{"error":"job_ids must be a list"}`,
		`[]`:                    `{"error":"job_ids must be a list"}`,
		`["pending"]`:           `{"error":"job_ids must be a list"}`,
		``:                      `{"error":"Request body must be valid JSON"}`,
		`{`:                     `{"error":"Request body must be valid JSON"}`,
		`{"job_ids":["pending",5,"",null,{"a":true},"00000000-0000-0000-0000-00000000000A"]}`: `{"error":"job_ids contains invalid id(s)",
			"invalid_ids":["5","","None","{'a': True}","00000000-0000-0000-0000-00000000000A"]}`,
	} {
		a := h.post("/api/jobs/cancel", body)
		require.Equal(t, 400, a.status, body)
		require.JSONEq(t, want, a.body)
	}
	require.Len(t, h.get("/history"), 3, "nothing has ended")
}

// slowStore calls missed after Get has not found a record.
type slowStore struct {
	flow.Store
	missed func()
}

func (s *slowStore) Get(ctx context.Context, id string) (flow.Record, error) {
	rec, err := s.Store.Get(ctx, id)
	if err != nil && s.missed != nil {
		s.missed()
	}
	return rec, err
}

// TestJobThatEndsMeanwhile: a job is found although it ends during the request. At
// first the store has no record of it, and later it no longer runs.
func TestJobThatEndsMeanwhile(t *testing.T) {
	st := &slowStore{Store: flow.NewStore(nil)}
	h := newHostOf(t, nil, &flow.EngineOptions{Store: st})
	id := h.submit("me", waitFor("a"))
	h.dial("watch="+id, nil).until("executing 1")
	st.missed = func() {
		events := h.hub.Subscribe(t.Context())
		h.gate.open("a")
		for ev, err := range events {
			at, is := ev.Payload.(nodebus.Executing)
			if err != nil || is && at.UniqueID == "" {
				break
			}
		}
	}
	require.Equal(t, "in_progress", at(t, h.get("/api/jobs/"+id), "status"))
	st.missed = nil
	require.Equal(t, "completed", at(t, h.get("/api/jobs/"+id), "status"))
}
