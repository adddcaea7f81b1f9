package jobs

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

// The states of a job, as clients read them.
const (
	pending    = "pending"
	inProgress = "in_progress"
	completed  = "completed"
	failed     = "failed"
	cancelled  = "cancelled"
)

// job is a prompt in the format of newer front ends. The prompt waits, runs, or
// has a record.
type job struct {
	prompt *nodebus.Prompt
	status string
	rec    *flow.Record // nil while the prompt waits or runs
}

func recordJob(rec *flow.Record) job {
	j := job{rec.Prompt, failed, rec}
	switch rec.State {
	case nodebus.Succeeded:
		j.status = completed
	case nodebus.Interrupted:
		j.status = cancelled
	}
	return j
}

func queuedJob(q flow.Queued) job {
	if q.Leased {
		return job{prompt: q.Prompt, status: inProgress}
	}
	return job{prompt: q.Prompt, status: pending}
}

// created returns the time of submission in Unix milliseconds.
func (j *job) created() int64 {
	if t, ok := j.prompt.Extra["create_time"].(int64); ok {
		return t
	}
	return j.prompt.Created.UnixMilli()
}

// duration returns the execution time in milliseconds. It is 0 if the prompt has
// not begun or has not ended.
func (j *job) duration() int64 {
	if j.rec == nil || j.rec.Start == nil {
		return 0
	}
	return j.rec.Ended.UnixMilli() - j.rec.Start.Timestamp
}

// workflow returns the id of the workflow that the front end submitted with the
// prompt, or "".
func (j *job) workflow() string {
	png, _ := j.prompt.Extra["extra_pnginfo"].(map[string]any)
	wf, _ := png["workflow"].(map[string]any)
	id, _ := wf["id"].(string)
	return id
}

// summary returns the fields that a list shows of the job.
func (j *job) summary() web.Object {
	o := web.Object{
		{"id", j.prompt.ID}, {"status", j.status}, {"priority", j.prompt.Priority}, {"create_time", j.created()},
	}
	outputs := 0
	if rec := j.rec; rec != nil {
		if rec.Start != nil {
			o.Add("execution_start_time", rec.Start.Timestamp)
		}
		o.Add("execution_end_time", rec.Ended.UnixMilli())
		if rec.Error != nil {
			o.Add("execution_error", rec.Error)
		}
		n, preview := shown(rec.Outputs)
		if outputs = n; preview != nil {
			o.Add("preview_output", preview)
		}
	}
	o.Add("outputs_count", outputs)
	if id := j.workflow(); id != "" {
		o.Add("workflow_id", id)
	}
	return o
}

// shown counts the files and other objects that nodes showed. It also chooses the
// preview of the job among the files that a front end can show: the first file of
// the output folder, or else the first file.
func shown(outputs []nodebus.NodeOutput) (n int, preview web.Object) {
	kept := false
	for _, o := range outputs {
		for _, media := range slices.Sorted(maps.Keys(o.UI)) {
			if media == "animated" {
				continue
			}
			for _, v := range o.UI[media] {
				item := asObject(v)
				if item == nil {
					continue
				}
				n++
				isOutput := item["type"] == "output"
				if !previewable(media, item) || kept || preview != nil && !isOutput {
					continue
				}
				kept = isOutput
				preview = web.Object{}
				for _, k := range slices.Sorted(maps.Keys(item)) {
					preview.Add(k, item[k])
				}
				preview.Add("nodeId", o.UniqueID)
				preview.Add("mediaType", media)
			}
		}
	}
	return n, preview
}

// asObject returns v as a JSON object, or nil if v is not an object in JSON.
func asObject(v any) map[string]any {
	if m, ok := v.(map[string]any); ok {
		return m
	}
	data, err := jsonenc.Marshal(v)
	if err != nil || len(data) == 0 || data[0] != '{' {
		return nil
	}
	var m map[string]any
	_ = jsonenc.Decode(data, &m) // cannot fail: Marshal has made data
	return m
}

func previewable(media string, item map[string]any) bool {
	switch media {
	case "images", "video", "audio", "3d":
		return true
	}
	format, _ := item["format"].(string)
	if strings.HasPrefix(format, "video/") || strings.HasPrefix(format, "audio/") {
		return true
	}
	name, _ := item["filename"].(string)
	for _, ext := range []string{".obj", ".fbx", ".gltf", ".glb", ".stl", ".ply", ".splat", ".ksplat", ".spz", ".usdz"} {
		if strings.HasSuffix(strings.ToLower(name), ext) {
			return true
		}
	}
	return false
}

// One answers GET /api/jobs/{id}.
func (s *Jobs) One(w http.ResponseWriter, r *http.Request) {
	id := r.PathValue("id")
	queued, err := s.queued(r, id) // before the records: a prompt that ends meanwhile is in one of the two
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	rec, err := s.Engine.Store().Get(r.Context(), id)
	switch {
	case err == nil:
		web.Answer(w, http.StatusOK, s.jobDetail(r, &rec))
	case !errors.Is(err, flow.ErrNotFound):
		web.Unavailable(w, s.Logger, err)
	case queued == nil:
		web.Fail(w, http.StatusNotFound, "Job not found")
	default:
		web.Answer(w, http.StatusOK, queued.summary())
	}
}

// jobDetail returns the summary of an ended job, and its outputs, messages and
// workflow.
func (s *Jobs) jobDetail(r *http.Request, rec *flow.Record) web.Object {
	j := recordJob(rec)
	o := j.summary()
	outputs := web.Object{}
	for _, out := range rec.Outputs {
		outputs.Add(out.UniqueID, out.UI)
	}
	o.Add("outputs", outputs)
	o.Add("execution_status", statusOf(rec))
	item := s.item(r, rec.Prompt)
	o.Add("workflow", web.Object{{"prompt", item[2]}, {"extra_data", item[3]}})
	return o
}

// queued returns the waiting or running prompt with this id as a job, or nil.
func (s *Jobs) queued(r *http.Request, id string) (found *job, err error) {
	err = s.eachQueued(r.Context(), func(q flow.Queued) bool {
		j := queuedJob(q)
		found = &j
		return false
	}, id)
	return found, err
}

// Cancel answers POST /api/jobs/{id}/cancel. It ends one job.
func (s *Jobs) Cancel(w http.ResponseWriter, r *http.Request) {
	web.Answer(w, http.StatusOK, map[string]bool{"cancelled": s.cancel(r, r.PathValue("id"))})
}

// CancelAll answers POST /api/jobs/cancel. It ends the jobs with the ids in
// job_ids.
func (s *Jobs) CancelAll(w http.ResponseWriter, r *http.Request) {
	var req struct {
		IDs json.RawMessage `json:"job_ids"`
	}
	if !web.ReadJSON(w, r, &req) {
		return
	}
	var raw []any
	if err := json.Unmarshal(req.IDs, &raw); err != nil || raw == nil {
		web.Fail(w, http.StatusBadRequest, "job_ids must be a list")
		return
	}
	ids, invalid := []string{}, []any{}
	for _, v := range raw {
		if id, ok := v.(string); ok && id != "" {
			ids = append(ids, id)
		} else {
			invalid = append(invalid, v)
		}
	}
	if len(invalid) > 0 {
		web.Answer(w, http.StatusBadRequest, map[string]any{"error": "job_ids must be strings", "invalid_ids": invalid})
		return
	}
	web.Answer(w, http.StatusOK, map[string]bool{"cancelled": s.cancel(r, ids...)})
}
