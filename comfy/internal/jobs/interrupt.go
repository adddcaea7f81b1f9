package jobs

import (
	"encoding/json"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
)

// Interrupt answers POST /interrupt. If the body has a prompt id, Interrupt ends
// only that prompt, which may run or wait. Otherwise it ends the prompt that has run
// longest, among the running prompts that the request may change, and no other: for
// such clients, one prompt runs at a time. A prompt that rests, because it waits for an
// answer, ends only if no prompt computes: such clients want to stop the computing.
func (s *Jobs) Interrupt(w http.ResponseWriter, r *http.Request) {
	body, ok := web.ReadCommand(w, r)
	if !ok {
		return
	}
	var req struct {
		PromptID json.RawMessage `json:"prompt_id"`
	}
	if err := json.Unmarshal(body, &req); err != nil && json.Valid(body) {
		web.Fail(w, http.StatusBadRequest, "the body must be a JSON object")
		return
	} // a body that is not JSON counts as empty: some clients send no JSON
	var names web.Truth
	if len(req.PromptID) > 0 {
		_ = names.UnmarshalJSON(req.PromptID)
	}
	if !names {
		s.interruptLongest(w, r)
		return
	}
	s.cancel(r, idOf(req.PromptID))
	web.Done(w)
}

// interruptLongest ends the prompt that has run longest.
func (s *Jobs) interruptLongest(w http.ResponseWriter, r *http.Request) {
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
		web.Unavailable(w, s.Logger, err)
		return
	}
	for _, p := range append(computing, resting...) {
		if web.MayChange(r, p.ClientID) && s.end(r, p.ID) { // false: it has just ended
			break
		}
	}
	web.Done(w)
}

// cancel ends the running and waiting prompts with these ids that the request may
// change. It reports whether it ended a prompt. If the queue fails, cancel logs the error
// and ends the prompts that it has received.
func (s *Jobs) cancel(r *http.Request, ids ...string) (any bool) {
	if len(ids) == 0 {
		return false
	}
	running, waiting, err := s.prompts(r.Context(), ids...)
	if err != nil {
		s.Logger.Error("queue failed", "error", err)
		if web.Granted(r).Client == "" { // the engine may know the prompts
			for _, id := range ids {
				any = s.end(r, id) || any
			}
			return any
		}
	}
	// End the waiting prompts first: when a running prompt ends, a waiting prompt
	// begins.
	for _, p := range append(waiting, running...) {
		if web.MayChange(r, p.ClientID) {
			any = s.end(r, p.ID) || any
		}
	}
	return any
}

// end ends a running or waiting prompt and reports whether there was a prompt to
// end. If the queue fails, the prompt ends when it leaves the queue.
func (s *Jobs) end(r *http.Request, id string) bool {
	found, err := s.Engine.Interrupt(r.Context(), id)
	if err != nil {
		s.Logger.Error("prompt not deleted from the queue", "prompt", id, "error", err)
	}
	return found
}

// Free answers POST /free. With free_memory, the engine deletes the results that
// it keeps from one prompt to the next, also in a folder that other processes share.
// unload_models has no effect, because the server loads no models.
func (s *Jobs) Free(w http.ResponseWriter, r *http.Request) {
	var req struct {
		UnloadModels web.Truth `json:"unload_models"`
		FreeMemory   web.Truth `json:"free_memory"`
	}
	if !web.ReadJSON(w, r, &req) {
		return
	}
	if req.FreeMemory {
		s.Engine.Free()
	}
	web.Done(w)
}
