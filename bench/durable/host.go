package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// host is a hub and an engine.
type host struct {
	parts  parts // nil in memory
	hub    *nodebus.Hub
	engine *flow.Engine
	made   atomic.Int64 // prompts
	stop   func() error // ends Run
}

// The limits are far away, so that no turn drops what an earlier turn has kept.
var (
	queueOptions = &flow.QueueOptions{Len: 1 << 20, Bytes: 1 << 30, PerClient: 1 << 20}
	storeOptions = &flow.StoreOptions{Len: 1 << 20}
	hubLimits    = nodebus.HubOptions{KeepLen: 1 << 22, KeepBytes: 1 << 30, Retain: time.Hour, QueueLen: 1 << 20, QueueBytes: 1 << 30}
)

// newHost returns a host whose parts are in a folder, or in memory.
func newHost(b *backend, dir string) (*host, error) {
	if b.open == nil {
		return hostOf(nil), nil
	}
	p, err := b.open(dir)
	if err != nil {
		return nil, err
	}
	return hostOf(p), nil
}

// hostOf returns a host with parts. If p is nil, they are in memory.
func hostOf(p parts) *host {
	h := &host{parts: p, stop: func() error { return nil }}
	limits, opts := hubLimits, &flow.EngineOptions{Queue: flow.NewQueue(queueOptions), Store: flow.NewStore(storeOptions), Parallel: 32, PerClient: 32}
	if p != nil {
		limits.Log = p.Log()
		opts.Queue, opts.Store, opts.Signals = p.Queue(), p.Store(), p.Signals()
	}
	r := flow.NewRegistry()
	flow.Register(r, step{}, nodebus.Info{Name: "Step"})
	flow.Register(r, last{}, nodebus.Info{Name: "Last", Output: true})
	opts.Executor = flow.NewLocal(r, &flow.LocalOptions{Cache: flow.NoCache()})
	h.hub = nodebus.NewHub(&limits)
	h.engine = flow.NewEngine(r, h.hub, opts)
	return h
}

// run runs the engine until close.
func (h *host) run() {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- h.engine.Run(ctx) }()
	h.stop = func() error {
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	}
}

func (h *host) close() error {
	err := errors.Join(h.stop(), h.hub.Close())
	if h.parts != nil {
		err = errors.Join(err, h.parts.Close())
	}
	return err
}

// step and last are nodes that do nothing.
type step struct {
	Prev int `in:"prev,optional"`
	Text string
}

func (s step) Run(*nodebus.Context) (int, error) { return s.Prev + len(s.Text), nil }

type last struct{ step }

func (l last) Run(ctx *nodebus.Context) (int, error) { return l.step.Run(ctx) }

// prompt returns a new prompt: a chain of ten nodes, about a kilobyte of JSON.
func (h *host) prompt() *nodebus.Prompt {
	n := int(h.made.Add(1))
	var nodes nodebus.Nodes
	for i := range 10 {
		spec := nodebus.NodeSpec{ID: strconv.Itoa(i), Class: "Step", Inputs: nodebus.Inputs{"text": "a text of some length"}}
		if i > 0 {
			spec.Inputs["prev"] = nodebus.Link{Node: strconv.Itoa(i - 1)}
		}
		if i == 9 {
			spec.Class = "Last"
		}
		nodes = append(nodes, spec)
	}
	return &nodebus.Prompt{ID: promptID(n), ClientID: "c" + strconv.Itoa(n%100), Nodes: nodes}
}

// promptID returns an id as long as a UUID.
func promptID(n int) string {
	return "4f1c2a9e-7b3d-4c55-9a86-" + strconv.Itoa(100_000_000_000+n)
}

// promptBytes returns about the bytes of a prompt in a backend: its JSON, and 8 more.
func promptBytes() ([]byte, error) {
	text, err := json.Marshal((&host{}).prompt())
	return append(make([]byte, 8), text...), err
}

// row is the payload of the events: about 120 bytes of JSON.
type row struct {
	Node   string `json:"node"`
	Prompt string `json:"prompt_id"`
	Text   string `json:"text"`
}

// EventType implements [nodebus.Payload].
func (row) EventType() string { return "bench.row" }

// event returns an event of a prompt of client c0.
func event(prompt int) nodebus.Event {
	id := promptID(prompt)
	return nodebus.Event{PromptID: id, To: "c0", Payload: row{"7", id, "some words about what a node has done"}}
}

// eventBytes returns about the bytes of such an event in a backend: its JSON, and the
// prompt, the client, the attempt, the time and the type.
func eventBytes() ([]byte, error) {
	ev := event(0)
	text, err := json.Marshal(map[string]any{"type": ev.Payload.EventType(), "data": ev.Payload})
	return append(make([]byte, len(ev.PromptID)+24), text...), err
}

// counter counts what a hub delivers in the process.
type counter struct {
	n    atomic.Int64
	want atomic.Int64
	full chan struct{}
	stop func() error
}

func newCounter(h *nodebus.Hub) *counter {
	c := &counter{full: make(chan struct{}, 1)}
	c.want.Store(math.MaxInt64)
	c.stop = nodebus.On(h, func(_ nodebus.Event, p nodebus.Payload) {
		if p.EventType() == (row{}).EventType() { // of another host, it is a nodebus.Custom
			c.add(1)
		}
	})
	return c
}

func (c *counter) add(n int) {
	if c.n.Add(int64(n)) == c.want.Load() {
		c.full <- struct{}{}
	}
}

// expect says that n more will come, and returns a function that waits for them.
func (c *counter) expect(n int) (wait func() error) {
	c.want.Store(c.n.Load() + int64(n))
	return func() error {
		select {
		case <-c.full:
			return nil
		case <-time.After(startTime):
			return fmt.Errorf("%d of %d events are missing", c.want.Load()-c.n.Load(), n)
		}
	}
}
