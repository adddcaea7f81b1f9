package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
)

// answerTime limits the time of a request with an answer, if ctx has no earlier end.
const answerTime = 30 * time.Second

// Answer answers a question that a node has asked, see [nodebus.Waiting]. node is the
// unique id of the node, and name is the name of the question. value is encoded as JSON.
// Answer sends an HTTP request to Options.BaseURL; it needs no connection, and may be
// called from a listener. If the server refuses the answer, for example because it does
// not fit, the error is a [*RefusedError]: status 400 if the answer does not fit; the
// question then stays open; 404 if no prompt with this id waits or runs, or if the client
// may not answer; 503 if the server keeps too many answers.
func (c *Client) Answer(ctx context.Context, promptID, node, name string, value any) error {
	return c.reply(ctx, map[string]any{"prompt_id": promptID, "node_id": node, "name": name, "value": value})
}

// Refuse says no to a question; reason may be empty. Otherwise it is like
// [Client.Answer].
func (c *Client) Refuse(ctx context.Context, promptID, node, name, reason string) error {
	return c.reply(ctx, map[string]any{"prompt_id": promptID, "node_id": node, "name": name, "refuse": reason})
}

func (c *Client) reply(ctx context.Context, body map[string]any) error {
	var data []byte
	err := nodebus.Protect(func() (err error) {
		data, err = json.Marshal(body)
		return err
	})
	if err != nil {
		return fmt.Errorf("client: the answer to %q has no JSON form: %w", body["name"], err)
	}
	ctx, cancel := context.WithTimeout(ctx, answerTime)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.route("nodebus/answer").String(), bytes.NewReader(data))
	if err != nil {
		return fmt.Errorf("client: %w", err)
	}
	for name, values := range c.opts.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	client := c.opts.HTTPClient
	if client == nil {
		client = http.DefaultClient
	}
	res, err := client.Do(req)
	if err != nil {
		return fmt.Errorf("client: sending an answer: %w", err)
	}
	defer res.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(res.Body, refusalMax))
	if res.StatusCode/100 == 2 {
		return nil
	}
	return &RefusedError{Status: res.StatusCode, Text: answerText(text)}
}

// answerText returns the text of an answer that the server refuses: the member "error" of
// the JSON object, or all of it.
func answerText(body []byte) string {
	var refused struct{ Error string }
	if json.Unmarshal(body, &refused) == nil && refused.Error != "" {
		return refused.Error
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(body), "\ufffd"))
}
