package main

import (
	"sync"
	"sync/atomic"
	"time"
)

// pool is the limit: the least code that can run a graph. It counts down in-degrees
// and has two workers, each with its own stack of ready nodes. A worker continues with
// the first successor that becomes ready. It shares half of its stack only while
// another worker is idle.
type pool struct {
	g    *graph
	wait []atomic.Int32
	f    func(int)
	left atomic.Int64
	idle atomic.Int32

	mu    sync.Mutex
	work  sync.Cond
	share []int32
}

const workers = 2

func newPool(g *graph, f func(int)) *pool {
	p := &pool{g: g, f: f, wait: make([]atomic.Int32, g.n)}
	p.work.L = &p.mu
	return p
}

func nothing() {}

func limit(g *graph, f func(int)) (run, end func()) { return newPool(g, f).run, nothing }

func (p *pool) run() {
	p.share = p.share[:0]
	for i := range p.wait {
		n := len(p.g.pred[i])
		p.wait[i].Store(int32(n))
		if n == 0 {
			p.share = append(p.share, int32(i))
		}
	}
	p.left.Store(int64(p.g.n))
	p.idle.Store(0)
	var all sync.WaitGroup
	for range workers {
		all.Go(p.worker)
	}
	all.Wait()
}

func (p *pool) worker() {
	var own []int32
	for {
		done := 0
		for len(own) > 0 {
			next := own[len(own)-1]
			own = own[:len(own)-1]
			for next >= 0 {
				p.f(int(next))
				done++
				next, own = p.release(next, own)
			}
		}
		var more bool
		if own, more = p.fetch(own, done); !more {
			return
		}
	}
}

// release counts down the successors of node i. It returns a ready successor, or -1,
// and pushes the other ready successors on the stack own.
func (p *pool) release(i int32, own []int32) (next int32, _ []int32) {
	next = -1
	for _, s := range p.g.succ[i] {
		if p.wait[s].Add(-1) > 0 {
			continue
		}
		if next < 0 {
			next = s
		} else {
			own = append(own, s)
		}
	}
	if len(own) > 1 && p.idle.Load() > 0 {
		half := len(own) / 2
		p.mu.Lock()
		p.share = append(p.share, own[:half]...)
		p.work.Signal()
		p.mu.Unlock()
		own = append(own[:0], own[half:]...)
	}
	return next, own
}

// fetch waits for nodes that another worker shares. more is false when all nodes have
// run.
func (p *pool) fetch(own []int32, done int) (_ []int32, more bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left.Add(-int64(done)) == 0 {
		p.work.Broadcast()
		return own, false
	}
	for len(p.share) == 0 {
		if p.left.Load() == 0 {
			return own, false
		}
		p.idle.Add(1)
		p.work.Wait()
		p.idle.Add(-1)
	}
	k := min((len(p.share)+workers-1)/workers, 256)
	own = append(own, p.share[len(p.share)-k:]...)
	p.share = p.share[:len(p.share)-k]
	return own, true
}

// nodeEvent is an event of observed.
type nodeEvent struct {
	node  int32
	state uint8
	at    int64
}

// observed is the limit plus the work that a usable executor does for each node: it
// recovers from panics, reads the clock twice, stores a state and publishes two events.
func observed(g *graph, f func(int)) (run, end func()) {
	state := make([]uint8, g.n)
	took := make([]int64, g.n)
	began := time.Now()
	var told atomic.Int64
	tell := func(e *nodeEvent) {
		if e.at >= 0 {
			told.Add(1)
		}
	}
	call := func(i int) {
		defer func() {
			if recover() != nil {
				state[i] = 3
			}
		}()
		f(i)
		state[i] = 2
	}
	return newPool(g, func(i int) {
		from := time.Since(began)
		tell(&nodeEvent{int32(i), 1, int64(from)})
		call(i)
		to := time.Since(began)
		took[i] = int64(to - from)
		tell(&nodeEvent{int32(i), state[i], int64(to)})
	}).run, nothing
}

// goroutinePerNode is a common hand-written solution: a goroutine and a channel for
// each node, and a semaphore.
func goroutinePerNode(g *graph, f func(int)) (run, end func()) {
	return func() {
		done := make([]chan struct{}, g.n)
		for i := range done {
			done[i] = make(chan struct{})
		}
		slots := make(chan struct{}, workers)
		var all sync.WaitGroup
		for i := range g.n {
			all.Go(func() {
				for _, p := range g.pred[i] {
					<-done[p]
				}
				slots <- struct{}{}
				f(i)
				<-slots
				close(done[i])
			})
		}
		all.Wait()
	}, nothing
}
