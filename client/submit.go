package client

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"

	"github.com/nodebus/nodebus"
)

// Submit submits a prompt and returns its id. The events of the prompt come to this client,
// unless p.ClientID names another client. The server is package comfy or ComfyUI.
//
// An empty p.ID means a new id. A Priority of 0 means a place after the prompts that wait,
// another Priority is sent. Outputs and Extra are sent; nil Outputs are all outputs. A prompt
// with a Policy is an error, because the request has no place for it, and so is an ID that
// cannot be part of a URL ([ErrPromptID]). The other fields have no effect, and Submit does
// not change p.
//
// A prompt that is not valid is a [*nodebus.ValidationError] with the errors of its nodes,
// and, like each refused prompt, a [*RefusedError]. If only some outputs are not valid, the
// others run, and Outcome.Rejected of [Client.Wait] tells which do not. After Close, the error
// is [nodebus.ErrClosed], because nobody would receive the events. With any other error,
// the server may have accepted the prompt: before the connection broke, or with a status from
// 500, for example before its queue could confirm the prompt. Submit then returns the id, too,
// and [Client.Wait] finds out. To try again without running the prompt twice, submit it with this
// id: a [*RefusedError] with status 409 means that the server has it.
func (c *Client) Submit(ctx context.Context, p *nodebus.Prompt) (id string, err error) {
	switch {
	case c.life.Err() != nil:
		return "", nodebus.ErrClosed
	case p == nil:
		return "", errors.New("client: there is no prompt to submit: it is nil")
	case p.Policy != (nodebus.Policy{}):
		return "", errors.New("client: a prompt that is submitted over HTTP has no Policy; the server's program sets it")
	}
	id = cmp.Or(p.ID, newID())
	if _, err := idElement(id); err != nil {
		return "", err
	}
	body := map[string]any{"prompt": p.Nodes, "prompt_id": id, "client_id": cmp.Or(p.ClientID, c.ID())}
	if p.Priority != 0 {
		body["number"] = p.Priority
	}
	if p.Outputs != nil {
		body["partial_execution_targets"] = p.Outputs
	}
	if p.Extra != nil {
		extra := maps.Clone(p.Extra)
		delete(extra, "client_id")
		body["extra_data"] = extra
	}
	if body["client_id"] == c.ID() { // the events come here, perhaps before the answer
		c.keep(id)
		defer c.posted(id)
	}
	r := &call{what: "the prompt", method: http.MethodPost, route: "prompt", body: body}
	text, err := c.do(ctx, r)
	if err != nil {
		if refused := (*RefusedError)(nil); errors.As(err, &refused) && refused.certain {
			c.unkeep(id)
			id = ""
		}
		return id, err
	}
	var answer struct {
		PromptID   json.RawMessage `json:"prompt_id"`
		NodeErrors json.RawMessage `json:"node_errors"`
	}
	if err := decodeAnswer(r, text, &answer); err != nil {
		return id, err
	}
	var given string // an old server gives an id of its own
	if err := json.Unmarshal(answer.PromptID, &given); err != nil || given == "" {
		return id, notJSON(r, text, errors.New("it has no prompt_id"))
	}
	if given != id {
		c.unkeep(id)
	}
	if nodes := nodeProblems(answer.NodeErrors); nodes != nil {
		c.rejected.add(given, &nodebus.ValidationError{Problem: nodebus.Problem{
			Type: "prompt_outputs_failed_validation", Message: "Prompt outputs failed validation",
		}, Nodes: nodes})
	}
	return given, nil
}

// newID returns a new id for a prompt: a random UUID, because newer servers of ComfyUI
// accept nothing else.
func newID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // it never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
