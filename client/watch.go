package client

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
)

// watchMax is the maximum number of prompts that a client follows. After a reconnect, the
// client names them in the query, and servers accept no more there.
const watchMax = 256

// request is a message to the server that waits for its answer.
type request struct {
	promptID string
	watch    bool
	answer   chan error // capacity 1
}

// Watch makes the client also follow a prompt of another client, if the server allows it.
// The server sends the events of the prompt that it has kept, then a [nodebus.Watching],
// and then the later events. Watch waits for the Watching, which Events also yields. The
// kept events have no cursor. If the connection breaks before the Watching, or before the
// next event with a cursor, some of them come again. After a reconnect, the client
// continues to follow the prompt until Unwatch.
//
// Watch may be called while Events runs, in its loop or in another goroutine. If nobody
// reads, Watch reads and keeps the events for Events. If ctx ends meanwhile, the
// connection breaks, and the next Events connects again. Watch returns an error that is
// [nodebus.ErrForbidden] if the server does not allow it, and another error if the server
// refuses for another reason, if the client follows 256 prompts already, or for the
// reasons of Events. It waits until ctx ends if the server does not know such requests.
func (c *Client) Watch(ctx context.Context, promptID string) error {
	return c.ask(ctx, &request{promptID: promptID, watch: true})
}

// Unwatch ends what Watch or Options.Watch began. It waits for the answer of the server;
// see Watch for how it waits and for its errors.
func (c *Client) Unwatch(ctx context.Context, promptID string) error {
	return c.ask(ctx, &request{promptID: promptID})
}

// ask sends a request and waits for the answer.
func (c *Client) ask(ctx context.Context, r *request) error {
	select {
	case c.asking <- struct{}{}:
		defer func() { <-c.asking }()
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-c.life.Done():
		return nodebus.ErrClosed
	}
	r.answer = make(chan error, 1)
	conn, err := c.begin(r)
	if err != nil {
		return err
	}
	defer c.forget()
	if conn != nil {
		_ = r.send(ctx, conn) // after an error the connection is broken; connect sends again
	}
	for {
		select {
		case err := <-r.answer:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-c.life.Done():
			return nodebus.ErrClosed
		case c.reading <- struct{}{}: // nobody reads at the moment
			err := c.readFor(ctx, r)
			<-c.reading
			if err != nil && ctx.Err() != nil { // the end of ctx broke the connection
				return context.Cause(ctx)
			}
			if err != nil {
				return err
			}
		}
	}
}

// begin makes r the request that waits. It returns the connection to send it on; if there
// is none, connect sends it.
func (c *Client) begin(r *request) (*websocket.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.watch && len(c.watched) >= watchMax && !slices.Contains(c.watched, r.promptID) {
		return nil, fmt.Errorf("client: %d prompts are watched already; call Unwatch for one of them first", watchMax)
	}
	c.request = r
	return c.conn, nil
}

func (c *Client) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.request = nil
}

// readFor receives an event for Events, unless r has its answer already.
func (c *Client) readFor(ctx context.Context, r *request) error {
	if len(r.answer) > 0 {
		return nil
	}
	ev, err := c.receive(ctx)
	if err == nil {
		c.pending = append(c.pending, ev)
	}
	return err
}

// send writes the request to a connection.
func (r *request) send(ctx context.Context, conn *websocket.Conn) error {
	typ := "nodebus.unwatch"
	if r.watch {
		typ = "nodebus.watch"
	}
	data, err := json.Marshal(map[string]any{"type": typ, "data": map[string]string{"prompt_id": r.promptID}})
	if err != nil {
		return err
	}
	return conn.Write(ctx, websocket.MessageText, data)
}

// answered handles an answer of the server. c.mu is held.
func (c *Client) answered(w nodebus.Watching) {
	c.watched = slices.DeleteFunc(c.watched, func(id string) bool { return id == w.PromptID })
	r := c.request
	ours := r != nil && r.promptID == w.PromptID
	if w.Watching && w.Error == "" && len(c.watched) < watchMax && (!ours || r.watch) {
		c.watched = append(c.watched, w.PromptID)
	}
	if !ours || len(r.answer) > 0 {
		return
	}
	var err error
	if w.Error != "" {
		err = &refusedWatch{w.Error}
	}
	r.answer <- err
}

// refusedWatch is the error of a request that the server refused.
type refusedWatch struct{ text string }

func (e *refusedWatch) Error() string { return "client: the server refused: " + e.text }

// Is reports whether target is the reason that the text tells. The server refuses a
// request also for other reasons, for example because it has no prompt_id.
func (e *refusedWatch) Is(target error) bool {
	return target == nodebus.ErrForbidden && strings.HasPrefix(e.text, nodebus.ErrForbidden.Error())
}
