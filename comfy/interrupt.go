package comfy

import (
	"encoding/json"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// interrupt answers POST /interrupt. If the body has a prompt id, interrupt ends
// only that prompt, which may run or wait. Otherwise it ends the prompt that has run
// longest, among the running prompts that the request may change, and no other: for
// such clients, one prompt runs at a time. A prompt that rests, because it waits for an
// answer, ends only if no prompt computes: such clients want to stop the computing.
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
		s.interruptLongest(w, r)
		return
	}
	var id string
	if err := json.Unmarshal(req.PromptID, &id); err != nil {
		id = string(req.PromptID) // the client chose a number as the id
	}
	s.cancel(r, id)
	done(w)
}

// interruptLongest ends the prompt that has run longest.
func (s *Server) interruptLongest(w http.ResponseWriter, r *http.Request) {
	var computing, resting []*nodebus.Prompt // in the order in which they began
	err := s.eachQueued(r.Context(), func(q flow.Queued) bool {
		switch {
		case q.Rests:
			resting = append(resting, q.Prompt)
		case q.Leased:
			computing = append(computing, q.Prompt)
		}
		return q.Leased // the waiting prompts follow
	})
	if err != nil {
		s.unavailable(w, err)
		return
	}
	for _, p := range append(computing, resting...) {
		if mayChange(r, p) && s.end(r, p.ID) { // false: it has just ended
			break
		}
	}
	done(w)
}

// cancel ends the running and waiting prompts with these ids that the request may
// change. It reports whether it ended a prompt. If the queue fails, cancel logs the error
// and ends the prompts that it has received.
func (s *Server) cancel(r *http.Request, ids ...string) (any bool) {
	if len(ids) == 0 {
		return false
	}
	running, waiting, err := s.prompts(r.Context(), ids...)
	if err != nil {
		s.opts.Logger.Error("queue failed", "error", err)
		if granted(r).Client == "" { // the engine may know the prompts
			for _, id := range ids {
				any = s.end(r, id) || any
			}
			return any
		}
	}
	// End the waiting prompts first: when a running prompt ends, a waiting prompt
	// begins.
	for _, p := range append(waiting, running...) {
		if mayChange(r, p) {
			any = s.end(r, p.ID) || any
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

// free answers POST /free. With free_memory, the engine deletes the results that
// it keeps from one prompt to the next, also in a folder that other processes share.
// unload_models has no effect, because the
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
