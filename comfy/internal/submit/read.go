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
	"github.com/nodebus/nodebus/internal/jsonenc"
)

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
	default:
		if !isFinite(text) {
			id = ""
		}
	}
	if id == "" || len(id) > promptIDMax || strings.ContainsFunc(id, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return "", problem("invalid_prompt_id", "prompt_id is not an id", fmt.Sprintf("prompt_id must be a string of 1 to %d bytes without control characters, or a finite number", promptIDMax))
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
			return 0, problem("invalid_number", "number is not a number", string(jsonenc.Words([]byte(text))))
		}
		return n, nil
	case bool(req.Front):
		return s.numbered(s.numbers.first(r.Context(), s.Engine.Queue()))
	}
	return s.numbered(s.numbers.normal(r.Context(), s.Engine.Queue()))
}

// numbered returns n, or the answer if the queue did not say which number is free.
func (s *Submitter) numbered(n float64, err error) (float64, *refusal) {
	if err != nil {
		return 0, s.notAccepted(err)
	}
	return n, nil
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

// isFinite reports whether text is a number other than NaN and the infinities.
func isFinite(text string) bool {
	n, err := strconv.ParseFloat(text, 64)
	return err == nil && jsonenc.Finite(n)
}
