package client

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"

	"github.com/nodebus/nodebus"
)

type listener struct{ call func(nodebus.Event) }

// On calls f for every event with a payload of type P until remove is called. f runs in
// the goroutine of Events, Follow or Run. If the zero value of P has an event type, On
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

// dispatch calls the listeners for an event. The event is handled from now on.
func (c *Client) dispatch(ev nodebus.Event) {
	c.mu.Lock()
	if ev.Epoch != "" {
		c.handled = ev.Cursor()
	}
	ls := slices.Concat(c.listeners[ev.Payload.EventType()], c.listeners[""])
	c.mu.Unlock()
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
