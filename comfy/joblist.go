package comfy

import (
	"cmp"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// jobQuery selects jobs, and sets their order and the page of the list.
type jobQuery struct {
	status        map[string]bool // nil: all
	workflow      string
	byDuration    bool
	ascending     bool
	limit, offset int // limit 0: no limit
}

// jobList answers GET /api/jobs with one page of the jobs.
func (s *Server) jobList(w http.ResponseWriter, r *http.Request) {
	q, wrong := parseJobQuery(r)
	if wrong != "" {
		fail(w, http.StatusBadRequest, wrong)
		return
	}
	jobs, err := s.jobs(r, q)
	if err != nil {
		s.unavailable(w, err)
		return
	}
	total := len(jobs)
	jobs = jobs[min(q.offset, total):]
	limit := q.limit
	if limit == 0 {
		limit = max(len(jobs), 1) // front ends need a number here
	}
	page := []object{}
	for i := range jobs[:min(limit, len(jobs))] {
		page = append(page, jobs[i].summary())
	}
	answer(w, http.StatusOK, object{{"jobs", page}, {"pagination", object{
		{"offset", q.offset}, {"limit", limit}, {"total", total}, {"has_more", q.offset+len(page) < total},
	}}})
}

// jobs returns the jobs that the query selects, in its order. Each job is in the
// list once.
func (s *Server) jobs(r *http.Request, q *jobQuery) (all []job, err error) {
	running, waiting, err := s.prompts(r.Context()) // before the records: a prompt that ends meanwhile is in one of the two
	if err != nil {
		return nil, err
	}
	seen := map[string]bool{}
	add := func(j job) {
		if !seen[j.prompt.ID] && q.wants(&j) {
			all = append(all, j)
		}
		seen[j.prompt.ID] = true
	}
	for rec, err := range s.engine.Store().List(r.Context()) {
		if err != nil {
			return nil, err
		}
		add(recordJob(&rec))
	}
	for _, p := range running {
		add(job{prompt: p, status: inProgress})
	}
	for _, p := range waiting {
		add(job{prompt: p, status: pending})
	}
	slices.SortStableFunc(all, func(a, b job) int {
		if !q.ascending {
			a, b = b, a
		}
		x, y := a.created(), b.created()
		if q.byDuration {
			x, y = a.duration(), b.duration()
		}
		return cmp.Or(cmp.Compare(x, y), a.prompt.Created.Compare(b.prompt.Created)) // two jobs may have the same millisecond
	})
	return all, nil
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

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
