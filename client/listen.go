package client

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/jsonenc"
)

type listener struct{ call func(nodebus.Event) }

// On calls f for every event with a payload of type P until remove is called. Each event is
// given to the listeners once, in the order of arrival, one listener at a time; f runs in
// the goroutine of a loop, before any loop yields the event. So all loops wait for f. f
// may call all methods of the client, but must not loop over Events or Follow or call Run,
// because these would wait for f. If the zero value of P has an event type, On
// also makes this type known: from now on the payload of such an event is a P instead of
// a [nodebus.Custom]. If the zero value has no event type, P itself may be Custom, for all
// events of unknown types, or an interface, for all events whose payload implements it.
//
// A panic of f is logged and has no other effect. On is safe for concurrent use.
func On[P nodebus.Payload](c *Client, f func(nodebus.Event, P)) (remove func()) {
	typ := eventType[P]()
	if typ != "" {
		c.mu.Lock()
		c.types[typ] = func(data []byte) (p nodebus.Payload, err error) {
			err = nodebus.Protect(func() error {
				var v P
				err := json.Unmarshal(data, &v)
				p = v
				return err
			})
			return p, err
		}
		c.mu.Unlock()
	}
	return c.OnType(typ, func(ev nodebus.Event) {
		if p, ok := ev.Payload.(P); ok {
			f(ev, p)
		}
	})
}

// eventType returns the event type of P's zero value, or of a pointer to a zero value if
// P is a pointer. It returns "" if there is none.
func eventType[P nodebus.Payload]() (typ string) {
	var zero P
	if t := reflect.TypeFor[P](); t.Kind() == reflect.Pointer {
		zero = reflect.New(t.Elem()).Interface().(P)
	}
	_ = nodebus.Protect(func() error { // an interface has no zero value, and EventType is code of others
		typ = zero.EventType()
		return nil
	})
	return typ
}

// OnType calls f for every event of this type until remove is called. Use it for types
// that are known only at run time. The payload is a [nodebus.Custom], or a Go type that
// nodebus or [On] knows. With the empty type, f is called for every event, after the
// listeners for its type. OnType is safe for concurrent use; for the goroutine and a panic
// of f see On.
func (c *Client) OnType(eventType string, f func(nodebus.Event)) (remove func()) {
	typ, l := eventType, &listener{f}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.listeners[typ] = append(slices.Clip(c.listeners[typ]), l)
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.listeners[typ] = slices.DeleteFunc(slices.Clone(c.listeners[typ]), func(o *listener) bool { return o == l })
	}
}

// decode decodes a frame. A known custom type is decoded into its Go type.
func (c *Client) decode(f nodebus.Frame) (nodebus.Event, error) {
	ev, err := nodebus.JSON.Decode(f)
	if err != nil && !f.Binary { // ComfyUI writes NaN as a bare word
		f.Data = jsonenc.Nulls(f.Data)
		ev, err = nodebus.JSON.Decode(f)
	}
	if err != nil {
		return ev, err
	}
	custom, ok := ev.Payload.(nodebus.Custom)
	raw, text := custom.Data.(json.RawMessage)
	if !ok || !text {
		return ev, nil
	}
	if ev.PromptID == "" {
		ev.PromptID = promptIn(raw)
	}
	c.mu.Lock()
	known := c.types[custom.Type]
	c.mu.Unlock()
	if known == nil {
		return ev, nil
	}
	if ev.Payload, err = known(raw); err != nil {
		return ev, fmt.Errorf("client: %s: %w", custom.Type, err)
	}
	return ev, nil
}

// promptIn returns the prompt that the data of a custom event names, or "". Events of
// ComfyUI have no envelope.
func promptIn(raw json.RawMessage) string {
	if !bytes.Contains(raw, []byte(`"prompt_id"`)) {
		return ""
	}
	var d struct {
		PromptID json.RawMessage `json:"prompt_id"`
	}
	var id string
	_ = json.Unmarshal(raw, &d) // data that is no object names no prompt
	_ = json.Unmarshal(d.PromptID, &id)
	return id
}

// mayCall waits for the right to call listeners. If another goroutine has it and quiet is
// true, mayCall does not wait, and call is false.
func (c *Client) mayCall(ctx context.Context, quiet bool) (call bool, err error) {
	if quiet {
		select {
		case c.calling <- struct{}{}:
			return true, nil
		default: // perhaps a listener waits for the caller
			return false, nil
		}
	}
	select {
	case c.calling <- struct{}{}:
		return true, nil
	case <-ctx.Done():
		return false, context.Cause(ctx)
	case <-c.life.Done():
		return false, nodebus.ErrClosed
	}
}

// call calls the listeners for all events up to a place that they have not had, and gives the
// right to call back.
func (c *Client) call(upTo uint64) {
	defer func() { <-c.calling }()
	for {
		ev, ls, ok := c.uncalledUpTo(upTo)
		if !ok {
			return
		}
		for _, l := range ls {
			err := nodebus.Protect(func() error {
				l.call(ev)
				return nil
			})
			if err != nil {
				c.opts.Logger.Error("a listener panicked", "type", ev.Payload.EventType(), "error", err)
			}
		}
	}
}

// uncalledUpTo takes the next event for listeners, and returns the listeners.
func (c *Client) uncalledUpTo(seq uint64) (ev nodebus.Event, ls []*listener, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.uncalled.items) == 0 || c.uncalled.items[0].seq > seq {
		return ev, nil, false
	}
	ev = c.uncalled.pop().ev
	return ev, slices.Concat(c.listeners[ev.Payload.EventType()], c.listeners[""]), true
}
