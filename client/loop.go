package client

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"

	"github.com/nodebus/nodebus"
)

// loop is a running loop over Events or Follow. Client.mu guards all but wake.
type loop struct {
	queue
	promptID string        // that it follows; "" for Events
	quiet    bool          // it belongs to Wait, which may run in a listener
	wake     chan struct{} // capacity 1: something has changed
	slow     bool          // it was too far behind, and gets nothing more
	ask      bool          // it must ask the server whether the prompt has ended
	told     bool          // the server has answered
	over     bool          // the answer: it has ended, or is gone
	gone     bool          // the answer: the server has forgotten it
	begun    bool          // an event of the prompt has come, so the end comes as an event, too
	doubt    bool          // the queue has changed and the prompt has not begun: perhaps it is gone
	open     bool          // the answer: it waits or runs
	mute     bool          // the server has no routes that tell what has become of a prompt
	unsure   bool          // the server has given no answer
	marked   bool          // the server has sent all events up to its answer that the prompt has ended
	settled  bool          // no event follows after those in the queue
}

// give puts an event into the queue and wakes the loop. Client.mu is held.
func (l *loop) give(it item) {
	l.begun = l.begun || it.ev.PromptID == l.promptID
	if l.slow = l.slow || l.full(&it); l.slow {
		l.queue = queue{}
	} else {
		l.push(it)
	}
	l.rouse()
}

func (l *loop) rouse() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// begin begins a loop with what was kept for it.
func (c *Client) begin(promptID string, quiet bool) *loop {
	l := &loop{promptID: promptID, quiet: quiet, wake: make(chan struct{}, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if promptID == "" {
		l.queue, c.unread, c.yielding = c.unread, queue{}, true
	} else {
		k := c.beginWith(l)
		l.begun = slices.ContainsFunc(l.items, func(it item) bool { return it.ev.PromptID == promptID })
		l.ask = k == nil || !k.own
		l.doubt = quiet && !l.begun
	}
	c.loops[promptID] = append(c.loops[promptID], l)
	return l
}

// beginWith gives a loop what was kept for it, and returns that or nil. Wait yields no
// events, so it leaves them to the first Follow. c.mu is held.
func (c *Client) beginWith(l *loop) *kept {
	c.kept.expire(&item{})
	k := c.kept.byPrompt[l.promptID]
	if k == nil {
		return nil
	}
	l.queue = queue{slices.Clone(k.items), k.bytes}
	if !l.quiet {
		c.kept.take(l.promptID)
	}
	if k.lost {
		gap := l.items[0].ev.Payload.(nodebus.Gap)
		gap.Next = c.last.ID + 1
		l.items[0].ev.Payload = gap
	}
	return k
}

// follows reports whether a loop yields the events of a prompt. c.mu is held.
func (c *Client) follows(promptID string) bool {
	return slices.ContainsFunc(c.loops[promptID], func(l *loop) bool { return !l.quiet })
}

// finish ends a loop. What the last loop over Events has not yielded is for the next.
func (c *Client) finish(l *loop) {
	c.mu.Lock()
	defer c.mu.Unlock()
	rest := slices.DeleteFunc(c.loops[l.promptID], func(o *loop) bool { return o == l })
	if c.loops[l.promptID] = rest; len(rest) > 0 {
		return
	}
	delete(c.loops, l.promptID)
	if l.promptID == "" {
		c.unread = l.queue
	}
}

var (
	// errAsk means that a loop over Follow must ask the server, or has its answer.
	errAsk = errors.New("client: ask whether the prompt has ended")
	// errSettled means that no event follows.
	errSettled = errors.New("client: no event follows")
)

// next returns the next event of a loop. It first calls the listeners for it, and for all
// events before it.
func (c *Client) next(ctx context.Context, l *loop) (nodebus.Event, error) {
	for {
		seq, err := c.peek(l)
		if err != nil {
			return nodebus.Event{}, err
		}
		ev, ok, err := c.handle(ctx, l, seq)
		if ok || err != nil {
			return ev, err
		}
		if err := c.await(ctx, l); err != nil {
			return nodebus.Event{}, err
		}
	}
}

// handle removes the first event of a loop, whose seq is given, and calls the listeners for it
// and for all events before it. ok is false if the loop has no event.
func (c *Client) handle(ctx context.Context, l *loop, seq uint64) (ev nodebus.Event, ok bool, err error) {
	call, err := c.mayCall(ctx, l.quiet)
	if err != nil {
		return ev, false, err
	}
	// The loop handles the event from now on, so that a listener that stores the cursor
	// stores the place after the event.
	ev, ok = c.pop(l, seq)
	if call {
		c.call(seq)
	}
	return ev, ok, nil
}

// noEvent is the seq that peek returns if a loop has no event.
const noEvent = math.MaxUint64

// peek returns the seq of the first event of a loop.
func (c *Client) peek(l *loop) (seq uint64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.life.Err() != nil:
		return 0, nodebus.ErrClosed
	case l.slow:
		return 0, nodebus.ErrSlow
	case len(l.items) > 0:
		return l.items[0].seq, nil
	case l.settled:
		return 0, errSettled
	case l.ask || l.told || l.doubt || l.marked:
		return 0, errAsk
	}
	return noEvent, nil
}

// pop removes the first event of a loop, if it is the event that peek has seen.
func (c *Client) pop(l *loop, seq uint64) (ev nodebus.Event, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(l.items) == 0 || l.items[0].seq > seq || seq == noEvent {
		return ev, false
	}
	return l.queue.pop().ev, true
}

// await waits until there is something new for a loop, and reads if nobody else does.
func (c *Client) await(ctx context.Context, l *loop) error {
	select {
	case <-l.wake:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.life.Done():
		return nodebus.ErrClosed
	case c.turn <- struct{}{}:
		defer func() { <-c.turn }()
	}
	if c.isDue(l) {
		return nil
	}
	return c.step(ctx, l.wake, false)
}

// isDue reports whether a loop has something to do other than to read.
func (c *Client) isDue(l *loop) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(l.items) > 0 || l.slow || l.ask || l.told || l.doubt || l.marked || l.settled || len(c.uncalled.items) > 0 && !l.quiet
}

