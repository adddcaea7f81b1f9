package client

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
)

// Queue returns the prompts that run and the prompts that wait, each in the order in which
// they run.
func (c *Client) Queue(ctx context.Context) (running, waiting []*nodebus.Prompt, err error) {
	r, lists := &call{what: "the queue", route: "queue"}, queueLists{}
	body, err := c.do(ctx, r)
	if err == nil {
		err = decodeAnswer(r, body, &lists)
	}
	if err != nil {
		return nil, nil, err
	}
	if running, err = readItems(lists.Running); err == nil {
		waiting, err = readItems(lists.Waiting)
	}
	if err != nil {
		return nil, nil, notJSON(r, body, err)
	}
	if !c.hasCursors() { // ComfyUI lists them in the order of its heap
		slices.SortStableFunc(waiting, func(a, b *nodebus.Prompt) int {
			switch {
			case a.Priority < b.Priority:
				return -1
			case a.Priority > b.Priority:
				return 1
			}
			return 0
		})
	}
	return running, waiting, nil
}

// readItems reads a list of prompts. A prompt is a list: its number, id, graph, extra data
// and outputs.
func readItems(items []json.RawMessage) ([]*nodebus.Prompt, error) {
	prompts := make([]*nodebus.Prompt, 0, len(items))
	for _, item := range items {
		var parts []json.RawMessage
		if err := json.Unmarshal(item, &parts); err != nil {
			return nil, err
		}
		if len(parts) < 2 {
			return nil, errors.New("a prompt without an id")
		}
		p := new(nodebus.Prompt)
		if err := json.Unmarshal(parts[1], &p.ID); err != nil {
			return nil, err
		}
		_ = json.Unmarshal(parts[0], &p.Priority)
		for i, to := range []any{&p.Nodes, &p.Extra, &p.Outputs} { // what has an unknown form stays empty
			if at := i + 2; at < len(parts) {
				_ = json.Unmarshal(parts[at], to)
			}
		}
		p.ClientID, _ = p.Extra["client_id"].(string)
		if ms, ok := p.Extra["create_time"].(float64); ok {
			p.Created = time.UnixMilli(int64(ms))
		}
		prompts = append(prompts, p)
	}
	return prompts, nil
}
