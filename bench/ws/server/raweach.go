//go:build linux

package server

import (
	"fmt"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// rawEach is the limit for addressed events: each client has a buffer, and a worker for each
// processor writes the buffers that are not empty, each in one write.
type rawEach struct {
	appended
	n      atomic.Int64
	shards []*eachShard
	mu     sync.RWMutex
	byID   map[int]*eachClient
}

type eachShard struct {
	p     *rawEach
	mu    sync.Mutex
	ready []*eachClient // clients whose pending is not empty
	wake  chan struct{}
}

type eachClient struct {
	*rawClient
	shard   *eachShard
	out     []byte // only for the worker: what it writes
	done    int    // only for the worker: how much of out the socket has taken
	pending []byte // protected by shard.mu, as listed
	listed  bool
}

func newRawEach() *rawEach {
	p := &rawEach{byID: map[int]*eachClient{}}
	for range runtime.GOMAXPROCS(0) {
		s := &eachShard{p: p, wake: make(chan struct{}, 1)}
		p.shards = append(p.shards, s)
		go s.run()
	}
	return p
}

func (p *rawEach) Wire() Wire {
	w := p.appended.Wire()
	w.Path, w.Each = "/ws?clientId=c%d", true
	return w
}

func (p *rawEach) Serve(ln net.Listener) error {
	return acceptAll(ln, func(c net.Conn) error {
		request, err := upgrade(c)
		if err != nil {
			return err
		}
		var n int
		if _, err := fmt.Sscanf(request, "GET /ws?clientId=c%d ", &n); err != nil {
			return err
		}
		raw, err := newRawClient(c, 0)
		if err != nil {
			return err
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		p.byID[n] = &eachClient{rawClient: raw, shard: p.shards[n%len(p.shards)]}
		p.n.Add(1)
		return nil
	})
}

func (p *rawEach) Clients() int { return int(p.n.Load()) }

// Broadcast is not used: all events are addressed.
func (p *rawEach) Broadcast(seq int64) { p.Send(0, seq) }

func (p *rawEach) Send(n int, seq int64) {
	f := frame(message(seq))
	p.mu.RLock()
	c := p.byID[n]
	p.mu.RUnlock()
	s := c.shard
	s.mu.Lock()
	c.pending = append(c.pending, f...)
	if !c.listed {
		c.listed = true
		s.ready = append(s.ready, c)
	}
	s.mu.Unlock()
	wake(s.wake)
}

func (s *eachShard) run() {
	var list, spare []*eachClient
	for range s.wake {
		for {
			s.mu.Lock()
			list, s.ready = s.ready, spare[:0]
			s.mu.Unlock()
			if len(list) == 0 {
				spare = list
				break
			}
			wrote := false
			for _, c := range list {
				wrote = s.flush(c) || wrote
			}
			if !wrote {
				time.Sleep(200 * time.Microsecond)
			}
			spare = list
		}
	}
}

// flush writes as much as the socket of c takes. It reports whether the socket took anything.
func (s *eachShard) flush(c *eachClient) bool {
	if c.done == len(c.out) {
		s.mu.Lock()
		c.out, c.pending, c.done = c.pending, c.out[:0], 0
		s.mu.Unlock()
	}
	at := c.at
	ok := c.write(c.out[c.done:])
	c.done += int(c.at - at)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case c.gone:
		s.p.n.Add(-1)
		c.pending, c.out, c.done = nil, nil, 0 // and c stays listed, so that nothing is written any more
	case c.done == len(c.out) && len(c.pending) == 0:
		c.listed = false
	default:
		s.ready = append(s.ready, c)
	}
	return ok
}
