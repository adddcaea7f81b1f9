package client

import (
	"encoding/json"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
)

type listener struct{ call func(nodebus.Event) }

// On calls f for every event with a payload of type P until remove is called. f runs in
// the goroutine of Events, Follow or Run. On also makes the type known: from now on the
// payload of such an event is a P instead of a [nodebus.Custom]. P is a struct, and the
// EventType method of its zero value must return the type's name; otherwise On panics.
// Use [OnType] for other types.
//
// A panic of f is logged and has no other effect. On is safe for concurrent use.
func On[P nodebus.Payload](c *Client, f func(nodebus.Event, P)) (remove func()) {
	var zero P
	typ := zero.EventType()
	if typ == "" {
		panic(fmt.Sprintf("client: On: %T has no fixed type; use OnType with the type's name", zero))
	}
	c.mu.Lock()
	c.types[typ] = func(data []byte) (nodebus.Payload, error) {
		var p P
		err := json.Unmarshal(data, &p)
		return p, err
	}
	c.mu.Unlock()
	return c.listen(typ, func(ev nodebus.Event) {
		if p, ok := ev.Payload.(P); ok {
			f(ev, p)
		}
	})
}

// OnType calls f for every event of this type until remove is called. Use it for types
// that are known only at run time. The payload is a [nodebus.Custom], or a P if [On] or
// nodebus knows the type. OnType is safe for concurrent use.
func OnType(c *Client, eventType string, f func(nodebus.Event)) (remove func()) {
	return c.listen(eventType, f)
}

func (c *Client) listen(typ string, f func(nodebus.Event)) (remove func()) {
	l := &listener{f}
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
	if err != nil {
		return ev, err
	}
	custom, ok := ev.Payload.(nodebus.Custom)
	raw, text := custom.Data.(json.RawMessage)
	if !ok || !text {
		return ev, nil
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

func (c *Client) dispatch(ev nodebus.Event) {
	c.mu.Lock()
	ls := c.listeners[ev.Payload.EventType()]
	c.mu.Unlock()
	for _, l := range ls {
		c.call(l, ev)
	}
}

func (c *Client) call(l *listener, ev nodebus.Event) {
	defer func() {
		if r := recover(); r != nil {
			c.opts.Logger.Error("a listener panicked", "type", ev.Payload.EventType(), "panic", r)
		}
	}()
	l.call(ev)
}
