// Package pubsub compares ways of telling listeners in the same process of an
// event: each publishes and is done when every listener has had everything.
package pubsub

import (
	"runtime"
	"sync/atomic"
)

// event is what all peers carry, by value and with its type.
type event struct {
	Prompt, Node string
	Value, Max   float64
}

var sample = event{"4f1c2a9e-7b3d-4c55-9a86-0d2e5b7c1f34", "17", 3, 20}

// bus is a peer. Listeners are added before anything is published.
type bus struct {
	listen  func(func(event))
	publish func(event)
	close   func() // may be nil
}

// peer is how a bus is made. Those that keep each event for every listener are
// asynchronous: publish returns before the listeners have run.
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

// counter is a listener, on a cache line of its own.
type counter struct {
	n atomic.Int64
	_ [56]byte
}

func (c *counter) on(e event) {
	if e.Max != 0 {
		c.n.Add(1)
	}
}

// maxLag is how far the publisher may be ahead, for peers without a bound, and
// below that of peers with one.
const maxLag = 1 << 14

// gang is a bus with listeners that count.
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

// wait returns when every listener has had n events.
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
