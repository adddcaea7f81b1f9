package jobs

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
)

// reply is the body of POST /nodebus/answer. Exactly one of Value and Refuse is set.
type reply struct {
	PromptID json.RawMessage `json:"prompt_id"`
	NodeID   string          `json:"node_id"`
	Name     string          `json:"name"`
	Value    json.RawMessage `json:"value"`
	Refuse   *string         `json:"refuse"`
}

// Answer answers POST /nodebus/answer: the answer to a question that a node has
// asked, or will ask; see [nodebus.Await]. A request that may not change the prompt is
// answered as if there were no such prompt.
func (s *Jobs) Answer(w http.ResponseWriter, r *http.Request) {
	var req reply
	if !web.ReadJSON(w, r, &req) {
		return
	}
	id := idOf(req.PromptID)
	switch {
	case id == "" || req.NodeID == "":
		web.Fail(w, http.StatusBadRequest, "the body must name prompt_id and node_id")
		return
	case (req.Value == nil) == (req.Refuse == nil):
		web.Fail(w, http.StatusBadRequest, "the body must have either value or refuse")
		return
	}
	err := s.mustOwn(r, id)
	switch {
	case err != nil:
	case req.Refuse != nil:
		err = s.Engine.Refuse(r.Context(), id, req.NodeID, req.Name, *req.Refuse)
	default:
		err = s.Engine.Answer(r.Context(), id, req.NodeID, req.Name, req.Value)
	}
	switch {
	case err == nil:
		web.Done(w)
	case errors.Is(err, flow.ErrNotFound):
		web.Fail(w, http.StatusNotFound, "no prompt with this id waits or runs")
	case errors.Is(err, flow.ErrAnswer):
		web.Fail(w, http.StatusBadRequest, strings.TrimPrefix(err.Error(), "nodebus: "))
	case errors.Is(err, flow.ErrFull):
		web.Fail(w, http.StatusServiceUnavailable, strings.TrimPrefix(err.Error(), "nodebus: "))
	default:
		web.Unavailable(w, s.Logger, err)
	}
}

// mustOwn returns [flow.ErrNotFound] if the request may not change a waiting or running
// prompt.
func (s *Jobs) mustOwn(r *http.Request, id string) error {
	if web.Granted(r).Client == "" {
		return nil
	}
	return nodebus.Protect(func() error {
		for q, err := range s.Engine.Queue().List(r.Context(), id) {
			if err != nil || web.MayChange(r, q.Prompt.ClientID) {
				return err
			}
		}
		return flow.ErrNotFound
	})
}
