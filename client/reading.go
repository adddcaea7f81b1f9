package client

import (
	"context"
	"errors"

	"github.com/nodebus/nodebus"
)

// arrival is the next frame of a link, or why there is none.
type arrival struct {
	frame nodebus.Frame
	err   error
}

// errWoken means that the caller has something else to do than to read.
var errWoken = errors.New("client: woken")

// step reads one event and passes it on to everybody who waits for it. The caller has the
// turn. If ctx ends, or something comes from wake, the connection stays, and whoever has
// the turn next gets the frame that arrives. keep says that the event is for the next
// Events, too.
func (c *Client) step(ctx context.Context, wake <-chan struct{}, keep bool) error {
	for {
		frame, err := c.receive(ctx, wake)
		if errors.Is(err, errWoken) {
			return nil
		}
		if err != nil {
			return err
		}
		ev, err := c.decode(frame)
		if err != nil {
			c.opts.Logger.Warn("message skipped", "error", err)
			continue
		}
		c.mu.Lock()
		c.takeIn(ev, len(frame.Data), keep)
		c.mu.Unlock()
		return nil
	}
}

// receive waits for a frame. It reconnects as often as necessary. The caller has the turn.
func (c *Client) receive(ctx context.Context, wake <-chan struct{}) (nodebus.Frame, error) {
	for {
		if c.life.Err() != nil {
			return nodebus.Frame{}, nodebus.ErrClosed
		}
		c.mu.Lock()
		l := c.link
		c.mu.Unlock()
		if l == nil {
			if err := c.reconnect(ctx); err != nil {
				return nodebus.Frame{}, err
			}
			continue
		}
		got, err := c.fetch(ctx, wake, l)
		if err != nil {
			return nodebus.Frame{}, err
		}
		if got.err == nil {
			return got.frame, nil
		}
		if err := c.broke(l, got.err); err != nil {
			return nodebus.Frame{}, err
		}
	}
}

// fetch waits for what arrives next over a link. The caller has the turn, and l is the link
// of the client.
func (c *Client) fetch(ctx context.Context, wake <-chan struct{}, l link) (arrival, error) {
	if !c.fetching {
		c.fetching = true
		go func() { // ends with the link at the latest
			f, err := l.read()
			c.arrived <- arrival{f, err}
		}()
	}
	select {
	case got := <-c.arrived:
		c.fetching = false
		return got, nil
	case <-wake:
		return arrival{}, errWoken
	case <-ctx.Done():
		return arrival{}, context.Cause(ctx)
	case <-c.life.Done():
		return arrival{}, nodebus.ErrClosed
	}
}

// broke forgets a link that broke. It returns an error if the client must not connect
// again by itself.
func (c *Client) broke(l link, err error) error {
	if c.life.Err() != nil {
		return nodebus.ErrClosed
	}
	c.mu.Lock()
	c.link = nil
	again := c.again
	c.mu.Unlock()
	_ = l.close(false)
	if again {
		return nil
	}
	c.opts.Logger.Info("connection to the server broke", "error", err)
	if c.opts.Retry < 0 {
		return err
	}
	return nil
}

// takeIn notes what the client itself needs of an event, and puts the event into the queue
// of everybody who waits for it. The caller has the turn, and c.mu is held.
func (c *Client) takeIn(ev nodebus.Event, size int, keep bool) {
	if _, gap := ev.Payload.(nodebus.Gap); c.greeted && !gap {
		c.wait = 0 // the connection is of use
	}
	if !c.greeted && ev.Epoch == "" {
		c.greeted, c.cursors = true, false
		c.takeIn(nodebus.Event{Payload: nodebus.Gap{}}, 0, keep) // nobody knows what is missing
	}
	c.seq++
	it := item{ev: ev, size: size, seq: c.seq, before: c.last}
	if hidden := c.note(ev); hidden {
		return
	}
	c.noteClosing(ev)
	c.uncalled.pushOrForget(it)
	c.kept.push(it)
	switch {
	case len(c.loops[""]) > 0:
	case keep || c.yielding:
		c.unread.pushOrForget(it)
	default:
		c.unread = queue{}
	}
	c.give(it)
}

// noteClosing notes which prompts still owe their closing event. c.mu is held.
func (c *Client) noteClosing(ev nodebus.Event) {
	if _, answer := ev.Payload.(nodebus.Watching); ev.PromptID == "" || answer {
		return
	}
	if closes(ev) {
		delete(c.unclosed, ev.PromptID)
		return
	}
	c.owe(ev.PromptID)
}

// owe notes that the closing event of a prompt must still come. c.mu is held.
func (c *Client) owe(promptID string) {
	if len(c.unclosed) >= keptMax { // Gaps have swallowed the ends
		clear(c.unclosed)
	}
	c.unclosed[promptID] = true
}

// note notes what the client itself needs of an event. hidden says that the event is only
// for the client. c.mu is held.
func (c *Client) note(ev nodebus.Event) (hidden bool) {
	if ev.Epoch != "" {
		c.last = ev.Cursor()
	}
	if !c.greeted {
		c.greeted, c.cursors = true, ev.Epoch != ""
	}
	switch p := ev.Payload.(type) {
	case nodebus.Status:
		if p.SID != "" {
			c.id = p.SID
		}
		c.doubtAll()
	case nodebus.Watching:
		return c.answered(p)
	}
	return false
}

// doubtAll makes each Wait whose prompt has not begun ask whether the prompt is still there:
// the queue has changed, and a deleted prompt has no event of its own. c.mu is held.
func (c *Client) doubtAll() {
	for _, ls := range c.loops {
		for _, l := range ls {
			if l.quiet && !l.begun {
				l.doubt = true
				l.rouse()
			}
		}
	}
}

// give puts an event into the queues of the loops that want it. c.mu is held.
func (c *Client) give(it item) {
	if _, gap := it.ev.Payload.(nodebus.Gap); gap {
		for _, ls := range c.loops {
			for _, l := range ls {
				l.give(it)
			}
		}
		return
	}
	for _, l := range c.loops[""] {
		l.give(it)
	}
	if it.ev.PromptID != "" {
		for _, l := range c.loops[it.ev.PromptID] {
			l.give(it)
		}
	}
}
