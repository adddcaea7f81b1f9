package flow_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// TestModelIntermediate runs random graphs twice. All classes but Show have intermediate
// outputs: a node whose result was known, or an equal node's result became known in the run, is
// shown once, and a node that runs shows nothing.
func TestModelIntermediate(t *testing.T) {
	cases := 200
	if *long {
		cases = 2000
	}
	for seed := range uint64(cases) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { intermediateCase(t, seed) })
		})
		if !ok {
			return
		}
	}
}

// intermediateRegistry has the classes of the model.
func intermediateRegistry() *flow.Registry {
	r := flow.NewRegistry()
	info := func(name string) nodebus.Info { return nodebus.Info{Name: name, Intermediate: true} }
	async := func(name string) nodebus.Info {
		return nodebus.Info{Name: name, Async: true, Intermediate: true}
	}
	flow.Register(r, mConst{}, info("Const"))
	flow.Register(r, mAdd{}, info("Add"))
	flow.Register(r, mPick{}, info("Pick"))
	flow.Register(r, mRange{}, info("Range"))
	flow.Register(r, mSum{}, info("Sum"))
	flow.Register(r, mGate{}, info("Gate"))
	flow.Register(r, mSplit{}, info("Split"))
	flow.Register(r, mExpand{}, info("Expand"))
	flow.Register(r, mEval{}, info("Eval"))
	flow.Register(r, mFail{}, info("Fail"))
	flow.Register(r, mLive{}, info("Live"))
	flow.Register(r, mLivePick{}, info("LivePick"))
	flow.Register(r, mAsync{}, async("Async"))
	flow.Register(r, mPick{}, async("AsyncPick"))
	flow.Register(r, mSplit{}, async("AsyncSplit"))
	flow.Register(r, mExpand{}, async("AsyncExpand"))
	flow.Register(r, mEval{}, async("AsyncEval"))
	flow.Register(r, mFail{}, async("AsyncFail"))
	flow.Register(r, mShow{}, nodebus.Info{Name: "Show"})
	return r
}

func intermediateCase(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 4))
	nodes := randomPrompt(r, 1+r.IntN(60))
	reg, hub := intermediateRegistry(), nodebus.NewHub(nil)
	opts := &flow.LocalOptions{Workers: 1 + r.IntN(8), Overall: true}
	if r.IntN(2) == 0 {
		opts.Cache = flow.ClassicCache()
	}
	engine := flow.NewEngine(reg, hub, &flow.EngineOptions{Executor: flow.NewLocal(reg, opts)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()
	for k := range 2 {
		id := fmt.Sprint(k)
		run := modelSubmit(t, ctx, hub, engine, &nodebus.Prompt{ID: id, ClientID: "c", Nodes: nodes})
		checkOrder(t, id, run.events)
		e := newEvaluator(nodes)
		ok := e.prompt(run.record.Prompt.Outputs)
		require.Equal(t, ok, run.record.State == nodebus.Succeeded)
		if !ok {
			break
		}
		checkShown(t, e, run, nodes, k == 1)
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, hub.Close())
}

// checkShown checks which nodes of a prompt showed what they had shown before. known is true
// if the same prompt has run before.
func checkShown(t *testing.T, e *evaluator, run modelRun, nodes nodebus.Nodes, known bool) {
	ran, shown := map[string]bool{}, map[string]int{}
	for _, id := range executing(run.events) {
		ran[id] = true
	}
	for _, ev := range run.events {
		if p, is := ev.Payload.(nodebus.Executed); is {
			shown[p.UniqueID]++
		}
	}
	require.True(t, !known || len(ran) == 0, "everything is cached")
	for i := range nodes {
		n := &nodes[i]
		if n.Class == "Show" {
			continue
		}
		want := 0
		if e.ran[e.key(n.ID)] > 0 && !ran[n.ID] {
			want = 1
		}
		require.Equal(t, want, shown[n.ID], "node %s (%s)", n.ID, n.Class)
	}
	require.Equal(t, e.lines(), outputsOf(run.record))
}
