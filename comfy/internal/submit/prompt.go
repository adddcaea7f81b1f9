package submit

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/jsonenc"
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

// submission is the body of POST /prompt.
type submission struct {
	Prompt   json.RawMessage `json:"prompt"`
	PromptID json.RawMessage `json:"prompt_id"`
	ClientID json.RawMessage `json:"client_id"`
	Number   json.RawMessage `json:"number"`
	Front    web.Truth       `json:"front"`
	Extra    json.RawMessage `json:"extra_data"`
	Targets  []string        `json:"partial_execution_targets"`
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
		details := fmt.Sprintf("a prompt %q waits, runs or has ended; leave prompt_id out, and the server makes an id, or choose another id", id)
		web.Answer(w, http.StatusConflict, map[string]any{"error": "prompt_id already exists", "details": details, "node_errors": struct{}{}})
	case errors.Is(err, flow.ErrFull):
		reject(w, http.StatusServiceUnavailable, &problem("queue_full", "The queue is full", "try again later").ValidationError)
	case errors.Is(err, flow.ErrSecrets):
		reject(w, http.StatusBadRequest, &problem("secrets_not_kept", "The server's queue keeps no secrets", "submit the prompt without an API key and without a token").ValidationError)
	default:
		s.Logger.Error("prompt not submitted", "error", err)
		reject(w, http.StatusServiceUnavailable, &problem("not_accepted", "The prompt was not accepted", "try again later").ValidationError)
	}
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

// parsePrompt makes a prompt from the body of a request. It checks only the form of
// the graph; Submit validates the nodes.
func (s *Submitter) parsePrompt(r *http.Request, body []byte) (p *nodebus.Prompt, secrets map[string]string, bad *refusal) {
	if jsonenc.Cost(body, s.MaxPrompt) > s.MaxPrompt {
		bad = problem("prompt_too_large", "The prompt needs too much memory",
			fmt.Sprintf("more than %d bytes after decoding, from %d bytes of JSON", s.MaxPrompt, len(body)))
		bad.status = http.StatusRequestEntityTooLarge
		return nil, nil, bad
	}
	var req submission
	body = jsonenc.Plain(body) // Python writes NaN and Infinity, and ComfyUI reads them
	if err := jsonenc.Read(body, &req, ""); err != nil {
		return nil, nil, problem("invalid_json", "The request is not the JSON it should be", err.Error())
	}
	p = &nodebus.Prompt{Outputs: req.Targets}
	if p.ID, bad = promptID(req.PromptID); bad != nil {
		return nil, nil, bad
	}
	if p.Priority, bad = s.number(r, &req); bad != nil {
		return nil, nil, bad
	}
	if secrets, bad = readExtra(p, req.Extra, r.Header.Get("Comfy-Usage-Source")); bad != nil {
		return nil, nil, bad
	}
	if bad = setClient(p, req.ClientID, web.Granted(r).Client); bad != nil {
		return nil, nil, bad
	}
	if req.Prompt == nil {
		return nil, nil, problem("no_prompt", "No prompt provided", "No prompt provided")
	}
	if text := bytes.TrimSpace(req.Prompt); string(text) == "[]" {
		return p, secrets, nil // like an empty object: Submit refuses it because it has no outputs
	}
	nodes, err := nodebus.ParseNodesWithin(req.Prompt, &nodebus.ParseOptions{Nodes: s.MaxNodes, Bytes: s.MaxPrompt})
	var invalid *nodebus.ValidationError
	if errors.As(err, &invalid) {
		bad = &refusal{*invalid, http.StatusBadRequest}
		if invalid.Type == "prompt_too_large" {
			bad.status = http.StatusRequestEntityTooLarge
		}
		return nil, nil, bad
	}
	p.Nodes = nodes
	return p, secrets, nil
}

// promptIDMax is the maximum length of a prompt id that a client chooses, in bytes.
const promptIDMax = 256

