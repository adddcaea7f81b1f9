package submit

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
)

// Remaining answers GET /prompt with the number of prompts that wait or run.
// Front ends poll it while they have no socket.
func (s *Submitter) Remaining(w http.ResponseWriter, _ *http.Request) {
	info := map[string]any{"queue_remaining": s.Engine.Remaining()}
	if s.Engine.Paused() {
		info["paused"] = true
	}
	web.Answer(w, http.StatusOK, map[string]any{"exec_info": info})
}

// Prompt answers POST /prompt. The server sends no event of the prompt before
// it has sent the answer, and it waits for a head start after that: some clients
// begin to listen only when they have the answer.
func (s *Submitter) Prompt(w http.ResponseWriter, r *http.Request) {
	body, ok := web.ReadBody(w, r)
	if !ok {
		return
	}
	ready := make(chan struct{})
	sub, ok := s.Submit(w, r, body, ready)
	if !ok {
		return
	}
	defer s.HeadStart(sub.Prompt.ClientID, ready)
	accepted := web.Object{{"prompt_id", sub.ID}, {"number", sub.Prompt.Priority}, {"node_errors", NodeErrors(sub)}}
	if sub.Rejected != nil && sub.Rejected.Extra["more_nodes"] != nil {
		accepted.Add("more_nodes", sub.Rejected.Extra["more_nodes"]) // clients of ComfyUI ignore it
	}
	defer web.LimitWrite(w)()
	web.Answer(w, http.StatusOK, accepted)
	_ = http.NewResponseController(w).Flush()
}

// Submit adds the prompt in the body of a request to the queue. The prompt begins when
// ready is closed. If ok is false, Submit has already answered.
func (s *Submitter) Submit(w http.ResponseWriter, r *http.Request, body []byte, ready <-chan struct{}) (sub *flow.Submission, ok bool) {
	p, secrets, invalid := s.parsePrompt(r, body)
	if invalid != nil {
		reject(w, invalid.status, &invalid.ValidationError)
		return nil, false
	}
	sub, err := s.Engine.Submit(r.Context(), p, &flow.SubmitOptions{Ready: ready, Secrets: secrets})
	if err != nil {
		s.refuse(w, err, p.ID)
		return nil, false
	}
	return sub, true
}

// NodeErrors returns the problems of the nodes that will not run.
func NodeErrors(sub *flow.Submission) map[string]*nodebus.NodeProblems {
	if sub.Rejected == nil {
		return map[string]*nodebus.NodeProblems{}
	}
	return sub.Rejected.Nodes
}

// refuse answers a submission that the engine did not accept.
func (s *Submitter) refuse(w http.ResponseWriter, err error, id string) {
	var invalid *nodebus.ValidationError
	switch {
	case errors.As(err, &invalid) && invalid.Type == "prompt_too_large":
		reject(w, http.StatusRequestEntityTooLarge, invalid)
	case errors.As(err, &invalid):
		reject(w, http.StatusBadRequest, invalid)
	case errors.Is(err, flow.ErrDuplicate):
		// error is a text, as in ComfyUI, so the details are beside it.
		details := fmt.Sprintf("a prompt %q waits, runs or has ended; if it is this prompt, submitted before, then it was accepted; otherwise leave prompt_id out, and the server makes an id, or choose another id", id)
		web.Answer(w, http.StatusConflict, map[string]any{"error": "prompt_id already exists", "details": details, "node_errors": struct{}{}})
	case errors.Is(err, flow.ErrFull):
		reject(w, http.StatusServiceUnavailable, &problem("queue_full", "The queue is full", "try again later").ValidationError)
	case errors.Is(err, flow.ErrSecrets):
		reject(w, http.StatusBadRequest, &problem("secrets_not_kept", "The server's queue keeps no secrets", "submit the prompt without an API key and without a token").ValidationError)
	default:
		s.unconfirmed(w, err, id)
	}
}

// unconfirmed answers a submission that the queue or the store has not confirmed: the prompt
// may be in the queue nevertheless. With the id, also one that the server has made, a client
// can try again without running the prompt twice.
func (s *Submitter) unconfirmed(w http.ResponseWriter, err error, id string) {
	s.Logger.Error("prompt not confirmed", "prompt", id, "error", err)
	bad := problem("not_accepted", "The queue has not confirmed the prompt",
		"the prompt may run nevertheless; submit it again with the prompt_id of this answer, so that it does not run twice: status 409 then means that it was accepted")
	web.Answer(w, http.StatusServiceUnavailable, web.Object{{"error", &bad.Problem}, {"node_errors", struct{}{}}, {"prompt_id", id}})
}

// notAccepted returns the answer to a submission that was not given to the queue.
func (s *Submitter) notAccepted(err error) *refusal {
	s.Logger.Error("prompt not submitted", "error", err)
	bad := problem("not_accepted", "The prompt was not accepted", "try again later")
	bad.status = http.StatusServiceUnavailable
	return bad
}

// refusal is an answer with an error status to a submission.
type refusal struct {
	nodebus.ValidationError
	status int
}

func problem(typ, message, details string) *refusal {
	return &refusal{nodebus.ValidationError{
		Problem: nodebus.Problem{Type: typ, Message: message, Details: details, Extra: map[string]any{}},
	}, http.StatusBadRequest}
}

func reject(w http.ResponseWriter, status int, e *nodebus.ValidationError) { web.Answer(w, status, e) }
