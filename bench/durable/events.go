package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
)

// publishes has the peers that publish events, and end when the last event is delivered. A
// publisher does not wait for its events.
func (b *backend) publishes(publishers int) []peer {
	streaming := func(work func(r bare, publishers, n int, value []byte) error) peer {
		return b.barePeer(0, eventBytes, func(r bare, value []byte) func(int) (time.Duration, error) {
			return timed(func(n int) error { return work(r, publishers, n, value) })
		})
	}
	peers := []peer{streaming(bare.stream)}
	for _, name := range slices.Sorted(maps.Keys(b.streams)) {
		p := streaming(b.streams[name])
		p.name = name
		peers = append(peers, p)
	}
	return append(peers, b.publisher(publishers, false), memory.publisher(publishers, false))
}

// singles has the peers that publish an event, wait until it is delivered, and publish the
// next event.
func (b *backend) singles() []peer {
	return []peer{
		b.barePeer(0, eventBytes, func(r bare, value []byte) func(int) (time.Duration, error) {
			return func(n int) (time.Duration, error) {
				return each(1, n, func(int, int) error { return r.append(1, value) })
			}
		}),
		b.publisher(1, true), memory.publisher(1, true),
	}
}

// publisher publishes to a hub with one subscriber.
func (b *backend) publisher(publishers int, waits bool) peer {
	return peer{b.name + "-log", func(dir string) (*worker, error) {
		h, err := newHost(b, dir)
		if err != nil {
			return nil, err
		}
		c := newCounter(h.hub)
		return &worker{
			turn: func(n int) (time.Duration, error) {
				began := time.Now()
				step := n
				if waits {
					step = 1
				}
				for i := 0; i < n; i += step {
					wait := c.expect(step)
					_, err := each(publishers, step, func(caller, _ int) error { return h.hub.Publish(event(caller)) })
					if err != nil {
						return 0, err
					}
					if err := wait(); err != nil {
						return 0, err
					}
				}
				return time.Since(began), nil
			},
			end: func() error { return errors.Join(c.stop(), h.close()) },
		}, nil
	}}
}

// resumes has the peers that serve a client that has a cursor, and that is behind by a
// number of events. The client is a function in the process: no socket is a part of it.
func (b *backend) resumes(behind int) []peer {
	return []peer{
		b.barePeer(behind+1, eventBytes, func(r bare, value []byte) func(int) (time.Duration, error) {
			return func(n int) (time.Duration, error) {
				return each(1, n, func(int, int) error {
					got := 0
					err := r.read(1, behind, func(v []byte) { got += len(v) })
					if err == nil && got != behind*len(value) {
						err = fmt.Errorf("read %d bytes", got)
					}
					return err
				})
			}
		}),
		b.resumer("log", false, behind), b.resumer("log-reopened", true, behind), memory.resumer("log", false, behind),
	}
}

// resumer serves a client that comes back. If again is true, the backend is opened again before.
func (b *backend) resumer(name string, again bool, behind int) peer {
	return peer{b.name + "-" + name, func(dir string) (*worker, error) {
		h, err := newHost(b, dir)
		if err != nil {
			return nil, err
		}
		since, err := first(h, behind+1)
		if err == nil && again {
			if err = h.close(); err == nil {
				h, err = newHost(b, dir)
			}
		}
		return &worker{
			turn: func(n int) (time.Duration, error) {
				return each(1, n, func(int, int) error { return receive(h.hub, since, behind) })
			},
			end: h.close,
		}, err
	}}
}

// first publishes n events, and returns the cursor of the first of them when all are
// delivered.
func first(h *host, n int) (since nodebus.Cursor, err error) {
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	events := h.hub.Subscribe(ctx)
	for range n {
		if err := h.hub.Publish(event(0)); err != nil {
			return since, err
		}
	}
	got := 0
	for ev, err := range events {
		if err != nil {
			return since, err
		}
		if got++; got == 1 {
			since = ev.Cursor()
		}
		if got == n {
			break
		}
	}
	return since, nil
}

// receive lets client c0 join with a cursor, and leaves when it has n events.
func receive(hub *nodebus.Hub, since nodebus.Cursor, n int) error {
	ctx, cancel := context.WithCancel(background)
	defer cancel()
	t := &taker{left: n, full: cancel}
	_ = hub.Join("c0", &nodebus.SessionOptions{Since: since}).Serve(ctx, t)
	if t.left != 0 {
		return fmt.Errorf("%d events are missing", t.left)
	}
	return nil
}

// taker is the transport of a client in the process.
type taker struct {
	left int
	full func()
}

// Write implements [nodebus.Transport].
func (t *taker) Write(_ context.Context, frames []nodebus.Frame) error {
	t.left -= len(frames)
	if t.left == 0 {
		t.full()
	}
	return nil
}

// Close implements [nodebus.Transport].
func (t *taker) Close(error) error { return nil }
