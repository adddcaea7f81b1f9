package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
)

// publishes has the peers that publish events, and end when the last event is delivered. A
// publisher does not wait for its events. The peer raw-bbolt commits what has gathered.
func publishes(publishers int) []peer {
	return []peer{
		{"raw-bbolt", func(dir string) (*worker, error) {
			r, err := openRaw(dir)
			if err != nil {
				return nil, err
			}
			value, err := eventBytes()
			return &worker{
				turn: func(n int) (time.Duration, error) {
					done := make(chan error, 1)
					began := time.Now()
					go func() { done <- r.commits(n) }()
					_, err := each(publishers, n, func(int, int) error { r.gathers(value); return nil })
					err = errors.Join(err, <-done)
					return time.Since(began), err
				},
				end: r.db.Close,
			}, err
		}},
		publisher("bolt-log", true, publishers, false),
		publisher("memory-log", false, publishers, false),
	}
}

// singles has the peers that publish an event, wait until it is delivered, and publish the
// next event.
func singles() []peer {
	return []peer{
		{"raw-bbolt", func(dir string) (*worker, error) {
			r, err := openRaw(dir)
			if err != nil {
				return nil, err
			}
			value, err := eventBytes()
			return &worker{
				turn: func(n int) (time.Duration, error) {
					return each(1, n, func(int, int) error { return r.appends(value) })
				},
				end: r.db.Close,
			}, err
		}},
		publisher("bolt-log", true, 1, true),
		publisher("memory-log", false, 1, true),
	}
}

// publisher publishes to a hub with one subscriber.
func publisher(name string, file bool, publishers int, waits bool) peer {
	return peer{name, func(dir string) (*worker, error) {
		if !file {
			dir = ""
		}
		h, err := newHost(dir)
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
					wait()
				}
				return time.Since(began), nil
			},
			end: func() error { return errors.Join(c.stop(), h.close()) },
		}, nil
	}}
}

// resumes has the peers that serve a client that has a cursor, and that is behind by a
// number of events. The client is a function in the process: no socket is a part of it.
func resumes(behind int) []peer {
	return []peer{
		{"raw-bbolt", func(dir string) (*worker, error) {
			r, err := openRaw(dir)
			if err != nil {
				return nil, err
			}
			value, err := eventBytes()
			for range behind + 1 {
				r.gathers(value)
			}
			return &worker{
				turn: func(n int) (time.Duration, error) {
					return each(1, n, func(int, int) error {
						got := 0
						err := r.reads(1, func(v []byte) { got += len(v) })
						if err == nil && got != behind*len(value) {
							err = fmt.Errorf("read %d bytes", got)
						}
						return err
					})
				},
				end: r.db.Close,
			}, errors.Join(err, r.commits(behind+1))
		}},
		resumer("bolt-log", true, false, behind),
		resumer("bolt-log-reopened", true, true, behind),
		resumer("memory-log", false, false, behind),
	}
}

// resumer serves a client that comes back. If again is true, the file is opened again before.
func resumer(name string, file, again bool, behind int) peer {
	return peer{name, func(dir string) (*worker, error) {
		if !file {
			dir = ""
		}
		h, err := newHost(dir)
		if err != nil {
			return nil, err
		}
		since, err := first(h, behind+1)
		if err == nil && again {
			if err = h.close(); err == nil {
				h, err = newHost(dir)
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
