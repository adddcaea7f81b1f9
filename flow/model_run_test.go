package flow_test

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// randomPrompt returns a random graph of about n nodes. Nodes that fail are rare, so
// that most nodes run.
func randomPrompt(r *rand.Rand, n int) nodebus.Nodes {
	g := nodebus.NewGraph()
	var links []nodebus.Link // outputs that later nodes may link to
	value := func(most int) any {
		if len(links) == 0 || r.IntN(4) == 0 {
			return r.IntN(most)
		}
		return links[max(0, len(links)-1-r.IntN(12))]
	}
	classes := []string{"Const", "Add", "Add", "Async", "Pick", "Pick", "Range", "Sum", "Gate", "Split", "Expand", "Eval", "Show"}
	classes = append(classes, "AsyncPick", "AsyncSplit", "AsyncExpand", "AsyncEval", "Live", "Live", "LivePick")
	fails := r.IntN(3) == 0
	for range n {
		switch class := classes[r.IntN(len(classes))]; class {
		case "Const":
			links = append(links, g.Add(class, nodebus.Inputs{"value": r.IntN(5)}))
		case "Add", "Async":
			links = append(links, g.Add(class, nodebus.Inputs{"a": value(5), "b": value(5)}))
		case "Pick", "AsyncPick":
			links = append(links, g.Add(class, nodebus.Inputs{"which": r.IntN(4), "a": value(5), "b": value(5)}))
		case "Live", "LivePick":
			links = append(links, g.Add(class, randomLive(r, class, value)))
		case "Range":
			links = append(links, g.Add(class, nodebus.Inputs{"n": r.IntN(4)}))
		case "Sum":
			links = append(links, g.Add(class, nodebus.Inputs{"values": value(5), "scale": 1 + r.IntN(2)}))
		case "Gate":
			links = append(links, g.Add(class, nodebus.Inputs{"in": value(5), "every": 2 + r.IntN(4)}))
		case "Split", "AsyncSplit":
			l := g.Add(class, nodebus.Inputs{"in": value(5)})
			links = append(links, l, l.At(1))
		case "Expand", "Eval", "AsyncExpand", "AsyncEval":
			links = append(links, g.Add(class, nodebus.Inputs{"in": value(5), "depth": r.IntN(4)}))
		case "Show":
			g.Add(class, nodebus.Inputs{"in": value(5)})
		}
		if fails && r.IntN(60) == 0 {
			class := []string{"Fail", "AsyncFail"}[r.IntN(2)]
			links = append(links, g.Add(class, nodebus.Inputs{"in": value(5), "at": r.IntN(8)}))
		}
	}
	g.Add("Show", nodebus.Inputs{"in": value(5)})
	return g.Nodes()
}

// modelRun holds the events and the record of one prompt.
type modelRun struct {
	events []nodebus.Event
	record flow.Record
}

var long = flag.Bool("long", false, "run the model tests for longer")

// passOn, callTwice and callElsewhere are functions around calls under which every prompt
// has the same result as without them.
func passOn(next flow.CallFunc) flow.CallFunc { return next }

func callTwice(next flow.CallFunc) flow.CallFunc {
	return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
		if !call.Cached && call.Class.Name() == "Const" {
			if _, err := next(ctx, call); err != nil {
				return flow.Result{}, err
			}
		}
		return next(ctx, call)
	}
}

func callElsewhere(next flow.CallFunc) flow.CallFunc {
	return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
		if call.Cached {
			return next(ctx, call)
		}
		return call.Class.Call(ctx, call.Inputs())
	}
}

// TestModel compares the executor and the engine with a simple evaluator. It uses
// random graphs with lazy inputs, lists, blocked outputs, expansion, asynchronous
// nodes, failures and interrupts, with 1 to 8 workers, with functions around calls, and with
// classes made at run time beside structs. It runs each prompt twice.
func TestModel(t *testing.T) {
	cases := 800
	switch {
	case testing.Short():
		cases = 300
	case *long:
		cases = 4000
	}
	for seed := range uint64(cases) {
		ok := t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { modelCase(t, seed) })
		})
		if !ok {
			return
		}
	}
}

