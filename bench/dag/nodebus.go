package main

import (
	"context"
	"errors"
	"strconv"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// node calls f with its number, and returns its number as its output.
type node struct {
	I    int
	Prev int `in:"prev,optional"`
	f    func(int)
}

func (n node) Run(*nodebus.Context) (int, error) {
	n.f(n.I)
	return n.I, nil
}

// last is a node without successors: an output of the prompt.
type last struct{ node }

func (n last) Run(ctx *nodebus.Context) (int, error) { return n.node.Run(ctx) }

// join is a node that has several predecessors, at most four.
type join struct {
	node
	Prev1 int `in:"prev1,optional"`
	Prev2 int `in:"prev2,optional"`
	Prev3 int `in:"prev3,optional"`
}

// sink is a node that has any number of predecessors.
type sink struct {
	node
	More []nodebus.Named[int] `in:",rest"`
}

func (n sink) Run(ctx *nodebus.Context) (int, error) { return n.node.Run(ctx) }

func (n join) Run(ctx *nodebus.Context) (int, error) { return n.node.Run(ctx) }

// lastJoin is a node with several predecessors and without successors.
type lastJoin struct{ join }

func (n lastJoin) Run(ctx *nodebus.Context) (int, error) { return n.node.Run(ctx) }

// nodebusRunner runs a Local without a cache and with two workers. If told is true, the
// events go to a hub with one subscriber, and a run ends when the subscriber has received
// all events. If told is false, the events are discarded.
func nodebusRunner(told bool) func(g *graph, f func(int)) (run, end func()) {
	return func(g *graph, f func(int)) (run, end func()) {
		_, local := newLocal(f)
		prompt := &nodebus.Prompt{ClientID: "c", Nodes: promptNodes(g)}
		prepared, err := local.Prepare(context.Background(), prompt)
		must(err)
		var pub nodebus.Publisher = nobody{}
		listen, end := nothing, nothing
		if told {
			h := nodebus.NewHub(&nodebus.HubOptions{KeepLen: keepLen, KeepBytes: keepBytes})
			pub = h
			listen, end = subscribe(h)
		}
		runs := 0
		return func() {
			runs++
			prompt.ID = strconv.Itoa(runs)
			_, err := local.Execute(context.Background(), nodebus.Job{Prompt: prompt, Attempt: 1, Prepared: prepared}, pub)
			must(err)
			must(pub.Publish(nodebus.Event{PromptID: prompt.ID, To: prompt.ClientID, Payload: nodebus.Executing{PromptID: prompt.ID}}))
			listen()
		}, end
	}
}

// newLocal returns a Local without a cache, with two workers and the classes of the nodes.
func newLocal(f func(int)) (*flow.Registry, *flow.Local) {
	r := flow.NewRegistry()
	flow.Register(r, node{f: f}, nodebus.Info{Name: "Node"})
	flow.Register(r, last{node{f: f}}, nodebus.Info{Name: "Last", Output: true})
	flow.Register(r, join{node: node{f: f}}, nodebus.Info{Name: "Join"})
	flow.Register(r, lastJoin{join{node: node{f: f}}}, nodebus.Info{Name: "LastJoin", Output: true})
	flow.Register(r, sink{node: node{f: f}}, nodebus.Info{Name: "Sink", Output: true})
	return r, flow.NewLocal(r, &flow.LocalOptions{Cache: flow.NoCache(), Workers: workers})
}

// submitted submits each run to an Engine as a new prompt: it is checked and planned, waits
// in the queue, and the store keeps its record. Nobody listens, but the hub keeps the events
// for clients that come back.
func submitted(g *graph, f func(int)) (run, end func()) {
	r, local := newLocal(f)
	h := nodebus.NewHub(nil)
	e := flow.NewEngine(r, h, &flow.EngineOptions{Executor: local, Store: flow.NewStore(&flow.StoreOptions{Len: keptRecords})})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- e.Run(ctx) }()
	nodes := promptNodes(g)
	return func() {
			s, err := e.Submit(ctx, &nodebus.Prompt{ClientID: "c", Nodes: nodes}, nil)
			must(err)
			_, err = s.Wait(ctx)
			must(err)
		}, func() {
			cancel()
			if err := <-ended; !errors.Is(err, context.Canceled) {
				must(err)
			}
			must(h.Close())
		}
}

// keptRecords limits the records of submitted, so that the collector has the same to do in
// each run.
const keptRecords = 10

// keepLen and keepBytes are larger than the defaults. They limit how far the subscriber
// may be behind. On a busy machine the events of 100 000 nodes can come faster than the
// subscriber gets a processor.
const (
	keepLen   = 1 << 21
	keepBytes = 1 << 30
)

// promptNodes returns g as the nodes of a prompt. The first link of a node goes to the
// declared input prev, further links to prev1 and so on.
func promptNodes(g *graph) nodebus.Nodes {
	out := nodebus.NewGraph()
	for i := range g.n {
		in := nodebus.Inputs{"i": i}
		for k, p := range g.pred[i] {
			name := "prev"
			if k > 0 {
				name += strconv.Itoa(k)
			}
			in[name] = out.Link(strconv.Itoa(int(p)))
		}
		class, last := "Node", len(g.succ[i]) == 0
		switch several := len(g.pred[i]) > 1; {
		case len(g.pred[i]) > 4:
			class = "Sink"
		case several && last:
			class = "LastJoin"
		case several:
			class = "Join"
		case last:
			class = "Last"
		}
		out.AddAs(strconv.Itoa(i), class, in)
	}
	return out.Nodes()
}

// subscribe reads the events of a hub. wait returns when the subscriber has received the
// event that ends a prompt.
func subscribe(h *nodebus.Hub) (wait, end func()) {
	events := h.Subscribe(context.Background())
	over, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for ev, err := range events {
			must(err)
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
				over <- struct{}{}
			}
		}
	}()
	return func() { <-over }, func() {
		must(h.Close())
		<-done
	}
}

// nobody is a Publisher that discards all events.
type nobody struct{}

func (nobody) Publish(nodebus.Event) error { return nil }
