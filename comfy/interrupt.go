package comfy

import (
	"encoding/json"
	"net/http"
	"slices"
)

// interrupt answers POST /interrupt: with an id it ends that prompt, whether it
// runs or waits, and no other; without, those that run now.
func (s *Server) interrupt(w http.ResponseWriter, r *http.Request) {
	body, ok := readBody(w, r)
	if !ok {
		return
	}
	var req struct {
		PromptID json.RawMessage `json:"prompt_id"`
	}
	if err := json.Unmarshal(body, &req); err != nil && json.Valid(body) {
		fail(w, http.StatusBadRequest, "the body is not an object")
		return
	} // what is no JSON at all is as good as nothing: that is what clients send
	var names truth
	if len(req.PromptID) > 0 {
		_ = names.UnmarshalJSON(req.PromptID)
	}
	if !names {
		for _, p := range s.engine.Running() {
			if mayChange(r, p) {
				s.engine.Interrupt(p.ID)
			}
		}
		done(w)
		return
	}
	var id string
	if err := json.Unmarshal(req.PromptID, &id); err != nil {
		id = string(req.PromptID) // an id that was a number
	}
	s.cancel(r, id)
	done(w)
}

// cancel ends prompts, those that run or wait and that the request may end. It
// reports whether there was one.
func (s *Server) cancel(r *http.Request, ids ...string) (any bool) {
	if only := granted(r).Client; only != "" {
		own := s.ofClient(r, only)
		ids = slices.DeleteFunc(ids, func(id string) bool { return !own[id] })
	}
	// Those that run come last: with the end of one, one that waits would begin.
	runs := map[string]bool{}
	for _, p := range s.engine.Running() {
		runs[p.ID] = true
	}
	for _, now := range []bool{false, true} {
		for _, id := range ids {
			if runs[id] == now {
				any = s.engine.Interrupt(id) || any
			}
		}
	}
	return any
}

// ofClient are the ids of the prompts of a client that run or wait.
func (s *Server) ofClient(r *http.Request, client string) map[string]bool {
	all, err := s.waiting(r) // before those that run: see queueList
	if err != nil {
		s.opts.Logger.Error("queue failed", "error", err)
	}
	own := map[string]bool{}
	for _, p := range append(all, s.engine.Running()...) {
		if p.ClientID == client {
			own[p.ID] = true
		}
	}
	return own
}

// free answers POST /free. There are no models to unload; what is kept from one
// prompt to the next is forgotten.
func (s *Server) free(w http.ResponseWriter, r *http.Request) {
	var req struct {
		UnloadModels truth `json:"unload_models"`
		FreeMemory   truth `json:"free_memory"`
	}
	if !readJSON(w, r, &req) {
		return
	}
	if req.FreeMemory {
		s.engine.Free()
	}
	done(w)
}
