package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nodebus/nodebus"
)

// watchMax is the maximum number of prompts that a client follows. After a reconnect, the
// client names them in the query, and servers accept no more there.
const watchMax = 256

// request is a message to the server that waits for its answer.
type request struct {
	promptID string
	watch    bool
	added    bool       // the client did not name the prompt to a server of streams before
	kept     bool       // the client did not keep the events of the prompt before
	loop     *loop      // that waits for the answer because no earlier event comes after it; or nil
	answer   chan error // capacity 1
	settled  bool       // it has its answer; Client.mu guards it
}

// Watch makes the client also follow a prompt of another client, if the server allows it.
// The server sends the events of the prompt that it has kept, then a [nodebus.Watching],
// and then the later events. Watch waits for the Watching, which Events also yields. The
// kept events have no cursor. If the connection breaks before the Watching, or before the
// next event with a cursor, some of them come again. After a reconnect, the client
// continues to follow the prompt until Unwatch.
//
// Watch may be called while loops run, in a loop, in a listener, or in another goroutine.
// If nobody reads, Watch reads. What it reads is kept for the next Events, and the events
// of the prompt for the first Follow, as far as a loop may be behind; beyond that, a
// [nodebus.Gap] takes their place. Watch returns an error that is [nodebus.ErrForbidden]
// if the server does not allow it, [ErrPromptID] if promptID is empty, longer than 512
// bytes, or not valid UTF-8, and another error if the server refuses for another reason, if
// the client follows 256 prompts already, or for the reasons of Events. It waits until ctx
// ends if the server does not know such requests. A Watch that fails changes nothing.
//
// With Options.SSE, Watch connects again, and waits for the connection. The server then
// sends the later events of the prompt, but not the earlier ones; it says nothing, and
// sends nothing, if it does not allow it. If the server refuses the connection, the error is
// a [*RefusedError], and the client connects again without the prompt.
func (c *Client) Watch(ctx context.Context, promptID string) error {
	return c.request(ctx, &request{promptID: promptID, watch: true})
}

// Unwatch ends what Watch or Options.Watch began. The events of a prompt that has ended stay
// for the first Follow. It waits for the answer of the server;
// see Watch for how it waits and for its errors.
func (c *Client) Unwatch(ctx context.Context, promptID string) error {
	return c.request(ctx, &request{promptID: promptID})
}

// request sends a request and waits for the answer.
func (c *Client) request(ctx context.Context, r *request) (err error) {
	if err := checkID(r.promptID); err != nil {
		return err
	}
	if err := c.post(r); err != nil {
		return err
	}
	defer func() { c.withdraw(r, err != nil) }()
	for {
		select {
		case err := <-r.answer:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.life.Done():
			return nodebus.ErrClosed
		case c.turn <- struct{}{}: // nobody reads at the moment
			if err := c.readFor(ctx, r); err != nil {
				return err
			}
		}
	}
}

// readFor reads one event, unless r has its answer. The caller has the turn, and readFor
// gives it back.
func (c *Client) readFor(ctx context.Context, r *request) error {
	defer func() { <-c.turn }()
	if len(r.answer) > 0 {
		return nil
	}
	return c.step(ctx, nil, true)
}

// post makes r a request that waits, and sends it. If there is no connection, connect
// sends it.
func (c *Client) post(r *request) error {
	r.answer = make(chan error, 1)
	c.mu.Lock()
	if c.life.Err() != nil {
		c.mu.Unlock()
		return nodebus.ErrClosed
	}
	if r.watch && len(c.watched) >= watchMax && !slices.Contains(c.watched, r.promptID) {
		c.mu.Unlock()
		return fmt.Errorf("client: %d prompts are watched already; call Unwatch for one of them first", watchMax)
	}
	c.requests = append(c.requests, r)
	if r.watch && !c.follows(r.promptID) {
		r.kept = c.kept.byPrompt[r.promptID] == nil
		c.kept.begin(r.promptID)
	}
	l := c.link
	if c.opts.SSE {
		r.added = r.watch && !slices.Contains(c.watched, r.promptID)
		c.setWatched(r.promptID, r.watch)
		c.again = l != nil
	}
	c.mu.Unlock()
	switch {
	case l == nil:
	case c.opts.SSE:
		_ = l.close(true) // whoever reads connects again
	default:
		_ = c.tell(r, l) // after an error the connection is broken; connect sends again
	}
	return nil
}

