package conform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Executor tests a [nodebus.Executor] against its contract, with an engine. fresh returns
// an executor for the classes of a registry. The graphs contain only plain inputs and
// links: no lazy inputs, lists, blocking or expansion.
func Executor(t *testing.T, fresh func(r *flow.Registry) nodebus.Executor) {
	tests := map[string]func(*testing.T, *host){
		"links carry values":                       executesGraph,
		"events of a node belong to its prompt":    executesSender,
		"the error names the failed node":          executesFailure,
		"a node that panics is its prompt's error": executesPanic,
		"it ends when its context ends":            executesInterrupt,
		"it is safe for concurrent use":            executesMany,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			h := newHost(fresh)
			defer h.stop(t)
			test(t, h)
		})
	}
}

// host is an engine with the executor under test.
type host struct {
	hub    *nodebus.Hub
	engine *flow.Engine
	began  chan struct{} // receives when the node Wait has begun
	stop   func(t *testing.T)
}

func newHost(fresh func(r *flow.Registry) nodebus.Executor) *host {
	h := &host{hub: nodebus.NewHub(nil), began: make(chan struct{}, 1)}
	r := flow.NewRegistry()
	flow.Register(r, sum{}, nodebus.Info{Name: "Sum"})
	flow.Register(r, show{}, nodebus.Info{Name: "Show"})
	flow.Register(r, speak{}, nodebus.Info{Name: "Speak"})
	flow.Register(r, fail{}, nodebus.Info{Name: "Fail"})
	flow.Register(r, wait{began: h.began}, nodebus.Info{Name: "Wait"})
	h.engine = flow.NewEngine(r, h.hub, &flow.EngineOptions{Executor: fresh(r), Parallel: 8, PerClient: 8})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.engine.Run(ctx)
	}()
	h.stop = func(t *testing.T) {
		cancel()
		within(t, "ending", func() { <-ended })
		_ = h.hub.Close()
	}
	return h
}

type (
	sum   struct{ A, B int }
	show  struct{ Value any }
	speak struct{ Text string }
	fail  struct{ Panic bool }
	wait  struct{ began chan struct{} }
)

func (n sum) Run(*nodebus.Context) (int, error) { return n.A + n.B, nil }

func (n show) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.Value)), nil
}

func (n speak) Run(ctx *nodebus.Context) (string, error) {
	return n.Text, ctx.SendSync(nodebus.Custom{Type: "conform.said", Data: []string{ctx.UniqueID(), n.Text}})
}

var errFail = errors.New("conform: intended failure")

func (n fail) Run(*nodebus.Context) (any, error) {
	if n.Panic {
		panic("conform: intended failure")
	}
	return nil, errFail
}

func (n wait) Run(ctx *nodebus.Context) (int, error) {
	n.began <- struct{}{}
	<-ctx.Done()
	return 0, context.Cause(ctx)
}

// outcome holds the events and the record of a prompt.
type outcome struct {
	id     string
	events []nodebus.Event
	record flow.Record
}

// run runs a graph to its end. If meanwhile is not nil, run calls it with the prompt's id
// after the submission.
func (h *host) run(t *testing.T, g *nodebus.Graph, meanwhile func(id string)) (o outcome) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	events := h.hub.Subscribe(ctx)
	id, err := h.engine.Submit(ctx, &nodebus.Prompt{ClientID: "client", Nodes: g.Nodes()})
	if err != nil {
		t.Errorf("submit: %v", err)
		return o
	}
	o.id = id
	if meanwhile != nil {
		meanwhile(id)
	}
	within(t, "running the graph", func() {
		for ev, err := range events {
			if err != nil {
				t.Errorf("events: %v", err)
				return
			}
			if ev.PromptID != id {
				continue
			}
			o.events = append(o.events, ev)
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
				return
			}
		}
	})
	if o.record, err = h.engine.Store().Get(ctx, id); err != nil {
		t.Errorf("record: %v", err)
	}
	return o
}

// order lists the events about nodes, each as "type node".
func (o outcome) order() (all []string) {
	for _, ev := range o.events {
		switch p := ev.Payload.(type) {
		case nodebus.Executing:
			all = append(all, "executing "+p.UniqueID)
		case nodebus.Executed:
			all = append(all, "executed "+p.UniqueID)
		case nodebus.Custom:
			all = append(all, "said")
		}
	}
	return all
}

