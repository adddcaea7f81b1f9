package client

import (
	"context"
	"encoding/json"
	"errors"
	"time"
)

// endedTime limits the question whether a prompt has ended.
const endedTime = 10 * time.Second

// fate is what the server says about a prompt over HTTP.
type fate int

const (
	unsaid fate = iota // the server has no routes that tell it, or it hides the prompt
	open               // it waits or runs
	over               // it has ended. The closing event may still be on its way
	gone               // it neither waits nor runs, and has no record: it was deleted or forgotten
)

// fateOf asks what has become of a prompt: the queue has a prompt that waits or runs, also
// if its id was used before, and the history has a prompt that has ended. What the server
// said before the time since is too old. err means that the server gave no answer.
func (c *Client) fateOf(ctx context.Context, promptID string, since time.Time) (fate, error) {
	ctx, cancel := context.WithTimeout(ctx, endedTime)
	defer cancel()
	for range 2 { // the second time, the prompt may have been submitted meanwhile
		queued, err := c.listing.since(ctx, since, c.queuedNow)
		if err != nil {
			return orUnsaid(err)
		}
		if queued[promptID] {
			return open, nil
		}
		recorded, err := c.isRecorded(ctx, promptID)
		if err != nil {
			return orUnsaid(err)
		}
		if recorded {
			return over, nil
		}
		since = time.Now()
	}
	return gone, nil
}

// orUnsaid returns unsaid if the server has no such route, or does not let the client use it.
func orUnsaid(err error) (fate, error) {
	if refused := (*RefusedError)(nil); errors.As(err, &refused) && refused.Status < 500 {
		return unsaid, nil
	}
	return unsaid, err
}

// isRecorded reports whether the history has a prompt.
func (c *Client) isRecorded(ctx context.Context, promptID string) (bool, error) {
	id, err := idElement(promptID)
	if err != nil {
		return false, err
	}
	r := &call{what: "the record of prompt " + promptID, route: "history/" + id}
	var entries map[string]json.RawMessage
	err = c.fetchJSON(ctx, r, &entries)
	return entries[promptID] != nil, err
}

// queuedNow asks for the ids of the prompts that wait or run.
func (c *Client) queuedNow(ctx context.Context) (map[string]bool, error) {
	r, lists := &call{what: "the queue", route: "queue"}, queueLists{}
	if err := c.fetchJSON(ctx, r, &lists); err != nil {
		return nil, err
	}
	ids := make(map[string]bool, len(lists.Running)+len(lists.Waiting))
	for _, items := range [][]json.RawMessage{lists.Running, lists.Waiting} {
		for _, item := range items {
			var parts []json.RawMessage
			var id string
			if json.Unmarshal(item, &parts) == nil && len(parts) > 1 && json.Unmarshal(parts[1], &id) == nil {
				ids[id] = true
			}
		}
	}
	return ids, nil
}
