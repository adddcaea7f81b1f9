package loops_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/loops"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// rig runs prompts with loops. It lives inside a synctest bubble.
type rig struct {
	t      *testing.T
	reg    *flow.Registry
	hub    *nodebus.Hub
	engine *flow.Engine
	mu     sync.Mutex
	calls  map[string]int // calls of Add, by the display id
}

// add adds two numbers.
type add struct {
	A int `in:"a,optional"`
	B int `in:"b,optional"`
	r *rig
}

func (n add) Run(ctx *nodebus.Context) (int, error) {
	n.r.mu.Lock()
	defer n.r.mu.Unlock()
	n.r.calls[ctx.DisplayID()]++
	return n.A + n.B, nil
}

// pick is a node that passes on its first input that is given.
type pick struct {
	A any `in:"a,optional"`
	B any `in:"b,optional"`
}

func (n pick) Run(*nodebus.Context) (any, error) {
	if n.A != nil {
		return n.A, nil
	}
	return n.B, nil
}

// sum adds the elements of a list.
type sum struct {
	In nodebus.List[int] `in:"in"`
}

func (n sum) Run(*nodebus.Context) (total int, err error) {
	for _, v := range n.In {
		total += v
	}
	return total, nil
}

// numbers returns a list.
type numbers struct {
	To int `in:"to"`
}

func (n numbers) Run(*nodebus.Context) (l nodebus.List[int], err error) {
	for i := range n.To {
		l = append(l, i+1)
	}
	return l, nil
}

// gate blocks a number.
type gate struct {
	In    int `in:"in"`
	Block int `in:"block"`
}

func (n gate) Run(*nodebus.Context) (int, error) {
	if n.In == n.Block {
		return 0, nodebus.Block("")
	}
	return n.In, nil
}

// fail fails at a number.
type fail struct {
	In int `in:"in"`
	At int `in:"at"`
}

func (n fail) Run(*nodebus.Context) (int, error) {
	if n.In == n.At {
		return 0, fmt.Errorf("failed at %d", n.In)
	}
	return n.In, nil
}

// preview shows its input and passes it on.
type preview struct {
	In any `in:"in"`
}

type previewed struct {
	Out any `out:"out"`
	UI  nodebus.UI
}

func (n preview) Run(*nodebus.Context) (previewed, error) {
	return previewed{n.In, nodebus.Text(fmt.Sprint(n.In))}, nil
}

// show shows all of its inputs.
type show struct {
	In  nodebus.List[any] `in:"in"`
	In2 nodebus.List[any] `in:"in2,optional"`
}

func (n show) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint([]any(n.In))), nil
}

func inBubble(t *testing.T, opts *loops.Options, local *flow.LocalOptions, test func(t *testing.T, r *rig)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		r := newRig(t, opts, local)
		test(t, r)
		require.NoError(t, r.hub.Close())
	})
}

func newRig(t *testing.T, opts *loops.Options, local *flow.LocalOptions) *rig {
	if local == nil {
		local = &flow.LocalOptions{Workers: 1}
	}
	r := &rig{t: t, reg: flow.NewRegistry(), hub: nodebus.NewHub(nil), calls: map[string]int{}}
	require.NoError(t, loops.Register(r.reg, opts))
	flow.Register(r.reg, add{r: r}, nodebus.Info{Name: "Add"})
	flow.Register(r.reg, pick{}, nodebus.Info{Name: "Pick"})
	flow.Register(r.reg, sum{}, nodebus.Info{Name: "Sum"})
	flow.Register(r.reg, numbers{}, nodebus.Info{Name: "Numbers"})
	flow.Register(r.reg, gate{}, nodebus.Info{Name: "Gate"})
	flow.Register(r.reg, fail{}, nodebus.Info{Name: "Fail"})
	flow.Register(r.reg, preview{}, nodebus.Info{Name: "Preview", Output: true})
	flow.Register(r.reg, show{}, nodebus.Info{Name: "Show"})
	r.engine = flow.NewEngine(r.reg, r.hub, &flow.EngineOptions{Executor: flow.NewLocal(r.reg, local)})
	return r
}

// ran is what a prompt did.
type ran struct {
	events []nodebus.Event
	nodebus.Outcome
	record flow.Record
}

// run runs a graph in its API format.
func (r *rig) run(api string) *ran {
	r.t.Helper()
	nodes, err := nodebus.ParseNodes([]byte(api))
	require.NoError(r.t, err)
	return r.do(&nodebus.Prompt{Nodes: nodes, ClientID: "client"})
}

func (r *rig) do(p *nodebus.Prompt) *ran {
	r.t.Helper()
	o := &ran{}
	ctx, stop := context.WithCancel(r.t.Context())
	events := r.hub.Subscribe(ctx)
	out, err := flow.Do(r.t.Context(), r.engine, p)
	require.NoError(r.t, err)
	o.Outcome = out
	for ev, err := range events {
		require.NoError(r.t, err)
		o.events = append(o.events, ev)
		if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
			break
		}
	}
	stop()
	o.record, err = r.engine.Store().Get(r.t.Context(), p.ID)
	require.NoError(r.t, err)
	return o
}

// shown returns what node id showed.
func (o *ran) shown(id string) string {
	texts := make([]string, 0, 1)
	for _, v := range o.Output(id)["text"] {
		texts = append(texts, fmt.Sprint(v))
	}
	return strings.Join(texts, " ")
}

// texts returns the progress texts, with the node.
func (o *ran) texts() (all []string) {
	for _, ev := range o.events {
		if p, ok := ev.Payload.(nodebus.ProgressText); ok {
			all = append(all, p.UniqueID+": "+p.Text)
		}
	}
	return all
}

// executing returns the nodes that were called, as unique@display.
func (o *ran) executing() (all []string) {
	for _, ev := range o.events {
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID != "" {
			all = append(all, p.UniqueID+"@"+p.DisplayID)
		}
	}
	return all
}

// refused submits a graph and returns the error, and the outputs that run nevertheless.
func (r *rig) refused(api string) (ve *nodebus.ValidationError, runs []string) {
	r.t.Helper()
	nodes, err := nodebus.ParseNodes([]byte(api))
	require.NoError(r.t, err)
	p := &nodebus.Prompt{Nodes: nodes}
	_, err = r.reg.Prepare(r.t.Context(), p)
	if err == nil {
		return nil, p.Outputs
	}
	require.ErrorAs(r.t, err, &ve)
	if ve.Type == "prompt_outputs_failed_validation" && p.Outputs == nil {
		return ve, nil
	}
	return ve, p.Outputs
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}
