package conform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Claims lists what an executor can do beyond the contract of [nodebus.Executor].
// [Executor] tests each ability that is claimed and skips the others. Nil claims
// nothing.
type Claims struct {
	Lazy      bool // lazy inputs: what no node asks for does not run
	Expansion bool // nodes may make nodes, with Eval and with Out.Graph, and name nodes of the prompt there
	Hidden    bool // nodes get hidden inputs, secrets included
	Values    bool // links carry any Go value, also one that has no form in JSON
	Lists     bool // List inputs and outputs; a node without List inputs is called for each element
	Blocking  bool // Block stops what depends on an output, and nothing else
	Throttled bool // many progress reports become few events, and the last one is sent
	Snapshots bool // progress_state events show the state of each node
	Cached    bool // a prompt that is run again is cached, and execution_cached lists its nodes
	Continues bool // after an error, a prompt whose Policy says so goes on with what does not need the failed node
	Dynamic   bool // inputs that grow, that follow from a choice, or that no class declares
	Nodes     bool // the report describes each node: when it ran, and whether it was cached, blocked or skipped
}

// AllClaims claims everything.
func AllClaims() *Claims {
	return &Claims{
		Lazy: true, Expansion: true, Hidden: true, Values: true, Lists: true, Blocking: true,
		Throttled: true, Snapshots: true, Cached: true, Continues: true, Dynamic: true, Nodes: true,
	}
}

// Executor tests a [nodebus.Executor] against its contract, with an engine. fresh
// returns an executor for the classes of r, which are the classes that [Register]
// adds. The suite reads only events and records, so that the nodes may run in another
// process.
func Executor(t *testing.T, fresh func(t *testing.T, r *flow.Registry) nodebus.Executor, claims *Claims) {
	if claims == nil {
		claims = &Claims{}
	}
	contract := map[string]func(*testing.T, *host){
		"links carry values":                       executesGraph,
		"only the chosen outputs run":              executesOutputs,
		"a node knows its place and its prompt":    executesContext,
		"what a node sends reaches the client":     executesMessages,
		"a text is whole before its node ends":     executesText,
		"events reach nobody but the submitter":    executesPrivately,
		"the error names the failed node":          executesFailure,
		"a node that panics is its prompt's error": executesPanic,
		"a node may interrupt its prompt":          executesOwnInterrupt,
		"it ends when its context ends":            executesInterrupt,
		"it is safe for concurrent use":            executesMany,
	}
	for name, test := range contract {
		t.Run(name, func(t *testing.T) { test(t, newHost(t, fresh)) })
	}
	abilities := map[string]struct {
		claimed bool
		test    func(*testing.T, *host)
	}{
		"lazy inputs":        {claims.Lazy, executesLazy},
		"expansion":          {claims.Expansion, executesExpansion},
		"hidden inputs":      {claims.Hidden, executesHidden},
		"any Go value":       {claims.Values, executesValues},
		"lists":              {claims.Lists, executesLists},
		"blocking":           {claims.Blocking, executesBlocking},
		"throttled progress": {claims.Throttled, executesThrottled},
		"snapshots":          {claims.Snapshots, executesSnapshots},
		"cached nodes":       {claims.Cached, executesCached},
		"going on":           {claims.Continues, executesOn},
		"dynamic inputs":     {claims.Dynamic, executesDynamic},
		"reports of nodes":   {claims.Nodes, executesReports},
	}
	for name, ability := range abilities {
		t.Run(name, func(t *testing.T) {
			if !ability.claimed {
				t.Skipf("this executor does not claim: %s", name)
			}
			ability.test(t, newHost(t, fresh))
		})
	}
}

// host is an engine with the executor under test.
type host struct {
	hub    *nodebus.Hub
	engine *flow.Engine
}

func newHost(t *testing.T, fresh func(t *testing.T, r *flow.Registry) nodebus.Executor) *host {
	r := flow.NewRegistry()
	Register(r)
	h := &host{hub: nodebus.NewHub(nil)}
	x := &watched{Executor: fresh(t, r), registry: r}
	h.engine = flow.NewEngine(r, h.hub, &flow.EngineOptions{Executor: x, Parallel: 8, PerClient: 8})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = h.engine.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		within(t, "ending the engine", func() { <-ended })
		_ = h.hub.Close()
		x.report(t)
	})
	return h
}

// watched is the executor under test. It notes events that are published after Execute
// has returned.
type watched struct {
	nodebus.Executor
	registry *flow.Registry

	mu   sync.Mutex
	late []string
}

func (w *watched) Prepare(ctx context.Context, p *nodebus.Prompt) (any, error) {
	if x, ok := w.Executor.(nodebus.Preparer); ok {
		return x.Prepare(ctx, p)
	}
	return w.registry.Prepare(ctx, p)
}

func (w *watched) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	p := &watchedPublisher{Publisher: pub, w: w}
	defer p.over.Store(true)
	return w.Executor.Execute(ctx, job, p)
}

// report reports the events that came too late.
func (w *watched) report(t *testing.T) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.late) > 0 {
		t.Errorf("%d events were published after Execute had returned, the first one is %q", len(w.late), w.late[0])
	}
}

type watchedPublisher struct {
	nodebus.Publisher
	w    *watched
	over atomic.Bool
}

func (p *watchedPublisher) Publish(ev nodebus.Event) error {
	if p.over.Load() {
		p.w.mu.Lock()
		p.w.late = append(p.w.late, ev.Payload.EventType())
		p.w.mu.Unlock()
	}
	return p.Publisher.Publish(ev)
}

// outcome holds the events and the record of a prompt.
type outcome struct {
	events []nodebus.Event
	record flow.Record
}

