package conform

import (
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func executesLazy(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	yes := g.AddAs("yes", "conform.Sum", nodebus.Inputs{"a": 1, "b": 1})
	no := g.AddAs("no", "conform.Sum", nodebus.Inputs{"a": 2, "b": 2})
	chosen := g.AddAs("choose", "conform.Choose", nodebus.Inputs{"cond": true, "on_true": yes, "on_false": no})
	again := g.AddAs("again", "conform.Choose", nodebus.Inputs{"cond": false, "on_true": no, "on_false": chosen})
	g.AddAs("show", "conform.Show", nodebus.Inputs{"value": again})
	o := h.run(t, g)
	o.shows(t, "show", 2)
	o.before(t, "executing again", "executing choose", "executing yes", "executing show")
	if o.ran("no") {
		t.Errorf("a node ran that no other node asked for: %q", o.order())
	}
	// What a node asks for may fail.
	g = failing("error")
	g.AddAs("out", "conform.Show", nodebus.Inputs{
		"value": g.AddAs("choose", "conform.Choose", nodebus.Inputs{"cond": true, "on_true": g.Link("fail"), "on_false": 1}),
	})
	h.submit(t, &nodebus.Prompt{Nodes: g.Nodes(), Outputs: []string{"out"}}, nil, nil).blames(t, errFail.Error())
}

func executesExpansion(t *testing.T, h *host) {
	for class, value := range map[string]int{"conform.Evaluate": 5, "conform.Grow": 6} { // a cache may know equal nodes
		o := h.run(t, shown("maker", class, nodebus.Inputs{"value": value}))
		o.shows(t, "show", map[string]int{"conform.Evaluate": 10, "conform.Grow": 18}[class])
		made := map[string]int{}
		for _, ev := range o.events {
			p, ok := ev.Payload.(nodebus.Executing)
			if !ok || !strings.HasPrefix(p.UniqueID, "maker.") {
				continue
			}
			if made[p.UniqueID]++; p.DisplayID != "maker" {
				t.Errorf("node %s is shown on node %q, want \"maker\"", p.UniqueID, p.DisplayID)
			}
		}
		for id, times := range made {
			if class == "conform.Evaluate" && times > 1 { // the nodes that it makes do not wait
				t.Errorf("node %s, made at run time, ran %d times, want once", id, times)
			}
		}
		if len(made) == 0 {
			t.Errorf("%s: no event about a node that was made at run time: %q", class, o.order())
		}
	}
	for i, eval := range []bool{false, true} {
		g := shown("relay", "conform.Relay", nodebus.Inputs{"node": "other", "eval": eval})
		g.AddAs("other", "conform.Sum", nodebus.Inputs{"a": 7, "b": i})
		o := h.run(t, g)
		o.shows(t, "show", 7+i)
		o.before(t, "executing relay", "executing other", "executing show")
	}
}

func executesHidden(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	g.AddAs("ask", "conform.Ask", nil)
	g.AddAs("other", "conform.Show", nodebus.Inputs{"value": 1})
	p := &nodebus.Prompt{ID: "hidden", Nodes: g.Nodes(), Extra: map[string]any{"extra_pnginfo": "info"}}
	o := h.submit(t, p, &flow.SubmitOptions{Secrets: map[string]string{"API_KEY_COMFY_ORG": "s3cret"}}, nil)
	o.shows(t, "ask", "ask", "hidden", 2, "info", "s3cret")
	for _, ev := range o.events {
		if _, shown := ev.Payload.(nodebus.Executed); !shown && strings.Contains(encoded(t, ev), "s3cret") {
			t.Errorf("the secret is in an event: %s", encoded(t, ev))
		}
	}
}

func executesValues(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	wrapped := g.AddAs("wrap", "conform.Wrap", nodebus.Inputs{"value": 5})
	g.AddAs("show", "conform.Show", nodebus.Inputs{"value": g.AddAs("unwrap", "conform.Unwrap", nodebus.Inputs{"box": wrapped})})
	h.run(t, g).shows(t, "show", 5)
}

func executesLists(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	numbers := g.AddAs("numbers", "conform.Numbers", nodebus.Inputs{"n": 3})
	sums := g.AddAs("sum", "conform.Sum", nodebus.Inputs{"a": numbers, "b": 10})
	g.AddAs("join", "conform.Join", nodebus.Inputs{"values": sums})
	g.AddAs("show", "conform.Show", nodebus.Inputs{"value": sums})
	g.AddAs("one", "conform.Join", nodebus.Inputs{"values": g.AddAs("two", "conform.Sum", nodebus.Inputs{"a": 1, "b": 1})})
	g.AddAs("literal", "conform.Join", nodebus.Inputs{"values": []int{4, 5}})
	g.AddAs("empty", "conform.Join", nodebus.Inputs{"values": g.AddAs("zero", "conform.Numbers", nodebus.Inputs{"n": 0})})
	o := h.run(t, g)
	o.shows(t, "join", "[11 12 13]")
	o.shows(t, "show", 11, 12, 13)
	o.shows(t, "one", "[2]")
	o.shows(t, "literal", "[4 5]")
	o.shows(t, "empty", "[]")
	if n := len(slices.DeleteFunc(o.order(), func(s string) bool { return s != "executing sum" })); n != 1 {
		t.Errorf("a node that is called for each element sends executing %d times, want once", n)
	}
}

func executesBlocking(t *testing.T, h *host) {
	for reason, notices := range map[string]int{"closed today": 1, "": 0} {
		g := nodebus.NewGraph()
		gate := g.AddAs("gate", "conform.Gate", nodebus.Inputs{"reason": reason})
		sum := g.AddAs("sum", "conform.Sum", nodebus.Inputs{"a": gate, "b": 1})
		g.AddAs("show", "conform.Show", nodebus.Inputs{"value": sum})
		g.AddAs("open", "conform.Show", nodebus.Inputs{"value": gate.At(1)})
		o := h.run(t, g)
		o.shows(t, "open", 7)
		if slices.Contains(o.order(), "executed show") {
			t.Errorf("a node ran that depends on a blocked output: %q", o.order())
		}
		for _, ev := range o.events {
			if p, ok := ev.Payload.(nodebus.ExecutionError); ok {
				notices--
				if p.NodeID != "sum" || p.ExceptionType != nodebus.ExecutionBlocked || !strings.Contains(p.ExceptionMessage, reason) {
					t.Errorf("the notice is %+v", p)
				}
			}
		}
		if notices != 0 {
			t.Errorf("with the reason %q, %d notices are missing", reason, notices)
		}
	}
}

func executesThrottled(t *testing.T, h *host) {
	const n = 10_000
	o := h.run(t, shown("steps", "conform.Steps", nodebus.Inputs{"n": n}))
	o.shows(t, "show", n)
	var values []float64
	for _, ev := range o.events {
		if p, ok := ev.Payload.(nodebus.Progress); ok {
			values = append(values, p.Value)
		}
	}
	switch {
	case len(values) == 0 || values[len(values)-1] != n:
		t.Errorf("the last step is not among the %d progress events", len(values))
	case len(values) > n/4:
		t.Errorf("%d steps became %d progress events, want at most a quarter", n, len(values))
	case !slices.IsSorted(values):
		t.Error("the progress events are not in order")
	}
}

// executesSnapshots checks the states of the nodes in the first snapshot that shows a
// node and in the last snapshot.
func executesSnapshots(t *testing.T, h *host) {
	states := func(o outcome) (first, last map[string]string) {
		first = map[string]string{}
		for _, ev := range o.events {
			p, ok := ev.Payload.(nodebus.ProgressState)
			if !ok {
				continue
			}
			last = map[string]string{}
			for _, n := range p.Nodes() {
				last[n.UniqueID] = n.State
				if _, seen := first[n.UniqueID]; !seen {
					first[n.UniqueID] = n.State
				}
				if want := (nodebus.Place{UniqueID: n.UniqueID}).WithDefaults(); n.Place.WithDefaults() != want {
					t.Errorf("a snapshot has the place %+v, want %+v", n.Place, want)
				}
				if n.State == "finished" && n.Value != n.Max {
					t.Errorf("node %s is finished with the value %g of %g", n.UniqueID, n.Value, n.Max)
				}
			}
		}
		return first, last
	}
	first, last := states(h.run(t, sums(1, 2, 4)))
	for _, id := range []string{"first", "second", "show"} {
		if first[id] != "running" || last[id] != "finished" {
			t.Errorf("node %s is %q in its first snapshot and %q in the last one, want running and finished", id, first[id], last[id])
		}
	}
	_, last = states(h.run(t, failing("error")))
	if len(last) != 1 || last["fail"] != "error" {
		t.Errorf("the last snapshot of a failed prompt has the states %q, want an error of node fail", last)
	}
}

func executesCached(t *testing.T, h *host) {
	h.run(t, sums(1, 2, 4)).shows(t, "show", 7)
	o := h.run(t, sums(1, 2, 4))
	o.shows(t, "show", 7) // the result is shown again
	cached := slices.Clone(o.record.Cached.Nodes)
	slices.Sort(cached)
	same(t, "cached nodes", cached, []string{"first", "second", "show"})
	if o.ran("first") || o.ran("second") || o.ran("show") {
		t.Errorf("a cached node ran: %q", o.order())
	}
	o = h.run(t, sums(1, 2, 5))
	o.shows(t, "show", 8)
	same(t, "cached nodes", o.record.Cached.Nodes, []string{"first"})
}

func executesDynamic(t *testing.T, h *host) {
	g := nodebus.NewGraph()
	sum := g.AddAs("sum", "conform.Sum", nodebus.Inputs{"a": 1, "b": 2})
	g.AddAs("show", "conform.Parts", nodebus.Inputs{
		"parts.part3": sum, "parts.part0": 7, "parts.part9": 8, "mode": "two", "mode.n": sum, "mode.other": 1, "zeta": sum, "alpha": "x",
	})
	nodes := g.Nodes()
	nodes[len(nodes)-1].OrderInputs("zeta", "alpha")
	h.submit(t, &nodebus.Prompt{Nodes: nodes}, nil, nil).shows(t, "show", "[{part0 7} {part3 3}]two 3[{zeta 3} {alpha x}]")
	h.run(t, shownParts(nodebus.Inputs{"mode": "one"})).shows(t, "show", "[]one[]")
	h.run(t, shownParts(nil)).shows(t, "show", "[]none[]")

	// A link that the class does not declare fails the call.
	g = nodebus.NewGraph()
	g.AddAs("fail", "conform.Fail", nodebus.Inputs{"how": "error", "extra": g.Add("conform.Sum", nodebus.Inputs{"a": 1, "b": 2})})
	g.AddAs("show", "conform.Show", nodebus.Inputs{"value": g.Link("fail")})
	h.run(t, g).blames(t, `"extra"`)
}

func shownParts(in nodebus.Inputs) *nodebus.Graph {
	g := nodebus.NewGraph()
	g.AddAs("show", "conform.Parts", in)
	return g
}
