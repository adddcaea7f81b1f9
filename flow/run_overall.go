package flow

import "github.com/nodebus/nodebus"

// overall is how much of a run is done, as one number. Each node that has to run
// when the run begins has an equal share of the whole. Nodes that turn out to be
// needed later, because a node asks for a lazy input or makes others, divide
// what their maker has left of its share among them and it. Shares always add
// up to the whole and nobody loses what was earned, so that the number never
// goes back, however much the graph grows.
type overall struct {
	done   float64
	told   float64
	shares map[*runNode]share // nil if nobody asks
}

// share is what a node counts for, and how much of that it has earned.
type share struct{ part, earned float64 }

// overallStep is by how much the number grows before it is told again, which
// bounds the events of a prompt of any size.
const overallStep = 0.01

// share gives nodes that will run their shares; by is who needs them, nil for
// the prompt itself. r.mu is held.
func (g *progress) share(by *runNode, nodes []int32) {
	if !g.r.l.opts.Overall {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	fresh := 0
	for _, i := range nodes {
		if n := g.r.at(i); n.state == nodeFresh {
			fresh++
		}
	}
	left := 1.0
	if by != nil {
		if by.reports || fresh == 0 { // it says itself how far it is
			return
		}
		of := g.overall.shares[by]
		left = of.part - of.earned
		fresh++ // it has something left to do itself
	}
	if g.overall.shares == nil {
		g.overall.shares = make(map[*runNode]share, len(nodes))
	}
	part := left / float64(fresh)
	for _, i := range nodes {
		if n := g.r.at(i); n.state == nodeFresh {
			g.overall.shares[n] = share{part: part}
		}
	}
	if by != nil {
		earned := g.overall.shares[by].earned
		g.overall.shares[by] = share{earned + part, earned}
	}
}

// earn counts a part of a node's share, 0 to 1, as done.
func (g *progress) earn(n *runNode, part float64) {
	of, counts := g.overall.shares[n]
	if !counts {
		return
	}
	if e := of.part * min(part, 1); e > of.earned {
		g.overall.done += e - of.earned
		g.overall.shares[n] = share{of.part, e}
	}
	if g.overall.done >= g.overall.told+overallStep {
		g.tellOverall(min(g.overall.done, 1)) // a sum of many has an error
	}
}

func (g *progress) tellOverall(value float64) {
	g.overall.told = value
	_ = g.tell(nodebus.Overall{PromptID: g.r.p.ID, Value: value})
}
