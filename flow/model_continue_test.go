package flow_test

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// failingPrompt is randomPrompt with many nodes that fail, that make nodes which fail, and
// that handle the error of another node.
func failingPrompt(r *rand.Rand, n int) nodebus.Nodes {
	nodes := randomPrompt(r, n)
	g := nodebus.NewGraph()
	for i := range nodes {
		in := maps.Clone(nodes[i].Inputs)
		for name, v := range in {
			link, ok := v.(nodebus.Link)
			if !ok {
				continue
			}
			id := fmt.Sprint(nodes[i].ID, "-", name)
			switch r.IntN(12) {
			case 0:
				in[name] = g.AddAs(id, "Fail", nodebus.Inputs{"in": link, "at": r.IntN(5)})
			case 1:
				in[name] = g.AddAs(id, "Catch", nodebus.Inputs{"a": link})
			case 2:
				in[name] = g.AddAs(id, []string{"Expand", "Eval"}[r.IntN(2)], nodebus.Inputs{"in": link, "depth": r.IntN(3), "fails": r.IntN(4)})
			}
		}
		g.AddAs(nodes[i].ID, nodes[i].Class, in)
	}
	return g.Nodes()
}

// TestModelContinue compares prompts that continue after errors with the evaluator: which
// nodes ran, failed and were skipped, the first time and with what the cache then has.
func TestModelContinue(t *testing.T) {
	cases := 500
	switch {
	case testing.Short():
		cases = 150
	case *long:
		cases = 3000
	}
	for seed := range uint64(cases) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { continueCase(t, seed) })
		})
		if !ok {
			return
		}
	}
}

func continueCase(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 11))
	nodes := failingPrompt(r, 1+r.IntN(1+int(seed%120)))
	wire := &tripwire{}
	reg := modelRegistry(wire)
	if n := r.IntN(3); n > 0 {
		replaceByFuncs(t, r, reg, wire, n)
	}
	opts := &flow.LocalOptions{Workers: 1 + r.IntN(8), Overall: true}
	if r.IntN(4) == 0 {
		opts.Cache = flow.NoCache()
	}
	hub := nodebus.NewHub(nil)
	engine := flow.NewEngine(reg, hub, &flow.EngineOptions{Executor: flow.NewLocal(reg, opts)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	run := func(id string) modelRun {
		return modelSubmit(t, ctx, hub, engine, &nodebus.Prompt{
			ID: id, ClientID: "c", Nodes: nodes, Policy: nodebus.Policy{Continue: true},
		})
	}
	if r.IntN(6) == 0 {
		wire.at = 1 + r.Int64N(20)
		wire.do = func() { interrupt(engine, "first") }
	}
	first := run("first")
	checkOrder(t, "first", first.events)
	if first.record.State != nodebus.Interrupted {
		e := newEvaluator(nodes)
		ok := e.prompt(first.record.Prompt.Outputs) && len(e.failed) == 0
		checkContinued(t, e, ok, first, true, opts.Cache != nil)
	}
	second := run("second")
	checkOrder(t, "second", second.events)
	e := newEvaluator(nodes)
	ok := e.prompt(second.record.Prompt.Outputs) && len(e.failed) == 0
	checkContinued(t, e, ok, second, false, false)
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, hub.Close())
}

// checkContinued compares a prompt that continued after errors with the model. In the first
// run of a prompt, the record has no other nodes than the model. It has all of them if whole
// is true: a node that takes the result of an equal node does not ask for its lazy inputs.
func checkContinued(t *testing.T, e *evaluator, ok bool, run modelRun, first, whole bool) {
	rec := run.record
	require.Equal(t, ok, rec.State == nodebus.Succeeded, "%+v", rec.Error)
	ends, failed := map[string]nodebus.NodeRun{}, map[string]bool{}
	for _, n := range rec.Nodes {
		require.NotContains(t, ends, n.UniqueID, "a node ends once")
		ends[n.UniqueID] = n
		want, known := e.ends[n.UniqueID]
		require.True(t, known || !first, "node %s is not needed", n.UniqueID)
		wholeList := n.Cached && n.Result == "done" && want == "blocked" // a cached list does not tell that elements are blocked
		if known && !wholeList {
			require.Equal(t, want, n.Result, "%+v", n)
		}
	}
	for id, want := range e.ends {
		if whole || want == "error" || want == "skipped" {
			require.Contains(t, ends, id, "its end is %s", want)
		}
		if want == "skipped" {
			require.True(t, e.failed[ends[id].By], "%+v", ends[id])
			require.True(t, ends[id].Started.IsZero() || strings.HasSuffix(e.specs[id].Class, "Pick"), "%+v", ends[id])
		}
	}
	want := map[string][]any{}
	for id, lines := range e.shown {
		for _, l := range lines {
			if e.ends[id] == "done" || e.ends[id] == "blocked" {
				want[id] = append(want[id], l)
			}
		}
	}
	require.Equal(t, want, outputsOf(rec))
	for _, f := range rec.Errors {
		require.False(t, failed[f.UniqueID])
		failed[f.UniqueID] = true
	}
	require.Equal(t, e.failed, failed)
	told := 0
	for _, ev := range run.events {
		if f, ok := ev.Payload.(nodebus.NodeFailed); ok {
			told++
			require.Equal(t, f.UniqueID, rec.Errors[told].UniqueID, "in the order of the errors")
		}
	}
	require.Equal(t, max(0, len(rec.Errors)-1), told)
	if !ok {
		require.Equal(t, rec.Errors[0].RealID, rec.Error.NodeID)
	}
}
