package flow_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// rig is an engine for tests, whose nodes are functions. It lives inside a synctest
// bubble.
type rig struct {
	t      *testing.T
	reg    *flow.Registry
	hub    *nodebus.Hub
	local  *flow.Local
	engine *flow.Engine
	ctx    context.Context
}

// fn is a node that calls a function with up to two inputs.
type fn struct {
	In  any `in:"in,optional"`
	In2 any `in:"in2,optional"`
	f   func(ctx *nodebus.Context, in, in2 any) (any, error)
}

func (n fn) Run(ctx *nodebus.Context) (any, error) { return n.f(ctx, n.In, n.In2) }

// show is an output node. It shows its input as text.
type show struct {
	In  any `in:"in,optional"`
	In2 any `in:"in2,optional"`
}

func (n show) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(strings.TrimSpace(fmt.Sprintln(n.In))), nil
}

// inBubble runs a test with a rig and waits until everything has ended.
func inBubble(t *testing.T, local *flow.LocalOptions, opts *flow.EngineOptions, test func(r *rig)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		r := &rig{t: t, reg: flow.NewRegistry(), hub: nodebus.NewHub(nil)}
		flow.Register(r.reg, show{}, nodebus.Info{Name: "Show"})
		r.local = flow.NewLocal(r.reg, local)
		if opts == nil {
			opts = &flow.EngineOptions{}
		}
		o := *opts
		if o.Executor == nil {
			o.Executor = r.local
		}
		r.engine = flow.NewEngine(r.reg, r.hub, &o)
		ctx, cancel := context.WithCancel(t.Context())
		r.ctx = ctx
		ended := make(chan error, 1)
		go func() { ended <- r.engine.Run(ctx) }()
		test(r)
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, r.hub.Close())
	})
}

// fn registers a function as a node.
func (r *rig) fn(name string, f func(ctx *nodebus.Context, in, in2 any) (any, error)) {
	flow.Register(r.reg, fn{f: f}, nodebus.Info{Name: name})
}

// outcome holds the events and the record of a prompt.
type outcome struct {
	events []nodebus.Event
	record flow.Record
}

// types returns the types of the events, without progress snapshots.
func (o outcome) types() (types []string) {
	for _, ev := range o.events {
		switch p := ev.Payload.(type) {
		case nodebus.ProgressState:
		case nodebus.Executing:
			types = append(types, "executing "+p.UniqueID)
		case nodebus.Executed:
			types = append(types, "executed "+p.UniqueID)
		case nodebus.ExecutionCached:
			types = append(types, strings.TrimSpace("cached "+strings.Join(p.Nodes, " ")))
		case nodebus.ExecutionError:
			types = append(types, p.ExceptionType+" "+p.NodeID)
		case nodebus.ExecutionInterrupted:
			types = append(types, "interrupted "+p.NodeID)
		default:
			types = append(types, strings.TrimPrefix(p.EventType(), "execution_"))
		}
	}
	return types
}

// text returns the text that an output node showed; nil if it showed nothing.
func (o outcome) text(node string) []any {
	for _, out := range o.record.Outputs {
		if out.UniqueID == node {
			return out.UI["text"]
		}
	}
	return nil
}

func (o outcome) failed(t *testing.T) *nodebus.ExecutionError {
	t.Helper()
	require.Equal(t, nodebus.Failed, o.record.State)
	return o.record.Error
}

// run submits a graph and waits for its last event.
func (r *rig) run(nodes nodebus.Nodes) outcome {
	r.t.Helper()
	return r.submit(&nodebus.Prompt{Nodes: nodes, ClientID: "client"})
}

func (r *rig) submit(p *nodebus.Prompt) outcome {
	r.t.Helper()
	wait := r.start(p)
	return wait()
}

// start submits a prompt and returns a function that waits for the prompt's last
// event.
func (r *rig) start(p *nodebus.Prompt) (wait func() outcome) {
	r.t.Helper()
	return r.startWith(p, nil)
}

func (r *rig) startWith(p *nodebus.Prompt, opts *flow.SubmitOptions) (wait func() outcome) {
	r.t.Helper()
	events := r.hub.Subscribe(r.ctx)
	s, err := r.engine.Submit(r.ctx, p, opts)
	require.NoError(r.t, err)
	id := s.ID
	return func() (o outcome) {
		r.t.Helper()
		for ev, err := range events {
			require.NoError(r.t, err)
			if ev.PromptID != id {
				continue
			}
			o.events = append(o.events, ev)
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
				break
			}
		}
		o.record, err = r.engine.Store().Get(context.Background(), id)
		require.NoError(r.t, err)
		return o
	}
}

// running returns the ids of the prompts that run.
func (r *rig) running() (ids []string) {
	r.t.Helper()
	for q, err := range r.engine.Queued(context.Background()) {
		require.NoError(r.t, err)
		if q.Leased {
			ids = append(ids, q.Prompt.ID)
		}
	}
	return ids
}

// parse reads a graph from its API format.
func parse(t *testing.T, api string) nodebus.Nodes {
	t.Helper()
	nodes, err := nodebus.ParseNodes([]byte(api))
	require.NoError(t, err)
	return nodes
}

// in is a short name for Inputs.
type in = nodebus.Inputs

// submit submits a prompt without options and returns its id.
func submit(e *flow.Engine, ctx context.Context, p *nodebus.Prompt) (id string, err error) { //nolint:revive // in the order of Submit
	s, err := e.Submit(ctx, p, nil)
	if err != nil {
		return "", err
	}
	return s.ID, nil
}

// interrupt interrupts a prompt. It returns true if the engine knew the prompt.
func interrupt(e *flow.Engine, id string) bool {
	found, err := e.Interrupt(context.Background(), id)
	return found && err == nil
}

// prepare checks a prompt. It returns an error even if only a part of the prompt is
// invalid.
func prepare(r *flow.Registry, p *nodebus.Prompt) error {
	_, err := r.Prepare(context.Background(), p)
	return err
}

// execute runs a prompt on an executor and returns the UI outputs of the nodes, by
// id.
func execute(x nodebus.Executor, ctx context.Context, p *nodebus.Prompt, pub nodebus.Publisher) (map[string]nodebus.UI, error) { //nolint:revive // in the order of Execute
	report, err := x.Execute(ctx, nodebus.Job{Prompt: p, Attempt: 1}, pub)
	shown := map[string]nodebus.UI{}
	for _, o := range report.Outputs {
		shown[o.UniqueID] = o.UI
	}
	return shown, err
}

// doInBubble runs a test with an engine that only Do runs.
func doInBubble(t *testing.T, opts *flow.EngineOptions, test func(e *flow.Engine, reg *flow.Registry)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		test(flow.NewEngine(reg, hub, opts), reg)
		require.NoError(t, hub.Close())
	})
}
