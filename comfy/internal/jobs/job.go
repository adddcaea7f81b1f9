package jobs

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"net/http"

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
	switch t := j.prompt.Extra["create_time"].(type) {
	case int64:
		return t
	case json.Number: // of a queue or a store that keeps JSON
		if n, err := t.Int64(); err == nil {
			return n
		}
	case float64:
		if n := int64(t); float64(n) == t {
			return n
		}
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

// summary returns the fields that a list shows of the job. Front ends discard the whole list
// if one of them has another type than they expect, so a value that does not fit is repaired
// or left out.
func (j *job) summary() web.Object {
	o := web.Object{{"id", j.prompt.ID}, {"status", j.status}}
	if jsonenc.Finite(j.prompt.Priority) {
		o.Add("priority", j.prompt.Priority)
	}
	o.Add("create_time", j.created())
	var outputs shown
	if rec := j.rec; rec != nil {
		if rec.Start != nil {
			o.Add("execution_start_time", rec.Start.Timestamp)
		}
		o.Add("execution_end_time", rec.Ended.UnixMilli())
		if rec.Error != nil {
			o.Add("execution_error", encodeError(rec.Error))
		}
		if outputs = summaryOf(rec.Outputs); outputs.preview != nil {
			o.Add("preview_output", outputs.preview)
		}
	}
	o.Add("outputs_count", outputs.count)
	o.Add("previewable_outputs_count", outputs.showable)
	if id := j.workflow(); id != "" {
		o.Add("workflow_id", id)
	}
	return o
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
		ended := recordJob(&rec)
		web.Answer(w, http.StatusOK, s.jobDetail(r, &ended))
	case !errors.Is(err, flow.ErrNotFound):
		web.Unavailable(w, s.Logger, err)
	case queued == nil:
		web.Fail(w, http.StatusNotFound, "Job not found")
	default:
		web.Answer(w, http.StatusOK, s.jobDetail(r, queued))
	}
}

// jobDetail returns the summary of a job and its workflow. An ended job also has outputs and
// messages.
func (s *Jobs) jobDetail(r *http.Request, j *job) web.Object {
	o := j.summary()
	if rec := j.rec; rec != nil {
		o.Add("outputs", outputsOf(rec.Outputs))
		o.Add("execution_status", statusOf(rec))
	}
	extra := s.extraData(r, j.prompt)
	if png := extra["extra_pnginfo"]; png != nil && !bytes.HasPrefix(encode(png), []byte("{")) {
		extra = maps.Clone(extra)
		delete(extra, "extra_pnginfo") // a front end would open neither a workflow nor the prompt
	}
	graph, first := web.Raw("{"), true
	for i := range j.prompt.Nodes {
		if node := s.encodeNode(j.prompt.ID, j.prompt.Nodes, i); node != nil {
			if !first {
				graph = append(graph, ',')
			}
			graph, first = append(graph, node...), false
		}
	}
	graph = append(graph, '}')
	o.Add("workflow", web.Object{{"prompt", graph}, {"extra_data", s.encodeObject(j.prompt.ID, "extra_data", extra)}})
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
