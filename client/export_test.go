package client

import (
	"context"
	"io"
	"iter"

	"github.com/nodebus/nodebus"
)

// Keep begins to keep the events of a prompt, as Submit does.
func (c *Client) Keep(promptID string) { c.keep(promptID); c.posted(promptID) }

// Unkeep ends what Keep began.
func (c *Client) Unkeep(promptID string) { c.unkeep(promptID) }

// Quietly is a loop over Follow that may run in a listener.
func (c *Client) Quietly(ctx context.Context, promptID string) iter.Seq2[nodebus.Event, error] {
	return c.follow(ctx, promptID, true)
}

// ReadStream returns the data of the events in a stream, and why the stream ended.
func ReadStream(r io.Reader, limit int64) (data []string, err error) {
	for e := newEventReader(r, limit); ; {
		d, err := e.next()
		if err != nil {
			return data, err
		}
		data = append(data, string(d))
	}
}

// Feed gives frames to a client without a connection that follows and keeps the prompt "p". It
// returns what it yields.
func Feed(frames ...nodebus.Frame) (decoded, all, followed, kept []nodebus.Event) {
	c := newClient(nil)
	c.greeted = true
	events, follow := c.begin("", false), c.begin("p", false)
	c.keep("p")
	for _, f := range frames {
		ev, err := c.decode(f)
		if err != nil {
			continue
		}
		decoded = append(decoded, ev)
		c.takeIn(ev, len(f.Data), false)
	}
	rest := func(q *queue) (evs []nodebus.Event) {
		for len(q.items) > 0 {
			evs = append(evs, q.pop().ev)
		}
		return evs
	}
	return decoded, rest(&events.queue), rest(&follow.queue), rest(&c.kept.take("p").queue)
}

// TakeIn is what the client does with an event that somebody has read: a loop, or Watch if
// watch is true. size is the size of its frame.
func (c *Client) TakeIn(ev nodebus.Event, size int, watch bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takeIn(ev, size, watch)
}