// Events yields the events from the server until ctx ends or the loop breaks; after that,
// Events can be called again and continues after the last event that it has yielded. What
// Follow and Wait read meanwhile is kept for it, up to 65 536 events or 64 MiB; beyond that,
// a [nodebus.Gap] takes its place. What they read before the first Events is not kept.
// After a broken connection, the client receives the events that it missed, each once; a
// [nodebus.Gap] comes first if the server no longer has some of them. A server without
// cursors, as ComfyUI, keeps no events: then each broken connection yields an empty Gap, with
// Since and Next 0. The listeners for an event run before the event is yielded. An event of an unknown type is a
// [nodebus.Custom]; built-in types and types with a listener (see [On]) are known.
//
// If an error ends Events, it is the last value: the server refuses the client, the
// connection broke and reconnecting is disabled, Close was called ([nodebus.ErrClosed]), or
// 65 536 events or 64 MiB wait for the loop because others read faster
// ([nodebus.ErrSlow]). A loop that ends with ErrSlow has lost the events that waited for it,
// and the next loop does not have them; ask for the state of the prompts ([Client.State]).
func (c *Client) Events(ctx context.Context) iter.Seq2[nodebus.Event, error] {
	return func(yield func(nodebus.Event, error) bool) {
		l := c.begin("", false)
		defer c.finish(l)
		for ctx.Err() == nil {
			ev, err := c.next(ctx, l)
			if err != nil {
				if ctx.Err() == nil {
					yield(nodebus.Event{}, err)
				}
				return
			}
			if !yield(ev, nil) {
				return
			}
		}
	}
}

// Run calls listeners until ctx ends or Events ends with an error. It returns ctx's
// cause or this error.
func (c *Client) Run(ctx context.Context) error {
	for _, err := range c.Events(ctx) {
		if err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}
