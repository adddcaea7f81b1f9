package client

import (
	"context"
	"iter"

	"github.com/nodebus/nodebus"
)

// Keep begins to keep the events of a prompt, as Submit does.
func (c *Client) Keep(promptID string) { c.keep(promptID) }

// Unkeep ends what Keep began.
func (c *Client) Unkeep(promptID string) { c.unkeep(promptID) }

// Quietly is a loop over Follow that may run in a listener.
func (c *Client) Quietly(ctx context.Context, promptID string) iter.Seq2[nodebus.Event, error] {
	return c.follow(ctx, promptID, true)
}
