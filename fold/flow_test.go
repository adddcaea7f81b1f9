package fold_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/fold"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// act is a node that does what How says.
type act struct {
	In  any `in:",optional"`
	How string
}

var hows = []string{"pass", "pass", "progress", "text", "ask", "block", "silent", "fail", "flaky", "refuse", "make", "preview"}

func (n act) Run(ctx *nodebus.Context) (out nodebus.Out[any], err error) {
	out.Value = n.How
	switch n.How {
	case "progress":
		for i := range 5 {
			ctx.Progress(float64(i+1), 5)
		}
	case "text":
		for _, p := range []nodebus.TextPiece{{Piece: "Hello"}, {Piece: ", wörld", Offset: 5}, {Name: "log", Piece: "done"}} {
			p.Place, p.PromptID = nodebus.Place{UniqueID: ctx.UniqueID(), DisplayID: ctx.DisplayID()}, ctx.PromptID()
			if err := ctx.SendSync(p); err != nil {
				return out, err
			}
		}
		err = ctx.SendSync(nodebus.ProgressText{PromptID: ctx.PromptID(), UniqueID: ctx.UniqueID(), Text: "reading"})
	case "ask":
		out.Value, err = nodebus.Await[string](ctx, "name", nil)
	case "block":
		err = nodebus.Block("nothing to do")
	case "silent":
		err = nodebus.Block("")
	case "fail":
		err = errors.New("broken")
	case "flaky":
		if ctx.Attempt() == 1 {
			err = errors.New("broken at first")
		}
	case "refuse":
		err = &nodebus.RefusedError{Reason: "not today"}
	case "make":
		out.Graph = ctx.NewGraph()
		out.From = out.Graph.Add("act", nodebus.Inputs{"how": "progress", "in": n.In})
	case "preview":
		err = ctx.PreviewFile([]byte("\x89PNG\r\n\x1a\n"))
	}
	return out, err
}

// sink is an output node.
type sink struct {
	In any `in:",optional"`
}

func (n sink) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	return nodebus.UI{"text": {fmt.Sprint(n.In), ctx.UniqueID(), 1}}, nil
}

// randomGraph returns a graph in which each node does something, and most nodes are seen
// by a sink.
func randomGraph(r *rand.Rand) nodebus.Nodes {
	g := nodebus.NewGraph()
	var links []nodebus.Link
	bad := r.IntN(3) // many graphs have no node that ends the prompt
	for range 1 + r.IntN(7) {
		how := hows[r.IntN(len(hows))]
		if bad > 0 && (how == "fail" || how == "refuse") {
			how = "pass"
		}
		in := nodebus.Inputs{"how": how}
		if len(links) > 0 && r.IntN(3) > 0 {
			in["in"] = links[r.IntN(len(links))]
		}
		links = append(links, g.Add("act", in))
	}
	for i, l := range links {
		if i == 0 || r.IntN(2) == 0 {
			g.Add("sink", nodebus.Inputs{"in": l})
		}
	}
	return g.Nodes()
}

// follower keeps what a client and a subscriber have received, by prompt.
type follower struct {
	mu       sync.Mutex
	received []nodebus.Event
}

func (f *follower) Write(_ context.Context, frames []nodebus.Frame) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, frame := range frames {
		ev, err := nodebus.JSON.Decode(frame)
		if err != nil {
			return err
		}
		f.received = append(f.received, ev)
	}
	return nil
}

func (f *follower) Close(error) error { return nil }

func ofPrompt(events []nodebus.Event, id string) (own []nodebus.Event) {
	for _, ev := range events {
		if ev.PromptID == id {
			own = append(own, ev)
		}
	}
	return own
}

// shows are what the runs of TestRealRuns show, all together.
var shows = []string{
	"run success", "run error", "run interrupted", "run refused", "attempt 2",
	"finished", "error", "cached", "blocked", "interrupted", "texts", "made",
}

// TestRealRuns runs random graphs. For each, the law holds; a client, a subscriber and the
// engine agree on what has become of it. What a graph shows depends also on the order in which
// its nodes run, so there are more graphs if the first ones have not shown everything.
func TestRealRuns(t *testing.T) {
	seen := map[string]int{}
	missing := func() []string {
		return slices.DeleteFunc(slices.Clone(shows), func(what string) bool { return seen[what] > 0 })
	}
	for seed := uint64(0); seed < 40 || seed < 1000 && len(missing()) > 0; seed++ {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) { realRun(t, rand.New(rand.NewPCG(seed, 1)), seen) })
		})
		if t.Failed() {
			return
		}
	}
	require.Empty(t, missing(), "no run has shown this, only %v", seen)
}

