package main

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
)

// host is a hub and an engine, in memory or over a file.
type host struct {
	db     *bolt.DB // nil in memory
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

func fileName(dir string) string { return filepath.Join(dir, "nodebus.db") }

func openDB(dir string) (*bolt.DB, error) {
	return bolt.Open(fileName(dir), &bolt.Options{Queue: queueOptions, Store: storeOptions, Log: &hubLimits})
}

// newHost returns a host in memory if dir is empty.
func newHost(dir string) (h *host, err error) {
	h = &host{stop: func() error { return nil }}
	limits, opts := hubLimits, &flow.EngineOptions{Queue: flow.NewQueue(queueOptions), Store: flow.NewStore(storeOptions), Parallel: 32, PerClient: 32}
	if dir != "" {
		if h.db, err = openDB(dir); err != nil {
			return nil, err
		}
		limits.Log = h.db.Log()
		opts.Queue, opts.Store, opts.Signals = h.db.Queue(), h.db.Store(), h.db.Signals()
	}
	r := flow.NewRegistry()
	flow.Register(r, step{}, nodebus.Info{Name: "Step"})
	flow.Register(r, last{}, nodebus.Info{Name: "Last", Output: true})
	opts.Executor = flow.NewLocal(r, &flow.LocalOptions{Cache: flow.NoCache()})
	h.hub = nodebus.NewHub(&limits)
	h.engine = flow.NewEngine(r, h.hub, opts)
	return h, nil
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
	if h.db != nil {
		err = errors.Join(err, h.db.Close())
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

// promptBytes returns the bytes of a prompt in the file: its JSON, and 8 more.
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

// eventBytes returns about the bytes of such an event in the file: its JSON, and the
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
	c.stop = nodebus.On(h, func(nodebus.Event, row) { c.add(1) })
	return c
}

func (c *counter) add(n int) {
	if c.n.Add(int64(n)) == c.want.Load() {
		c.full <- struct{}{}
	}
}

// expect says that n more will come, and returns a function that waits for them.
func (c *counter) expect(n int) (wait func()) {
	c.want.Store(c.n.Load() + int64(n))
	return func() { <-c.full }
}