func modelCase(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 3))
	nodes := randomPrompt(r, 1+r.IntN(1+int(seed%200)))
	wire := &tripwire{}
	reg := modelRegistry(wire)
	if n := r.IntN(4); n > 0 { // a quarter of the cases has only structs, another only functions
		replaceByFuncs(t, r, reg, wire, n)
	}
	opts := &flow.LocalOptions{Workers: 1 + r.IntN(8), Overall: true, AsyncCalls: 1 + r.IntN(4)}
	opts.Around = [][]flow.Around{nil, {passOn}, {callTwice}, {callElsewhere, passOn}}[r.IntN(4)]
	shared := true // equal nodes share a result
	switch r.IntN(8) {
	case 0, 1:
		opts.Cache, shared = flow.NoCache(), false
	case 2, 3, 4:
		opts.Cache = flow.ClassicCache()
	}
	hub := nodebus.NewHub(nil)
	engine := flow.NewEngine(reg, hub, &flow.EngineOptions{Executor: flow.NewLocal(reg, opts)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- engine.Run(ctx) }()

	run := func(id string, nodes nodebus.Nodes) modelRun {
		return modelSubmit(t, ctx, hub, engine, &nodebus.Prompt{ID: id, ClientID: "c", Nodes: nodes})
	}
	if r.IntN(5) == 0 {
		wire.at = 1 + r.Int64N(20)
		wire.do = func() { interrupt(engine, "first") }
	}
	first := run("first", nodes)
	checkOrder(t, "first", first.events)
	if first.record.State != nodebus.Interrupted {
		e := newEvaluator(nodes)
		ok := e.prompt(first.record.Prompt.Outputs)
		checkAgainst(t, e, ok, first, shared)
		second := run("second", nodes)
		checkOrder(t, "second", second.events)
		require.Equal(t, ok, second.record.State == nodebus.Succeeded)
		if ok && shared {
			require.Empty(t, executing(second.events), "everything is cached")
			require.Equal(t, outputsOf(first.record), outputsOf(second.record))
			modelChanges(t, r, e, nodes, opts.Cache != nil, run)
		}
	} else {
		require.NotZero(t, wire.at)
		require.NotNil(t, first.record.Interrupted)
		checkOrder(t, "after", run("after", nodes).events)
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	require.NoError(t, hub.Close())
}

func modelSubmit(t *testing.T, ctx context.Context, hub *nodebus.Hub, engine *flow.Engine, p *nodebus.Prompt) (run modelRun) {
	events := hub.Subscribe(ctx)
	id, err := submit(engine, ctx, p)
	require.NoError(t, err)
	for ev, err := range events {
		require.NoError(t, err)
		if ev.PromptID != id {
			continue
		}
		run.events = append(run.events, ev)
		if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
			break
		}
	}
	run.record, err = engine.Store().Get(ctx, id)
	require.NoError(t, err)
	return run
}

