package main

import (
	"context"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
)

// fanouts has the peers that deliver each event to a number of clients in the process. n
// counts events, not deliveries.
func (b *backend) fanouts(clients int) []peer {
	return []peer{b.fanner(clients), memory.fanner(clients)}
}

func (b *backend) fanner(clients int) peer {
	return peer{b.name + "-log", func(dir string) (*worker, error) {
		h, err := newHost(b, dir)
		if err != nil {
			return nil, err
		}
		c := &counter{full: make(chan struct{}, 1)}
		ctx, leave := context.WithCancel(background)
		var all sync.WaitGroup
		for range clients {
			s := h.hub.Join("c0", nil)
			all.Go(func() { _ = s.Serve(ctx, counting{c}) })
		}
		return &worker{
			turn: func(n int) (time.Duration, error) {
				began := time.Now()
				wait := c.expect(n * clients)
				for range n {
					if err := h.hub.Publish(event(0)); err != nil {
						return 0, err
					}
				}
				err := wait()
				return time.Since(began), err
			},
			end: func() error {
				leave()
				all.Wait()
				return h.close()
			},
		}, nil
	}}
}

// counting is the transport of a client that counts what it takes.
type counting struct{ c *counter }

// Write implements [nodebus.Transport].
func (t counting) Write(_ context.Context, frames []nodebus.Frame) error {
	t.c.add(len(frames))
	return nil
}

// Close implements [nodebus.Transport].
func (counting) Close(error) error { return nil }
