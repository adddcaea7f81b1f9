package flow_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
)

// cell is one value on a link in the model.
type cell struct {
	n       int
	blocked bool
}

// cells is the content of a link: a list, usually of one element.
type cells []cell

// evaluator is the model. It computes a prompt recursively by the rules of execution
// semantics 7 to 11. It ignores order and speed.
type evaluator struct {
	specs map[string]nodebus.NodeSpec
	done  map[string][]cells
	keys  map[string]string // cache keys in readable form

	ran    map[string]int // number of evaluated nodes by key
	failed map[string]bool
	shown  map[string][]string
	ends   map[string]string // how the nodes ended

	known  map[string]int // keys of cached results
	quiet  int            // above 0: what is evaluated does not run, because a result is cached
	unseen map[string][]cells
}

func newEvaluator(nodes nodebus.Nodes) *evaluator {
	e := &evaluator{
		specs: map[string]nodebus.NodeSpec{}, done: map[string][]cells{}, keys: map[string]string{},
		unseen: map[string][]cells{}, ran: map[string]int{}, failed: map[string]bool{}, shown: map[string][]string{},
		ends: map[string]string{},
	}
	for _, s := range nodes {
		e.specs[s.ID] = s
	}
	return e
}

// key returns the key of a node: its class, its literals and the keys of its
// sources.
func (e *evaluator) key(id string) string {
	if k, ok := e.keys[id]; ok {
		return k
	}
	s := e.specs[id]
	var b strings.Builder
	b.WriteString(s.Class)
	for _, name := range slices.Sorted(maps.Keys(s.Inputs)) {
		if l, ok := s.Inputs[name].(nodebus.Link); ok {
			fmt.Fprintf(&b, " %s=(%s).%d", name, e.key(l.Node), l.Slot)
		} else {
			fmt.Fprintf(&b, " %s=%v", name, s.Inputs[name])
		}
	}
	if b.Len() > 200 { // without a limit, the keys would grow exponentially
		k := fmt.Sprintf("#%d", len(b.String()))
		for _, c := range b.String() {
			k = fmt.Sprintf("#%x", hash(k)*31+uint64(c))
		}
		e.keys[id] = k
		return k
	}
	e.keys[id] = b.String()
	return b.String()
}

func hash(s string) (h uint64) {
	for _, c := range []byte(s) {
		h = h*1099511628211 + uint64(c)
	}
	return h
}

type failure struct{ node string }

// input returns an input as a list.
func (e *evaluator) input(s nodebus.NodeSpec, name string) cells {
	switch v := s.Inputs[name].(type) {
	case nodebus.Link:
		return e.eval(v.Node)[v.Slot]
	case int:
		return cells{{n: v}}
	case int64: // the type after validation
		return cells{{n: int(v)}}
	}
	panic(fmt.Sprintf("model: node %s has no input %s", s.ID, name))
}

// inputs returns inputs that a node needs before it runs. If some of the sources fail,
// any of them may be the first to fail in a run: inputs notes all of them.
func (e *evaluator) inputs(s nodebus.NodeSpec, names ...string) (lists []cells) {
	var failed any
	for _, name := range names {
		func() {
			defer func() {
				if r := recover(); r != nil {
					e.noteFailure(r)
					failed = r
				}
			}()
			lists = append(lists, e.input(s, name))
		}()
	}
	if failed != nil {
		panic(failed)
	}
	return lists
}

// noteFailure notes a failure that was recovered, and panics with anything else.
func (e *evaluator) noteFailure(recovered any) {
	f, ok := recovered.(failure)
	if !ok {
		panic(recovered)
	}
	e.failed[f.node] = true
}

func (e *evaluator) eval(id string) []cells {
	if outs, ok := e.done[id]; ok {
		return outs
	}
	if outs, ok := e.unseen[id]; ok && e.quiet > 0 {
		return outs
	}
	s := e.specs[id]
	key := e.key(id)
	if e.known[key] > 0 {
		e.quiet++
		defer func() { e.quiet-- }()
	}
	var outs []cells
	defer e.noteEnd(id)
	switch s.Class {
	case "Sum":
		outs = e.sum(s)
	case "Pick", "AsyncPick", "LivePick":
		outs = e.pick(s)
	case "Catch":
		outs = e.catch(s)
	default:
		outs = e.mapped(s)
	}
	if e.quiet > 0 {
		e.unseen[id] = outs // another node may need this node to run
		return outs
	}
	e.ran[key]++
	e.done[id] = outs
	return outs
}

// noteEnd notes how a node has ended, and panics again if it has failed.
func (e *evaluator) noteEnd(id string) {
	r := recover()
	if e.ends[id] == "" {
		e.ends[id] = "done"
	}
	if r == nil {
		return
	}
	e.noteFailure(r)
	switch f := r.(failure); {
	case f.node == id, strings.HasPrefix(f.node, id+"."):
		e.ends[id] = "error"
	default:
		e.ends[id] = "skipped"
	}
	panic(r)
}

// catch is a node that handles the error of its only input. If the input is a list, it
// computes a result for each element.
func (e *evaluator) catch(s nodebus.NodeSpec) []cells {
	l := cells{{n: 3}}
	func() {
		defer func() {
			if r := recover(); r != nil {
				e.noteFailure(r)
			}
		}()
		if l = e.input(s, "a"); len(l) == 0 {
			l = cells{{n: 3}} // an empty list is an error, too
		}
	}()
	for _, c := range l {
		if c.blocked {
			e.ends[s.ID] = "blocked"
		}
	}
	return []cells{l}
}

