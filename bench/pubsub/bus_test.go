// Package pubsub compares libraries that publish events to listeners in the same
// process. A measurement ends when every listener has received every event.
package pubsub

import (
	"runtime"
	"sync/atomic"
)

// event is the event that all peers carry, by value and with its type.
type event struct {
	Prompt, Node string
	Value, Max   float64
}

var sample = event{"4f1c2a9e-7b3d-4c55-9a86-0d2e5b7c1f34", "17", 3, 20}

// bus is a peer. All listeners are added before the first event is published.
type bus struct {
	listen  func(func(event))
	publish func(event)
	close   func() // may be nil
}

// peer names a bus and makes it. In an asynchronous peer, publish returns before the
// listeners have run; such a peer queues each event for every listener.
type peer struct {
	name string
	make func() bus
}

var peers = []peer{
	{"limit-funcs", funcs},
	{"limit-cow", copyOnWrite},
	{"channels", channels},
	{"EventBus", eventBus},
	{"watermill-ack", func() bus { return watermill(true) }},
	{"watermill-async", func() bus { return watermill(false) }},
	{"nodebus", func() bus { return hub(progress) }},
	{"nodebus-prompt", func() bus { return hub(progressOfPrompt) }},
	{"nodebus-own", func() bus { return hub(ownPayload) }},
	{"nodebus-own-prompt", func() bus { return hub(ownPayloadOfPrompt) }},
}

// counter is a listener that counts events. It fills a whole cache line, so that
// counters do not share one.
type counter struct {
	n atomic.Int64
	_ [56]byte
}

func (c *counter) on(e event) {
	if e.Max != 0 {
		c.n.Add(1)
	}
}

// maxLag limits how many events the publisher may be ahead of a listener. It protects
// peers without a limit of their own, and is lower than the limits of the other peers.
const maxLag = 1 << 14

// gang is a bus whose listeners are counters.
type gang struct {
	bus
	counters []counter
	sent     int64
}

func newGang(b bus, listeners int) *gang {
	g := &gang{bus: b, counters: make([]counter, listeners)}
	for i := range g.counters {
		g.listen(g.counters[i].on)
	}
	return g
}

func (g *gang) send(e event) {
	g.publish(e)
	if g.sent++; g.sent%1024 == 0 {
		g.wait(g.sent - maxLag)
	}
}

// wait returns when every listener has received n events.
func (g *gang) wait(n int64) {
	for i := range g.counters {
		for g.counters[i].n.Load() < n {
			runtime.Gosched()
		}
	}
}

func (g *gang) end() {
	g.wait(g.sent)
	if g.close != nil {
		g.close()
	}
}