// withdraw forgets a request. If it has failed, nothing of it stays.
func (c *Client) withdraw(r *request, failed bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = slices.DeleteFunc(c.requests, func(o *request) bool { return o == r })
	if failed && r.added {
		c.setWatched(r.promptID, false)
	}
	if k := c.kept.byPrompt[r.promptID]; failed && r.kept && k != nil && !k.own {
		c.kept.take(r.promptID)
	}
}

// forgo settles the requests that a server of streams perhaps means when it refuses a
// connection that names their prompts. It reports whether there are such requests: without
// them, the server may accept the connection.
func (c *Client) forgo(asked []*request, err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	forgone := false
	for _, r := range asked {
		if r.added && !r.settled {
			c.setWatched(r.promptID, false)
			r.settle(err)
			forgone = true
		}
	}
	return forgone
}

// renew sends the requests that still wait over a new link. asked holds those that the
// address of a stream contains; they are settled now.
func (c *Client) renew(l link, asked []*request) {
	c.mu.Lock()
	waiting := slices.Clone(c.requests)
	if c.opts.SSE {
		for _, r := range asked {
			r.settle(nil)
		}
		c.again = slices.ContainsFunc(waiting, func(r *request) bool { return !r.settled })
	}
	again := c.again
	c.mu.Unlock()
	if again { // a request came while the client was connecting
		_ = l.close(true)
	}
	for _, r := range waiting {
		if !c.opts.SSE {
			_ = c.tell(r, l) // read reports that the connection is broken
		}
	}
}

// settle gives a request its answer, if it has none yet. Client.mu is held.
func (r *request) settle(err error) {
	if !r.settled {
		r.settled = true
		r.answer <- err
	}
}

// tellTime limits the time for sending a request.
const tellTime = 10 * time.Second

// tell sends a request over a link. It does not end with the context of a caller, because
// a message that is not complete breaks the connection for everybody.
func (c *Client) tell(r *request, l link) error {
	typ := "nodebus.unwatch"
	if r.watch {
		typ = "nodebus.watch"
	}
	data, err := json.Marshal(map[string]any{"type": typ, "data": map[string]string{"prompt_id": r.promptID}})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.life, tellTime)
	defer cancel()
	return l.send(ctx, data)
}

// setWatched notes whether a connection names a prompt. c.mu is held.
func (c *Client) setWatched(promptID string, watched bool) {
	c.watched = slices.DeleteFunc(c.watched, func(id string) bool { return id == promptID })
	if watched && len(c.watched) < watchMax {
		c.watched = append(c.watched, promptID)
	}
}

// answered handles an answer of the server. It reports whether only the client itself has
// asked. c.mu is held.
func (c *Client) answered(w nodebus.Watching) (hidden bool) {
	i := slices.IndexFunc(c.requests, func(r *request) bool { return r.promptID == w.PromptID && !r.settled })
	if i < 0 {
		c.setWatched(w.PromptID, w.Watching && w.Error == "")
		return false
	}
	r := c.requests[i]
	if r.loop != nil {
		r.loop.marked = true
		r.loop.rouse()
		r.settle(nil)
		return true
	}
	c.setWatched(w.PromptID, w.Watching && w.Error == "" && r.watch)
	if k := c.kept.byPrompt[w.PromptID]; !r.watch && k != nil && !k.own && k.closed.IsZero() {
		c.kept.take(w.PromptID) // the rest does not come
	}
	var err error
	if w.Error != "" {
		err = &refusedWatch{w.Error}
	}
	r.settle(err)
	return false
}

// refusedWatch is the error of a request that the server refused.
type refusedWatch struct{ text string }

func (e *refusedWatch) Error() string { return "client: the server refused: " + e.text }

// Is reports whether target is the reason that the text tells. The server refuses a
// request also for other reasons, for example because it has no prompt_id.
func (e *refusedWatch) Is(target error) bool {
	return target == nodebus.ErrForbidden && strings.HasPrefix(e.text, nodebus.ErrForbidden.Error())
}
