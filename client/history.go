package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strconv"

	"github.com/nodebus/nodebus"
)

// ErrNotFound means that the server does not know a prompt, or does not let this client
// know it: it has no record of the prompt, or the prompt is neither waiting nor running.
var ErrNotFound = errors.New("client: the server does not know this prompt")

// Outcome returns how a prompt ended. The error is [ErrNotFound] if the server has no record
// of the prompt: the prompt has not ended yet, it was deleted before it began, or the server
// has forgotten it. [Client.Wait] waits for the end.
//
// The server is package comfy or ComfyUI. A record of ComfyUI has no Nodes and no Rejected,
// and an interrupted prompt is [nodebus.Interrupted]. A record that does not say how the
// prompt ended counts as [nodebus.Succeeded].
func (c *Client) Outcome(ctx context.Context, promptID string) (*nodebus.Outcome, error) {
	id, err := idElement(promptID)
	if err != nil {
		return nil, err
	}
	r := history("the record of prompt "+promptID, "/"+id, nil)
	body, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	var entries map[string]json.RawMessage
	if err := decodeAnswer(r, body, &entries); err != nil {
		return nil, err
	}
	data, ok := entries[promptID]
	if !ok {
		return nil, fmt.Errorf("%w: there is no record of prompt %s", ErrNotFound, promptID)
	}
	o, err := readEntry(promptID, data)
	if err != nil {
		return nil, notJSON(r, body, err)
	}
	if o.Rejected == nil {
		o.Rejected = c.rejected.of(promptID)
	}
	return o, nil
}

// History returns how the last n prompts ended, in the order in which they ended. With n
// below 1, it returns all that the server has kept, which can be much. See
// [Client.Outcome].
func (c *Client) History(ctx context.Context, n int) ([]*nodebus.Outcome, error) {
	query := url.Values{}
	if n > 0 {
		query.Set("max_items", strconv.Itoa(n))
	}
	r := history("the history", "", query)
	body, err := c.do(ctx, r)
	if err != nil {
		return nil, err
	}
	var whole json.RawMessage
	if err := decodeAnswer(r, body, &whole); err != nil {
		return nil, err
	}
	var outcomes []*nodebus.Outcome
	err = eachMember(whole, func(id string, data json.RawMessage) {
		if o, entryErr := readEntry(id, data); entryErr == nil {
			outcomes = append(outcomes, o)
		}
	})
	if err != nil {
		return nil, notJSON(r, body, err)
	}
	return outcomes, nil
}

// history returns a request for records. The member outcome of the query asks package comfy
// for what ComfyUI's records do not contain; ComfyUI ignores it.
func history(what, id string, query url.Values) *call {
	if query == nil {
		query = url.Values{}
	}
	query.Set("outcome", "")
	return &call{what: what, route: "history" + id, query: query}
}
