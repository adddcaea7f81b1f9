package jobs

import (
	"encoding/json"
	"errors"
	"net/http"
	"regexp"

	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/nodebus/nodebus/internal/pyfmt"
)

// Cancel answers POST /api/jobs/{id}/cancel. It ends one job. The id may be any text.
func (s *Jobs) Cancel(w http.ResponseWriter, r *http.Request) {
	web.Answer(w, http.StatusOK, map[string]bool{"cancelled": s.cancel(r, r.PathValue("id"))})
}

// canonicalUUID matches the ids that ComfyUI makes, and the only ids that it accepts.
var canonicalUUID = regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`)

// CancelAll answers POST /api/jobs/cancel. It ends the jobs with the ids in
// job_ids. ComfyUI refuses a list in which an id is not a canonical UUID. Here a client may
// choose another id for its prompt, so the id of each prompt that waits, runs or has ended is
// accepted, too. Other ids are refused, and then no job ends.
func (s *Jobs) CancelAll(w http.ResponseWriter, r *http.Request) {
	body, ok := web.ReadCommand(w, r)
	if !ok {
		return
	}
	if !json.Valid(body) {
		web.Fail(w, http.StatusBadRequest, "Request body must be valid JSON")
		return
	}
	var req struct {
		IDs json.RawMessage `json:"job_ids"`
	}
	var list []any
	if json.Unmarshal(body, &req) != nil || jsonenc.Decode(req.IDs, &list) != nil || list == nil {
		web.Fail(w, http.StatusBadRequest, "job_ids must be a list")
		return
	}
	ids, odd := []string{}, []string{} // odd ids are looked up
	for _, v := range list {
		if id, is := v.(string); is {
			if ids = append(ids, id); !canonicalUUID.MatchString(id) {
				odd = append(odd, id)
			}
		}
	}
	unknown, err := s.unknown(r, odd)
	if err != nil {
		web.Unavailable(w, s.Logger, err)
		return
	}
	invalid := []string{}
	for _, v := range list {
		if id, is := v.(string); !is {
			invalid = append(invalid, pyfmt.Repr(v))
		} else if unknown[id] {
			invalid = append(invalid, id)
		}
	}
	if len(invalid) > 0 {
		web.Answer(w, http.StatusBadRequest, web.Object{{"error", "job_ids contains invalid id(s)"}, {"invalid_ids", invalid}})
		return
	}
	web.Answer(w, http.StatusOK, map[string]bool{"cancelled": s.cancel(r, ids...)})
}

// unknownMax is how many different ids a refusal names at most, beside entries that are no
// text. The store is not asked for more.
const unknownMax = 100

// unknown returns the ids, at most unknownMax, that no prompt has: no prompt waits, runs or
// has ended with it. Whether the request may change the prompt does not matter: the lists show
// all ids.
func (s *Jobs) unknown(r *http.Request, ids []string) (unknown map[string]bool, err error) {
	if len(ids) == 0 { // no ids would mean all
		return nil, nil
	}
	known := make(map[string]bool, len(ids))
	// First the queue, then records: a prompt that ends meanwhile is in one of the two.
	err = s.eachQueued(r.Context(), func(q flow.Queued) bool {
		known[q.Prompt.ID] = true
		return true
	}, ids...)
	unknown = map[string]bool{}
	for _, id := range ids {
		if err != nil || len(unknown) == unknownMax {
			break
		}
		if known[id] || unknown[id] {
			continue
		}
		_, missing := s.Engine.Store().Get(r.Context(), id)
		switch {
		case missing == nil:
			known[id] = true
		case errors.Is(missing, flow.ErrNotFound):
			unknown[id] = true
		default:
			err = missing
		}
	}
	return unknown, err
}