func realRun(t *testing.T, r *rand.Rand, seen map[string]int) {
	reg, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(reg, act{}, nodebus.Info{Name: "act"})
	flow.Register(reg, sink{}, nodebus.Info{Name: "sink"})
	local := flow.NewLocal(reg, &flow.LocalOptions{Workers: 1 + r.IntN(4), Overall: true, NodeDone: r.IntN(2) == 0})
	engine := flow.NewEngine(reg, hub, &flow.EngineOptions{Executor: local})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	f := &follower{}
	session := hub.Join("", &nodebus.SessionOptions{WatchAll: true, Codec: nodebus.JSONCodec{Envelope: true}})
	running.Go(func() { _ = session.Serve(t.Context(), f) })
	var events []nodebus.Event
	all := hub.Subscribe(t.Context())
	running.Go(func() {
		for ev, err := range all {
			if assert.NoError(t, err) {
				events = append(events, ev)
			}
		}
	})
	stopAsk := nodebus.On(hub, func(ev nodebus.Event, w nodebus.Waiting) {
		switch ev.ID % 4 {
		case 0:
			_, _ = engine.Interrupt(ctx, w.PromptID)
		case 1:
			_ = engine.Refuse(ctx, w.PromptID, w.UniqueID, w.Name, "no")
		default:
			_ = engine.Answer(ctx, w.PromptID, w.UniqueID, w.Name, "Ada")
		}
	})

	synctest.Wait() // the client is served

	nodes := randomGraph(r)
	var outcomes []nodebus.Outcome
	for i := range 2 { // the second run uses cached results
		p := &nodebus.Prompt{ID: fmt.Sprint("p", i), Nodes: nodes, Policy: nodebus.Policy{Retries: r.IntN(2), Continue: r.IntN(2) == 0}}
		s, err := engine.Submit(ctx, p, nil)
		require.NoError(t, err)
		o, err := s.Wait(ctx)
		require.NoError(t, err)
		outcomes = append(outcomes, o)
	}
	cancel()
	require.NoError(t, hub.Close())
	running.Wait()
	require.NoError(t, stopAsk())
	for _, o := range outcomes {
		own := ofPrompt(f.received, o.PromptID)
		requireLaw(t, own)
		run := foldAll(own)
		require.JSONEq(t, jsonOf(t, foldAll(ofPrompt(events, o.PromptID))), jsonOf(t, run), "a subscriber and a client")
		requireOutcome(t, &o, run)
		count(seen, run)
	}
}

// requireOutcome checks that a run says the same as the outcome of its prompt.
func requireOutcome(t *testing.T, o *nodebus.Outcome, run *fold.Run) {
	require.Equal(t, []any{o.PromptID, o.State, o.Attempt, true, false},
		[]any{run.PromptID, run.State, run.Attempt, run.Closed, run.Incomplete})
	require.Empty(t, run.Waiting)
	require.Equal(t, o.Error != nil, run.Error != nil)
	if o.Error != nil {
		require.Equal(t, o.Error.ExceptionMessage, run.Error.ExceptionMessage)
	}
	if o.State == nodebus.Succeeded {
		require.InDelta(t, 1, run.Overall, 1e-9)
	}
	shown := map[string]nodebus.UI{}
	for n := range run.All() {
		require.NotEqual(t, fold.NodeRunning, n.State, "node %s", n.UniqueID)
		if n.Output != nil {
			shown[n.UniqueID] = n.Output
		}
	}
	require.Len(t, shown, len(o.Outputs))
	for _, out := range o.Outputs {
		want, err := json.Marshal(out.UI)
		require.NoError(t, err)
		got, err := json.Marshal(shown[out.UniqueID])
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got))
	}
	for _, n := range o.Nodes {
		got := run.Nodes[n.UniqueID]
		if got == nil { // it has no event of its own
			require.True(t, n.Cached || n.Result == "skipped" || n.Result == "blocked", "node %s is %s", n.UniqueID, n.Result)
			continue
		}
		require.Contains(t, statesOf(&n), got.State, "node %s, whose result is %s", n.UniqueID, n.Result)
		require.Equal(t, n.Place, got.Place)
		if o.Error != nil && o.Error.NodeID == n.RealID && n.Result == "error" {
			require.NotNil(t, got.Error, "node %s, which has ended the run", n.UniqueID)
		}
		if got.Error != nil {
			require.Contains(t, []string{fold.NodeError, fold.NodeBlocked}, got.State)
		}
	}
}

// statesOf returns the states that a node may have at the end.
func statesOf(n *nodebus.NodeRun) []string {
	switch {
	case n.Result == "blocked" && n.Reason != "":
		return []string{fold.NodeBlocked, fold.NodeFinished, fold.NodeCached} // only the nodes after it have a notice
	case n.Cached:
		return []string{fold.NodeCached, fold.NodeFinished} // known only if the prompt lists it or NodeDone is set
	case n.Result == "done", n.Result == "blocked":
		return []string{fold.NodeFinished}
	case n.Result == "error":
		return []string{fold.NodeError, fold.NodeInterrupted} // it failed when another failure had ended the run
	}
	return []string{n.Result}
}

func count(seen map[string]int, run *fold.Run) {
	seen["run "+string(run.State)]++
	seen[fmt.Sprint("attempt ", run.Attempt)]++
	for n := range run.All() {
		seen[n.State]++
		if n.Texts["log"] == "done" && n.Texts[""] == "Hello, wörld" && n.Text == "reading" {
			seen["texts"]++
		}
		if n.ParentID != "" {
			seen["made"]++
		}
	}
}
