package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// endedTime limits the question whether a prompt has ended.
const endedTime = 10 * time.Second

// ended reports whether a prompt has ended: the history has it, and it neither waits nor
// runs again. A server without such a route has ended nothing. With a nodebus server, all
// events of the prompt are published then. err means that the server gave no answer.
func (c *Client) ended(ctx context.Context, promptID string) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, endedTime)
	defer cancel()
	known, err := c.lists(ctx, "history/"+url.PathEscape(promptID), func(body *json.Decoder) (bool, error) {
		var history map[string]json.RawMessage
		err := body.Decode(&history)
		return history[promptID] != nil, err
	})
	if !known || err != nil {
		return false, err
	}
	open, err := c.lists(ctx, "queue", func(body *json.Decoder) (bool, error) {
		var queue struct {
			Running [][]json.RawMessage `json:"queue_running"`
			Pending [][]json.RawMessage `json:"queue_pending"`
		}
		if err := body.Decode(&queue); err != nil {
			return false, err
		}
		for _, item := range append(queue.Running, queue.Pending...) {
			var id string
			if len(item) > 1 && json.Unmarshal(item[1], &id) == nil && id == promptID {
				return true, nil
			}
		}
		return false, nil
	})
	return !open && err == nil, err
}

// lists asks a route, and calls find with its JSON. A route that does not exist lists
// nothing.
func (c *Client) lists(ctx context.Context, path string, find func(*json.Decoder) (bool, error)) (bool, error) {
	res, err := c.get(ctx, c.route(path).String(), "application/json")
	if err != nil {
		return false, err
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 500:
		return false, fmt.Errorf("client: the server answers %s with status %s", path, res.Status)
	case res.StatusCode != http.StatusOK:
		return false, nil
	}
	found, err := find(json.NewDecoder(res.Body))
	if err != nil {
		return false, fmt.Errorf("client: the answer to %s: %w", path, err)
	}
	return found, nil
}