// promptID reads the prompt id that the client has chosen. It returns "" if the
// client has not chosen an id. A number becomes a string.
func promptID(raw json.RawMessage) (string, *refusal) {
	text := string(bytes.TrimSpace(raw))
	if text == "" || text == "null" {
		return "", nil
	}
	id := text
	switch text[0] {
	case '"':
		if err := json.Unmarshal(raw, &id); err != nil {
			id = ""
		}
	case '{', '[', 't', 'f':
		id = ""
	}
	if id == "" || len(id) > promptIDMax || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", problem("invalid_prompt_id", "prompt_id is not an id", fmt.Sprintf("prompt_id must be a string of 1 to %d bytes without control characters", promptIDMax))
	}
	return id, nil
}

// number returns the priority of the prompt: the number in the request, a number
// before all others with front, or else the next number.
func (s *Submitter) number(r *http.Request, req *submission) (float64, *refusal) {
	text := string(bytes.TrimSpace(req.Number))
	switch {
	case text != "" && text != "null":
		n, err := strconv.ParseFloat(strings.Trim(text, `"`), 64)
		if err != nil || math.IsInf(n, 0) || math.IsNaN(n) {
			return 0, problem("invalid_number", "number is not a number", text)
		}
		return n, nil
	case bool(req.Front):
		return s.numbers.first(r.Context(), s.Engine.Queue()), nil
	}
	return s.numbers.normal(r.Context(), s.Engine.Queue()), nil
}

// secretKeys lists the secret keys of extra_data. A value reaches only the nodes
// that ask for it.
var secretKeys = []string{"auth_token_comfy_org", "api_key_comfy_org"}

// readExtra sets p.Extra from extra_data, without the secrets, and adds the time of
// submission. source is what the header says about the client; extra_data comes before it.
// readExtra returns the secrets by the names that nodes use.
func readExtra(p *nodebus.Prompt, raw json.RawMessage, source string) (secrets map[string]string, bad *refusal) {
	p.Extra = map[string]any{}
	if len(raw) > 0 && string(raw) != "null" {
		dec := json.NewDecoder(bytes.NewReader(raw))
		dec.UseNumber()
		if err := dec.Decode(&p.Extra); err != nil {
			return nil, problem("invalid_extra_data", "extra_data is not an object", jsonenc.Misfit("extra_data", err))
		}
	}
	for _, name := range secretKeys {
		if v, ok := p.Extra[name].(string); ok {
			if secrets == nil {
				secrets = map[string]string{}
			}
			secrets[strings.ToUpper(name)] = v
		}
		delete(p.Extra, name)
	}
	if p.Extra["comfy_usage_source"] == nil && source != "" {
		p.Extra["comfy_usage_source"] = source
	}
	p.Extra["create_time"] = time.Now().UnixMilli()
	return secrets, nil
}

// setClient sets the client that receives the prompt's events: asked, or else the
// client_id in extra_data. A number is its text. If only is not empty, no other client is
// allowed, and only is the default.
func setClient(p *nodebus.Prompt, asked json.RawMessage, only string) *refusal {
	id, given, bad := clientID(asked)
	if bad != nil {
		return bad
	}
	if number, is := p.Extra["client_id"].(json.Number); is && !given && isFinite(string(number)) {
		id, given = string(number), true
	}
	if given {
		p.Extra["client_id"] = id
	}
	client, named := p.Extra["client_id"].(string)
	switch {
	case only == "":
	case !named:
		client = only
		p.Extra["client_id"] = only
	case client != only:
		bad := problem("not_allowed", "This request may not submit for that client", "client_id")
		bad.status = http.StatusForbidden
		return bad
	}
	const clientIDMax = 512 // as for sockets
	if len(client) > clientIDMax {
		return problem("invalid_client_id", "client_id is too long", fmt.Sprintf("client_id must have at most %d bytes", clientIDMax))
	}
	p.ClientID = client
	return nil
}

// clientID reads the client_id of a submission. It returns given false if there is none.
func clientID(raw json.RawMessage) (id string, given bool, bad *refusal) {
	text := string(bytes.TrimSpace(raw))
	switch {
	case text == "" || text == "null":
		return "", false, nil
	case text[0] == '"':
		if json.Unmarshal(raw, &id) == nil {
			return id, true, nil
		}
	case isFinite(text):
		return text, true, nil
	}
	return "", false, problem("invalid_client_id", "client_id is not an id", "client_id must be a string")
}

// isFinite reports whether text is a number that is finite. NaN is none.
func isFinite(text string) bool {
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && jsonenc.Finite(n)
}
