package comfy

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/nodebus/nodebus"
)

// interrupt answers POST /interrupt. If the body has a prompt id, interrupt ends
// only that prompt, which may run or wait. Otherwise it ends the prompt that has run
// longest, among the running prompts that the request may change, and no other: for
// such clients, one prompt runs at a time.
func (s *Server) interrupt(w http.ResponseWriter, r *http.Request) {
	body, ok := readCommand(w, r)
	if !ok {
		return
	}
	var req struct {
		PromptID json.RawMessage `json:"prompt_id"`
	}
	if err := json.Unmarshal(body, &req); err != nil && json.Valid(body) {
		fail(w, http.StatusBadRequest, "the body must be a JSON object")
		return
	} // a body that is not JSON counts as empty: some clients send no JSON
	var names truth
	if len(req.PromptID) > 0 {
		_ = names.UnmarshalJSON(req.PromptID)
	}
	if !names {
		for _, p := range s.engine.Running() { // in the order in which they began
			if mayChange(r, p) && s.end(r, p.ID) { // false: it has just ended
				break
			}
		}
		done(w)
		return
	}
	var id string
	if err := json.Unmarshal(req.PromptID, &id); err != nil {
		id = string(req.PromptID) // the client chose a number as the id
	}
	s.cancel(r, id)
	done(w)
}

// cancel ends the running and waiting prompts with these ids that the request may
// change. It reports whether it ended a prompt.
func (s *Server) cancel(r *http.Request, ids ...string) (any bool) {
	if only := granted(r).Client; only != "" {
		own := map[string]bool{}
		for _, p := range s.ofClient(r.Context(), only) {
			own[p.ID] = true
		}
		ids = slices.DeleteFunc(ids, func(id string) bool { return !own[id] })
	}
	// End the waiting prompts first: when a running prompt ends, a waiting prompt
	// begins.
	runs := map[string]bool{}
	for _, p := range s.engine.Running() {
		runs[p.ID] = true
	}
	for _, now := range []bool{false, true} {
		for _, id := range ids {
			if runs[id] == now {
				any = s.end(r, id) || any
			}
		}
	}
	return any
}

// end ends a running or waiting prompt and reports whether there was a prompt to
// end. If the queue fails, the prompt ends when it leaves the queue.
func (s *Server) end(r *http.Request, id string) bool {
	found, err := s.engine.Interrupt(r.Context(), id)
	if err != nil {
		s.opts.Logger.Error("prompt not deleted from the queue", "prompt", id, "error", err)
	}
	return found
}

// ofClient returns a client's waiting and running prompts. A prompt that begins
// meanwhile can be there twice. If the queue fails, ofClient logs the error and
// returns the prompts that it has.
func (s *Server) ofClient(ctx context.Context, client string) []*nodebus.Prompt {
	all, err := s.waiting(ctx) // before the running prompts: a prompt that begins meanwhile is in one of the two
	if err != nil {
		s.opts.Logger.Error("queue failed", "error", err)
	}
	all = append(all, s.engine.Running()...)
	return slices.DeleteFunc(all, func(p *nodebus.Prompt) bool { return p.ClientID != client })
}

// free answers POST /free. With free_memory, the engine deletes the results that
// it keeps from one prompt to the next. unload_models has no effect, because the
// server loads no models.
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
