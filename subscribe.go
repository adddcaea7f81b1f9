package nodebus

import (
	"context"
	"errors"
	"iter"
	"slices"
)

// Subscribe returns a sequence of all events of the hub, for a loop in the same
// process. It contains the events from this call on, until ctx ends, the hub closes or
// the loop breaks. If the loop falls behind by more than HubOptions.KeepLen or
// KeepBytes, the sequence ends and its last value is [ErrSlow]. These limits are large
// so that the loop does not fail because of a burst of events in its own program.
//
// Use the sequence in one loop only, in one goroutine. If no loop reads it, it ends
// with ctx; until then it collects events. All readers share the data that an event's
// payload points to: do not modify it.
func (h *Hub) Subscribe(ctx context.Context) iter.Seq2[Event, error] {
	s := &subscription{maxLen: h.opts.KeepLen, maxBytes: h.opts.KeepBytes, wake: make(chan struct{}, 1)}
	h.mu.Lock()
	if h.closed || h.broken != nil {
		s.over, s.err = true, h.broken
	} else {
		h.subs = append(h.subs, s)
	}
	h.mu.Unlock()
	stop := context.AfterFunc(ctx, func() {
		h.unsubscribe(s)
		s.drop()
	})
	return func(yield func(Event, error) bool) {
		defer stop()
		defer s.drop()
		defer h.unsubscribe(s)
		for batch := s.take(nil); batch != nil; batch = s.take(batch) {
			for _, ev := range batch {
				if ctx.Err() != nil || !yield(ev, nil) {
					return
				}
			}
		}
		if err := s.reason(); err != nil && ctx.Err() == nil {
			yield(Event{}, err)
		}
	}
}

func (h *Hub) unsubscribe(s *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.subs = slices.DeleteFunc(h.subs, func(o *subscription) bool { return o == s })
}

// On calls f for each later event whose payload is a P, in the order of IDs, in a goroutine
// of its own. On(hub, func(ev Event, p Payload)) receives every event. f may take its
// time: the events wait, up to HubOptions.KeepLen and KeepBytes. Do not modify the data
// that a payload points to.
//
// stop ends the listener and waits until f has returned; f must not call it. It returns
// why the listener has ended before: [ErrSlow] if f was too far behind, a [*PanicError] if
// f has panicked, otherwise nil. The listener also ends, without an error, when the hub
// closes, after the events that wait. On is safe for concurrent use.
func On[P Payload](h *Hub, f func(Event, P)) (stop func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	events := h.Subscribe(ctx)
	ended := make(chan struct{})
	err := errListenerGone // unless f returns
	go func() {
		defer close(ended)
		err = Protect(func() error { return each(events, f) })
	}()
	return func() error {
		cancel()
		<-ended
		return err
	}
}

var errListenerGone = errors.New("nodebus: the listener ended its goroutine with runtime.Goexit")

// each calls f for each event whose payload is a P.
func each[P Payload](events iter.Seq2[Event, error], f func(Event, P)) error {
	for ev, err := range events {
		if err != nil {
			return err
		}
		if p, ok := ev.Payload.(P); ok {
			f(ev, p)
		}
	}
	return nil
}