func (e *evaluator) sum(s nodebus.NodeSpec) []cells {
	in := e.inputs(s, "values", "scale")
	values, scale := in[0], in[1]
	total := cell{}
	for _, v := range append(slices.Clone(values), scale...) {
		total.blocked = total.blocked || v.blocked
	}
	if total.blocked {
		e.ends[s.ID] = "blocked"
		return []cells{{total}}
	}
	if len(scale) == 0 {
		panic(failure{s.ID})
	}
	for _, v := range values {
		total.n += v.n
	}
	total.n *= scale[0].n
	return []cells{{total}}
}

// pick evaluates only the inputs that the node asks for. If a lazy input is a list,
// pick computes a result for each element. The elements of an AsyncPick are computed side
// by side, so that any failure may be the first.
func (e *evaluator) pick(s nodebus.NodeSpec) []cells {
	lazy, dead := picked(s)
	which := e.inputs(s, append([]string{"which"}, dead...)...)[0]
	calls, out := len(which), cells{}
	var failed any
	for k := 0; k < calls; k++ {
		func() {
			defer func() {
				if r := recover(); r != nil {
					e.noteFailure(r)
					failed = r
				}
			}()
			out = append(out, e.pickOne(s, lazy, which[min(k, len(which)-1)], k, &calls))
		}()
		if failed != nil && s.Class != "AsyncPick" {
			break
		}
	}
	if failed != nil {
		panic(failed)
	}
	return []cells{out}
}

// mapped calls a node for each element of its longest list.
func (e *evaluator) mapped(s nodebus.NodeSpec) []cells {
	live, dead := needed(s)
	lists := e.inputs(s, append(live[:len(live):len(live)], dead...)...)[:len(live)]
	calls := 0
	for _, l := range lists {
		calls = max(calls, len(l))
	}
	if slices.ContainsFunc(lists, func(l cells) bool { return len(l) == 0 }) {
		calls = 0
	}
	outs := make([]cells, 1)
	if synchronous(s.Class) == "Split" {
		outs = make([]cells, 2)
	}
	var failed any
	for k := range calls {
		args := make([]cell, len(lists))
		blocked := false
		for i, l := range lists {
			args[i] = l[min(k, len(l)-1)]
			blocked = blocked || args[i].blocked
		}
		if blocked {
			e.ends[s.ID] = "blocked"
			for o := range outs {
				outs[o] = append(outs[o], cell{blocked: true})
			}
			continue
		}
		for o, c := range e.callOrNote(s, k, args, &failed) {
			outs[o] = append(outs[o], c...)
		}
	}
	if failed != nil {
		panic(failed)
	}
	return outs
}

// callOrNote is call. The nodes that calls of Expand make run after all these calls, so
// callOrNote notes their failure, and the next call is made.
func (e *evaluator) callOrNote(s nodebus.NodeSpec, k int, args []cell, failed *any) (outs []cells) {
	if s.Class == "Expand" {
		defer func() {
			if r := recover(); r != nil {
				e.noteFailure(r)
				*failed = r
			}
		}()
	}
	return e.call(s, k, args)
}

func (e *evaluator) call(s nodebus.NodeSpec, k int, args []cell) []cells {
	one := func(n int) []cells { return []cells{{{n: n}}} }
	switch synchronous(s.Class) {
	case "Const":
		return one(args[0].n)
	case "Add":
		return one(args[0].n + args[1].n)
	case "Live":
		return one(sumLive(first(liveKeys(s)), args))
	case "Range":
		l := cells{}
		for i := range args[0].n {
			l = append(l, cell{n: i})
		}
		return []cells{l}
	case "Gate":
		if args[0].n%args[1].n == 0 {
			e.ends[s.ID] = "blocked"
		}
		return []cells{{{n: args[0].n, blocked: args[0].n%args[1].n == 0}}}
	case "Split":
		odd := args[0].n%2 != 0
		return []cells{{{n: args[0].n, blocked: odd}}, {{n: args[0].n, blocked: !odd}}}
	case "Expand", "Eval":
		return e.expand(s, k, args)
	case "Fail":
		if args[0].n == args[1].n {
			panic(failure{s.ID})
		}
		return one(args[0].n)
	case "Show":
		e.shown[s.ID] = append(e.shown[s.ID], fmt.Sprint(args[0].n))
		return nil
	}
	panic("model: class " + s.Class)
}

// expand evaluates the chain of nodes that Expand and Eval make.
func (e *evaluator) expand(s nodebus.NodeSpec, k int, args []cell) []cells {
	id := func(n int) string { return fmt.Sprintf("%s.%d.0.%d", s.ID, k, n) }
	last := nodebus.Link{Node: id(1)}
	e.specs[id(1)] = nodebus.NodeSpec{ID: id(1), Class: "Const", Inputs: nodebus.Inputs{"value": args[0].n}}
	n := 1
	add := func(class string, in nodebus.Inputs) {
		n++
		e.specs[id(n)] = nodebus.NodeSpec{ID: id(n), Class: class, Inputs: in}
		last = nodebus.Link{Node: id(n)}
	}
	if fails, ok := s.Inputs["fails"]; ok && fmt.Sprint(fails) != "-1" {
		add("Fail", nodebus.Inputs{"in": last, "at": fails})
	}
	for i := range max(args[1].n, 0) {
		add("Add", nodebus.Inputs{"a": last, "b": i})
	}
	return []cells{e.eval(last.Node)[0]}
}

// prompt evaluates the outputs. It returns false if a needed node fails.
func (e *evaluator) prompt(outputs []string) (ok bool) {
	ok = true
	for _, o := range outputs {
		func() {
			defer func() {
				if r := recover(); r != nil {
					e.noteFailure(r)
					ok = false
				}
			}()
			e.eval(o)
		}()
	}
	return ok
}