// before reports a test error unless all these events happened in this order.
func (o outcome) before(t *testing.T, things ...string) {
	t.Helper()
	all := o.order()
	at := -1
	for _, thing := range things {
		i := slices.Index(all, thing)
		if i <= at {
			t.Errorf("%q is missing or too early in the events %q", thing, all)
			return
		}
		at = i
	}
}

// shows reports a test error unless the prompt succeeded and its node "show" showed text.
func (o outcome) shows(t *testing.T, text string) {
	t.Helper()
	if o.record.State != nodebus.Succeeded {
		t.Errorf("the prompt ended as %q: %+v", o.record.State, o.record.Error)
		return
	}
	for _, out := range o.record.Outputs {
		if out.UniqueID == "show" && len(out.UI["text"]) == 1 && out.UI["text"][0] == text {
			return
		}
	}
	t.Errorf("no output of node \"show\" in the record shows %q: %+v", text, o.record.Outputs)
}

// sums returns a graph that adds a and b, adds c, and shows the result.
func sums(a, b, c int) *nodebus.Graph {
	g := nodebus.NewGraph()
	first := g.AddAs("first", "Sum", nodebus.Inputs{"a": a, "b": b})
	g.AddAs("show", "Show", nodebus.Inputs{"value": g.AddAs("second", "Sum", nodebus.Inputs{"a": first, "b": c})})
	return g
}

func executesGraph(t *testing.T, h *host) {
	o := h.run(t, sums(1, 2, 4), nil)
	o.shows(t, "7")
	o.before(t, "executing first", "executing second", "executing show", "executed show", "executing ")
}

func executesSender(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	g.AddAs("show", "Show", nodebus.Inputs{"value": g.AddAs("speak", "Speak", nodebus.Inputs{"text": "hello"})})
	o := h.run(t, g, nil)
	o.shows(t, "hello")
	o.before(t, "executing speak", "said", "executing show", "executing ")
	for _, ev := range o.events {
		if said, ok := ev.Payload.(nodebus.Custom); ok && (ev.To != "client" || fmt.Sprint(said.Data) != "[speak hello]") {
			t.Errorf("the event has data %v and client %q, want [speak hello] and \"client\"", said.Data, ev.To)
		}
	}
}

// failing returns a graph in which one node fails and another node waits for it.
func failing(panics bool) *nodebus.Graph {
	g := nodebus.NewGraph()
	g.AddAs("show", "Show", nodebus.Inputs{"value": g.AddAs("fail", "Fail", nodebus.Inputs{"panic": panics})})
	return g
}

func executesFailure(t *testing.T, h *host) {
	o := h.run(t, failing(false), nil)
	o.blames(t, errFail.Error())
	h.run(t, sums(1, 2, 3), nil).shows(t, "6")
}

func executesPanic(t *testing.T, h *host) {
	o := h.run(t, failing(true), nil)
	o.blames(t, "intended failure")
	h.run(t, sums(1, 2, 3), nil).shows(t, "6")
}

// blames reports a test error unless the prompt ended with the error of its node "fail",
// and no node that depends on it ran.
func (o outcome) blames(t *testing.T, text string) {
	t.Helper()
	e := o.record.Error
	switch {
	case o.record.State != nodebus.Failed || e == nil:
		t.Errorf("the prompt ended as %q", o.record.State)
	case e.NodeID != "fail" || e.Class != "Fail" || !strings.Contains(e.ExceptionMessage, text):
		t.Errorf("the error is %q of node %q (%s)", e.ExceptionMessage, e.NodeID, e.Class)
	}
	if slices.Contains(o.order(), "executing show") {
		t.Errorf("a node that depends on the failed node ran: %q", o.order())
	}
}

func executesInterrupt(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	g.AddAs("show", "Show", nodebus.Inputs{"value": g.AddAs("wait", "Wait", nil)})
	o := h.run(t, g, func(id string) {
		within(t, "beginning", func() { <-h.began })
		if !h.engine.Interrupt(id) {
			t.Error("Interrupt does not find the running prompt")
		}
	})
	if o.record.State != nodebus.Interrupted {
		t.Errorf("the prompt ended as %q: %+v", o.record.State, o.record.Error)
	}
	h.run(t, sums(1, 2, 3), nil).shows(t, "6")
}

func executesMany(t *testing.T, h *host) {
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() { h.run(t, sums(i, i, 1), nil).shows(t, fmt.Sprint(2*i+1)) })
	}
	all.Wait()
}
