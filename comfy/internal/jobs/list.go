package jobs

import (
	"cmp"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
)

// jobQuery selects jobs, and sets their order and the page of the list.
type jobQuery struct {
	status        map[string]bool // nil: all
	workflow      string
	byDuration    bool
	ascending     bool
	limit, offset int // limit 0: no limit
}

// List answers GET /api/jobs with one page of the jobs.
func (s *Jobs) List(w http.ResponseWriter, r *http.Request) {
	q, wrong := parseJobQuery(r)
	if wrong != "" {
		web.Fail(w, http.StatusBadRequest, wrong)
		return
	}
	jobs, err := s.jobs(r, q)
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	total := len(jobs)
	jobs = jobs[min(q.offset, total):]
	limit := q.limit
	if limit == 0 {
		limit = max(len(jobs), 1) // front ends need a number here
	}
	jobs = jobs[:min(limit, len(jobs))]
	out, first := web.NewStream(w), true
	out.Text(`{"jobs":[`)
	err = s.eachJob(r, jobs, func(j *job) bool {
		summary, err := web.Encode(j.summary())
		if err != nil {
			s.leftOut(j.prompt.ID, "the list of jobs", err)
			return true
		}
		out.Comma(&first)
		return out.Value(summary)
	})
	out.Text(`],"pagination":`)
	out.Value(web.Object{{"offset", q.offset}, {"limit", limit}, {"total", total}, {"has_more", q.offset+len(jobs) < total}})
	out.Text("}")
	out.End(s.Logger, err)
}

// jobKey is what is needed to sort a job. The job itself may need much memory.
type jobKey struct {
	id       string
	queued   bool  // it waits or runs
	by       int64 // what the list is sorted by
	accepted time.Time
}

func (q *jobQuery) key(j *job) jobKey {
	k := jobKey{j.prompt.ID, j.rec == nil, j.created(), j.prompt.Created}
	if q.byDuration {
		k.by = j.duration()
	}
	return k
}

// jobs returns the keys of the jobs that the query selects, in its order. Each job is in
// the list once.
func (s *Jobs) jobs(r *http.Request, q *jobQuery) (all []jobKey, err error) {
	var queued []jobKey // first the queue, then records: a job that ends meanwhile is in one of them
	err = s.eachQueued(r.Context(), func(x flow.Queued) bool {
		if j := queuedJob(x); q.wants(&j) {
			queued = append(queued, q.key(&j))
		}
		return true
	})
	if err != nil {
		return nil, err
	}
	ended := map[string]bool{}
	_, err = s.recordIDs(r, -1, func(rec *flow.Record) bool {
		j := recordJob(rec)
		if !ended[j.prompt.ID] && q.wants(&j) {
			all = append(all, q.key(&j))
		}
		ended[j.prompt.ID] = true
		return false
	})
	for _, k := range queued {
		if !ended[k.id] {
			all = append(all, k)
		}
	}
	slices.SortStableFunc(all, func(a, b jobKey) int {
		if !q.ascending {
			a, b = b, a
		}
		return cmp.Or(cmp.Compare(a.by, b.by), a.accepted.Compare(b.accepted)) // two jobs may have the same millisecond
	})
	return all, err
}

// jobBatch is the number of jobs that the server holds at once to list them.
const jobBatch = 32

// eachJob calls f for the jobs with these keys, until f returns false. Jobs that were
// deleted meanwhile are left out.
func (s *Jobs) eachJob(r *http.Request, keys []jobKey, f func(j *job) bool) error {
	return nodebus.Protect(func() error {
		for batch := range slices.Chunk(keys, jobBatch) {
			queued, err := s.queuedJobs(r, batch)
			if err != nil {
				return err
			}
			for _, k := range batch {
				j, waits := queued[k.id]
				if !waits {
					rec, err := s.Engine.Store().Get(r.Context(), k.id)
					if errors.Is(err, flow.ErrNotFound) {
						continue
					}
					if err != nil {
						return err
					}
					j = recordJob(&rec)
				}
				if !f(&j) {
					return nil
				}
			}
		}
		return nil
	})
}

// queuedJobs returns those jobs of keys that waited or ran, and still do.
func (s *Jobs) queuedJobs(r *http.Request, keys []jobKey) (jobs map[string]job, err error) {
	var ids []string
	for _, k := range keys {
		if k.queued {
			ids = append(ids, k.id)
		}
	}
	if ids == nil { // no ids would mean all
		return nil, nil
	}
	jobs = make(map[string]job, len(ids))
	err = s.eachQueued(r.Context(), func(x flow.Queued) bool {
		jobs[x.Prompt.ID] = queuedJob(x)
		return true
	}, ids...)
	return jobs, err
}

func (q *jobQuery) wants(j *job) bool {
	return (q.status == nil || q.status[j.status]) && (q.workflow == "" || q.workflow == j.workflow())
}

// parseJobQuery reads the query. If the query is not valid, wrong is the error
// text for the client.
func parseJobQuery(r *http.Request) (q *jobQuery, wrong string) {
	v := r.URL.Query()
	q = &jobQuery{workflow: v.Get("workflow_id")}
	var unknown []string
	for st := range strings.SplitSeq(v.Get("status"), ",") {
		switch st = strings.ToLower(strings.TrimSpace(st)); st {
		case "":
		case pending, inProgress, completed, failed, cancelled:
			if q.status == nil {
				q.status = map[string]bool{}
			}
			q.status[st] = true
		default:
			unknown = append(unknown, st)
		}
	}
	if unknown != nil {
		return nil, "Invalid status value(s): " + strings.Join(unknown, ", ")
	}
	switch strings.ToLower(v.Get("sort_by")) {
	case "", "created_at":
	case "execution_duration":
		q.byDuration = true
	default:
		return nil, "sort_by must be created_at or execution_duration"
	}
	switch strings.ToLower(v.Get("sort_order")) {
	case "", "desc":
	case "asc":
		q.ascending = true
	default:
		return nil, "sort_order must be asc or desc"
	}
	return q, q.parsePage(v.Get("limit"), v.Get("offset"))
}

func (q *jobQuery) parsePage(limit, offset string) (wrong string) {
	var err error
	if limit != "" {
		if q.limit, err = strconv.Atoi(limit); err != nil || q.limit < 1 {
			return "limit must be a whole number of at least 1"
		}
	}
	if offset != "" {
		if q.offset, err = strconv.Atoi(offset); err != nil {
			return "offset must be a whole number"
		}
		q.offset = max(q.offset, 0)
	}
	return ""
}
