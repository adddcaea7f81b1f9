package client

import (
	"context"
	"fmt"
	"net/http"
)

// Answer answers a question that a node has asked, see [nodebus.Waiting]. node is the
// unique id of the node, and name is the name of the question. value is encoded as JSON.
// Answer is an HTTP request, see [Options.BaseURL]; it needs no connection, and may be
// called from a listener. If the server refuses the answer, for example because it does
// not fit, the error is a [*RefusedError]: status 400 if the answer does not fit; the
// question then stays open; 404 if no prompt with this id waits or runs, or if the client
// may not answer; 503 if the server keeps too many answers. ComfyUI has no questions.
func (c *Client) Answer(ctx context.Context, promptID, node, name string, value any) error {
	return c.reply(ctx, map[string]any{"prompt_id": promptID, "node_id": node, "name": name, "value": value})
}

// Refuse says no to a question; reason may be empty. Otherwise it is like
// [Client.Answer].
func (c *Client) Refuse(ctx context.Context, promptID, node, name, reason string) error {
	return c.reply(ctx, map[string]any{"prompt_id": promptID, "node_id": node, "name": name, "refuse": reason})
}

func (c *Client) reply(ctx context.Context, body map[string]any) error {
	_, err := c.do(ctx, &call{
		what: fmt.Sprintf("the answer to %q", body["name"]), method: http.MethodPost, route: "nodebus/answer", body: body,
	})
	return err
}
