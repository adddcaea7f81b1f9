package loops

import (
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"sync/atomic"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func isTermination(name string) bool { return strings.HasPrefix(name, "termination") }

// opening is what a StartLoop receives.
type opening struct {
	loop *loop
	up   *scope        // the iteration of the loop around it; nil if there is none
	made *atomic.Int64 // the nodes that the outermost loop has made; nil if this is the outermost loop
}

// result is what a StartLoop gives to its EndLoop.
type result struct {
	outputs []nodebus.Link // of the iterations; only of the last unless EndLoop may accumulate
}

// scope is one iteration of a loop.
type scope struct {
	loop *loop
	up   *scope
	g    *nodebus.Graph
	at   int
}

func (s *scope) copy(id string) nodebus.Link { return s.g.Link(strconv.Itoa(s.at) + "_" + id) }

// resolve returns the input of a copy for an input of the body: a link within the loop becomes a
// link within the iteration.
func (s *scope) resolve(v any) any {
	l, ok := v.(nodebus.Link)
	if !ok {
		return literal(v)
	}
	for ; s != nil; s = s.up {
		switch {
		case l.Node == s.loop.start:
			return s.g.Link(iterationName(s.at)).At(l.Slot)
		case s.loop.isMember[l.Node]:
			return s.copy(l.Node).At(l.Slot)
		}
	}
	return l
}

func iterationName(at int) string { return "iteration_" + strconv.Itoa(at) }

// literal returns a literal of a prompt as a graph made at run time takes it: a node reads it as
// in the prompt if it is {"__value__": literal}.
func literal(v any) any {
	switch v.(type) {
	case nil, bool, int, int64, uint64, float64, string:
		return v
	}
	if m, ok := v.(map[string]any); ok && len(m) == 1 && m["__value__"] != nil {
		return v
	}
	return map[string]any{"__value__": v}
}

// starter is the code of StartLoop.
type starter struct{ opts Options }

var (
	errNoLoop   = errors.New("the node has no EndLoop; a StartLoop runs only in a prompt that was checked with an EndLoop after it")
	errNoResult = errors.New("the node has no StartLoop; an EndLoop runs only in a prompt that was checked with a StartLoop before it")
)

func (s *starter) run(ctx *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
	o, ok := in[planInput].(*opening)
	if !ok {
		return flow.Result{}, errNoLoop
	}
	made := o.made
	if made == nil {
		made = &atomic.Int64{}
	}
	r, err := rangeOf(in["mode"].(nodebus.Inputs))
	if err != nil {
		return flow.Result{}, err
	}
	each := int64(len(o.loop.members) + 2)
	if r.n.Cmp(big.NewInt(int64(s.opts.Nodes))) > 0 || made.Add(each*r.n.Int64()) > int64(s.opts.Nodes) {
		return flow.Result{}, fmt.Errorf("the loop has %v iterations with %d nodes each: with the loops around and inside of it, these are more than %d nodes; let it run less often, or raise Options.Nodes of package loops",
			&r.n, each, s.opts.Nodes)
	}
	reuse, _ := in["cache_iterations"].(bool)
	b := builder{g: ctx.NewGraph(), o: o, made: made, start: ctx.UniqueID(), n: int(r.n.Int64()), reuse: reuse}
	tell(ctx, b.start, 0, b.n)
	for at := range b.n {
		b.iteration(at, r)
	}
	b.finish()
	first := nodebus.Out[any]{Value: 0, Graph: b.g}
	if b.n > 0 {
		first.From = b.progress // so that EndLoop begins when the last iteration has ended
	}
	return flow.Result{Outputs: []any{first, false, b.n == 0, &result{b.outputs}, nil}}, nil
}

// indexes are the numbers of the iterations, and the elements of a list.
type indexes struct {
	first, step, n big.Int
	items          []any // nil unless the loop goes over a list
}

// rangeOf returns the iterations that mode asks for.
func rangeOf(mode nodebus.Inputs) (r *indexes, err error) {
	r = &indexes{}
	r.step.SetInt64(1)
	switch mode["mode"] {
	case "simple":
		r.n.Set(whole(mode["num_iterations"]))
	case "For":
		last := whole(mode["max_iteration"])
		r.first.Set(whole(mode["start_iteration_index"]))
		if r.step.Set(whole(mode["step"])); r.step.Sign() <= 0 {
			return nil, &nodebus.InputError{Input: "mode.step", Err: errors.New("the step must be at least 1")}
		}
		r.n.Sub(last, &r.first)
		r.n.Add(&r.n, &r.step).Sub(&r.n, big.NewInt(1))
		r.n.Quo(&r.n, &r.step)
	case "List":
		r.items, _ = mode["list"].([]any)
		r.n.SetInt64(int64(len(r.items)))
	}
	if r.n.Sign() < 0 {
		r.n.SetInt64(0)
	}
	return r, nil
}

// whole returns an input of the type INT.
func whole(v any) *big.Int {
	if u, ok := v.(uint64); ok {
		return new(big.Int).SetUint64(u)
	}
	i, _ := v.(int64)
	return big.NewInt(i)
}

// index returns the number of an iteration: an int, or a uint64 above the range of int.
func (r *indexes) index(at int) any {
	var i big.Int
	i.Mul(&r.step, big.NewInt(int64(at))).Add(&i, &r.first)
	if i.IsInt64() {
		return int(i.Int64())
	}
	return i.Uint64()
}

// runEnd returns what the iterations have given to output_value.
func runEnd(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
	r, ok := in[planInput].(*result)
	if !ok {
		return flow.Result{}, errNoResult
	}
	links := r.outputs
	if all, _ := in["accumulate"].(bool); !all && len(links) > 1 {
		links = links[len(links)-1:]
	}
	outs := make([]any, len(links))
	for i, l := range links {
		outs[i] = nodebus.Out[any]{From: l}
	}
	return flow.Result{Outputs: []any{outs}}, nil
}