// run runs a graph to its end.
func (h *host) run(t *testing.T, g *nodebus.Graph) outcome {
	t.Helper()
	return h.submit(t, &nodebus.Prompt{Nodes: g.Nodes()}, nil, nil)
}

// submit runs a prompt to its end. If each is not nil, submit calls it with each event
// of the prompt.
func (h *host) submit(t *testing.T, p *nodebus.Prompt, opts *flow.SubmitOptions, each func(nodebus.Event)) (o outcome) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	p.ClientID = "client"
	events := h.hub.Subscribe(ctx)
	s, err := h.engine.Submit(ctx, p, opts)
	if err != nil {
		t.Fatalf("submit: %v", err)
	}
	within(t, "running the graph", func() {
		for ev, err := range events {
			if err != nil {
				t.Errorf("events: %v", err)
				return
			}
			if ev.PromptID != s.ID {
				continue
			}
			o.events = append(o.events, ev)
			if each != nil {
				each(ev)
			}
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
				return
			}
		}
	})
	if o.record, err = h.engine.Store().Get(ctx, s.ID); err != nil {
		t.Fatalf("record: %v", err)
	}
	o.check(t)
	return o
}

// check checks the events that every prompt has, and their order.
func (o outcome) check(t *testing.T) {
	t.Helper()
	all := o.order()
	if len(all) < 2 || all[0] != "execution_start" || all[1] != "execution_cached" {
		t.Errorf("the events do not begin with execution_start and execution_cached: %q", all)
	}
	began := map[string]bool{}
	for i, ev := range o.events {
		if ev.To != "client" {
			t.Errorf("event %d (%s) is for client %q, want the submitter", i, all[i], ev.To)
		}
		switch p := ev.Payload.(type) {
		case nodebus.ExecutionCached:
			if i != 1 {
				t.Errorf("execution_cached is event %d of %q", i, all)
			}
			for _, id := range p.Nodes {
				began[id] = true
			}
		case nodebus.Executing:
			began[p.UniqueID] = true
		case nodebus.Executed:
			if !began[p.UniqueID] {
				t.Errorf("node %s was executed, but neither executing nor cached: %q", p.UniqueID, all)
			}
		}
	}
}

// order lists the events, those about a node as "type node".
func (o outcome) order() (all []string) {
	for _, ev := range o.events {
		thing := ev.Payload.EventType()
		switch p := ev.Payload.(type) {
		case nodebus.Executing:
			thing += " " + p.UniqueID
		case nodebus.Executed:
			thing += " " + p.UniqueID
		case nodebus.Progress:
			thing += " " + p.UniqueID
		}
		all = append(all, thing)
	}
	return all
}

// before reports a test error unless all these events happened in this order.
func (o outcome) before(t *testing.T, things ...string) {
	t.Helper()
	all := o.order()
	at := -1
	for _, thing := range things {
		i := slices.Index(all[at+1:], thing)
		if i < 0 {
			t.Errorf("%q is missing or too early in the events %q", thing, all)
			return
		}
		at += 1 + i
	}
}

// ran reports whether a node began.
func (o outcome) ran(id string) bool { return slices.Contains(o.order(), "executing "+id) }

// shows reports a test error unless the prompt succeeded and a node showed these lines.
func (o outcome) shows(t *testing.T, node string, lines ...any) {
	t.Helper()
	if o.record.State != nodebus.Succeeded {
		t.Errorf("the prompt ended as %q: %+v", o.record.State, o.record.Error)
		return
	}
	want := fmt.Sprintf("%v", lines)
	end := o.record.Outcome()
	if got := fmt.Sprint(end.Output(node)["text"]); got != want {
		t.Errorf("node %q shows %s in the record, want %s", node, got, want)
	}
	for _, ev := range o.events {
		if p, ok := ev.Payload.(nodebus.Executed); ok && p.UniqueID == node && fmt.Sprint(p.Output["text"]) == want {
			return
		}
	}
	t.Errorf("no executed event of node %q shows %s: %q", node, want, o.order())
}

// blames reports a test error unless the prompt ended with the error of its node "fail",
// and no node that depends on it ran.
func (o outcome) blames(t *testing.T, text string) {
	t.Helper()
	e := o.record.Error
	switch {
	case o.record.State != nodebus.Failed || e == nil:
		t.Errorf("the prompt ended as %q", o.record.State)
	case e.NodeID != "fail" || e.Class != "conform.Fail" || !strings.Contains(e.ExceptionMessage, text):
		t.Errorf("the error is %q of node %q (%s)", e.ExceptionMessage, e.NodeID, e.Class)
	}
	if o.ran("show") {
		t.Errorf("a node that depends on the failed node ran: %q", o.order())
	}
}

// sums returns a graph that adds a and b, adds c, and shows the result.
func sums(a, b, c int) *nodebus.Graph {
	g := nodebus.NewGraph()
	first := g.AddAs("first", "conform.Sum", nodebus.Inputs{"a": a, "b": b})
	second := g.AddAs("second", "conform.Sum", nodebus.Inputs{"a": first, "b": c})
	g.AddAs("show", "conform.Show", nodebus.Inputs{"value": second})
	return g
}

// shown returns a graph with a node "show" that shows the output of a node.
func shown(id, class string, in nodebus.Inputs) *nodebus.Graph {
	g := nodebus.NewGraph()
	g.AddAs("show", "conform.Show", nodebus.Inputs{"value": g.AddAs(id, class, in)})
	return g
}

// encoded returns an event as clients receive it.
func encoded(t *testing.T, ev nodebus.Event) string {
	t.Helper()
	f, err := nodebus.JSON.Encode(ev)
	if err != nil && !errors.Is(err, nodebus.ErrClosed) {
		t.Errorf("encoding %s: %v", ev.Payload.EventType(), err)
	}
	return string(f.Data)
}