// checkOrder checks the events of a prompt against the rules of order G3 and G5 of
// the protocol, for any number of workers.
func checkOrder(t *testing.T, id string, events []nodebus.Event) {
	state := map[string]string{} // by node: "executing", "executed"
	bars := map[string]string{}
	steps := map[string]float64{} // by node: the last progress
	phase := 0                    // 0: nothing sent, 1: started, 2: cached sent, 3: ended, 4: closed
	var last uint64
	var whole float64
	for i, ev := range events {
		at := fmt.Sprintf("event %d, %#v", i, ev.Payload)
		require.Greater(t, ev.ID, last, at)
		last = ev.ID
		require.Equal(t, id, ev.PromptID, at)
		require.Equal(t, "c", ev.To, at)
		switch p := ev.Payload.(type) {
		case nodebus.ExecutionStart:
			require.Equal(t, 0, phase, at)
			phase = 1
		case nodebus.ExecutionCached:
			require.Equal(t, 1, phase, at)
			phase = 2
		case nodebus.Executing:
			if p.UniqueID == "" {
				require.Equal(t, 3, phase, at)
				phase = 4
				continue
			}
			require.Equal(t, 2, phase, at)
			require.NotEqual(t, "executed", state[p.UniqueID], at)
			require.NotEqual(t, "finished", bars[p.UniqueID], at)
			state[p.UniqueID] = "executing"
		case nodebus.Executed:
			require.Equal(t, 2, phase, at)
			require.NotEqual(t, "executed", state[p.UniqueID], at)
			state[p.UniqueID] = "executed"
		case nodebus.Progress: // of an asynchronous node that is called for a list
			require.Equal(t, "executing", state[p.UniqueID], at)
			require.Greater(t, p.Value, steps[p.UniqueID], at)
			require.LessOrEqual(t, p.Value, p.Max, at)
			steps[p.UniqueID] = p.Value
		case nodebus.ProgressState:
			require.Equal(t, 2, phase, at)
			for _, n := range p.Nodes() {
				was := bars[n.UniqueID]
				require.False(t, was == "finished" && n.State != "finished", at)
				bars[n.UniqueID] = n.State
			}
		case nodebus.NodeFailed:
			require.Equal(t, 2, phase, at)
		case nodebus.ExecutionError:
			if p.ExceptionType == "ExecutionBlocked" {
				require.Equal(t, 2, phase, at)
				continue
			}
			require.Equal(t, 2, phase, at)
			phase = 3
		case nodebus.ExecutionSuccess, nodebus.ExecutionInterrupted:
			require.LessOrEqual(t, phase, 2, at)
			phase = 3
			if _, ok := p.(nodebus.ExecutionSuccess); ok {
				require.Equal(t, 1.0, whole, at)
			}
		case nodebus.Overall:
			require.Equal(t, 2, phase, at)
			require.Greater(t, p.Value, whole, at)
			require.LessOrEqual(t, p.Value, 1.0, at)
			whole = p.Value
		default:
			require.Fail(t, "unexpected", at)
		}
	}
	require.Equal(t, 4, phase, "the last event is missing")
}

// executing returns the ids of the nodes that ran, without duplicates.
func executing(events []nodebus.Event) (ids []string) {
	for _, ev := range events {
		if p, ok := ev.Payload.(nodebus.Executing); ok && p.UniqueID != "" && !slices.Contains(ids, p.UniqueID) {
			ids = append(ids, p.UniqueID)
		}
	}
	return ids
}

func outputsOf(rec flow.Record) map[string][]any {
	out := map[string][]any{}
	for _, o := range rec.Outputs {
		out[o.UniqueID] = o.UI["text"]
	}
	return out
}

// checkAgainst compares a prompt that was not interrupted with the model. shared is
// true if equal nodes share a cached result.
func checkAgainst(t *testing.T, e *evaluator, ok bool, run modelRun, shared bool) {
	if !ok {
		require.Equal(t, nodebus.Failed, run.record.State)
		require.True(t, e.failed[run.record.Error.NodeID], "node %s did not fail in the model, but %v", run.record.Error.NodeID, e.failed)
		return
	}
	require.Equal(t, nodebus.Succeeded, run.record.State, "%+v", run.record.Error)
	require.Equal(t, e.lines(), outputsOf(run.record))
	ran := map[string]int{}
	for _, id := range executing(run.events) {
		require.Contains(t, e.specs, id)
		ran[e.key(id)]++
	}
	for key, n := range e.ran {
		if shared {
			n = 1 // equal nodes are computed once
		}
		require.LessOrEqual(t, ran[key], e.ran[key], "%s", key)
		require.GreaterOrEqual(t, ran[key], min(n, 1), "%s", key)
	}
	for key := range ran {
		require.Contains(t, e.ran, key)
	}
}
