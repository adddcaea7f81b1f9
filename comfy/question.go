package comfy

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/nodebus/nodebus"
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

// answerQuestion answers POST /nodebus/answer: the answer to a question that a node has
// asked, or will ask; see [nodebus.Await]. A request that may not change the prompt is
// answered as if there were no such prompt.
func (s *Server) answerQuestion(w http.ResponseWriter, r *http.Request) {
	var req reply
	if !readJSON(w, r, &req) {
		return
	}
	var id string
	if err := json.Unmarshal(req.PromptID, &id); err != nil {
		id = string(req.PromptID) // the client chose a number as the id
	}
	switch {
	case id == "" || req.NodeID == "":
		fail(w, http.StatusBadRequest, "the body must name prompt_id and node_id")
		return
	case (req.Value == nil) == (req.Refuse == nil):
		fail(w, http.StatusBadRequest, "the body must have either value or refuse")
		return
	}
	err := s.mustOwn(r, id)
	switch {
	case err != nil:
	case req.Refuse != nil:
		err = s.engine.Refuse(r.Context(), id, req.NodeID, req.Name, *req.Refuse)
	default:
		err = s.engine.Answer(r.Context(), id, req.NodeID, req.Name, req.Value)
	}
	switch {
	case err == nil:
		done(w)
	case errors.Is(err, flow.ErrNotFound):
		fail(w, http.StatusNotFound, "no prompt with this id waits or runs")
	case errors.Is(err, flow.ErrAnswer):
		fail(w, http.StatusBadRequest, strings.TrimPrefix(err.Error(), "nodebus: "))
	case errors.Is(err, flow.ErrFull):
		fail(w, http.StatusServiceUnavailable, strings.TrimPrefix(err.Error(), "nodebus: "))
	default:
		s.unavailable(w, err)
	}
}

// mustOwn returns [flow.ErrNotFound] if the request may not change a waiting or running
// prompt.
func (s *Server) mustOwn(r *http.Request, id string) error {
	if granted(r).Client == "" {
		return nil
	}
	return nodebus.Protect(func() error {
		for q, err := range s.engine.Queue().List(r.Context(), id) {
			if err != nil || mayChange(r, q.Prompt) {
				return err
			}
		}
		return flow.ErrNotFound
	})
}
