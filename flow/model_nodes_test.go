package flow_test

import (
	"cmp"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// These are the nodes of the model: small functions of integers that together use
// every feature of nodes. The file model_eval_test.go computes each of them again in
// a simple way.

// tripwire counts the calls of the model's nodes, and calls do at one of them.
type tripwire struct {
	calls atomic.Int64
	at    int64 // the number of the call that calls do; 0: never
	do    func()
}

func (w *tripwire) touch() {
	if w != nil && w.calls.Add(1) == w.at {
		w.do()
	}
}

type mConst struct {
	Value int
	wire  *tripwire
}

func (n mConst) Run(*nodebus.Context) (int, error) {
	n.wire.touch()
	return n.Value, nil
}

type mAdd struct {
	A, B int
	wire *tripwire
}

func (n mAdd) Run(*nodebus.Context) (int, error) {
	n.wire.touch()
	return n.A + n.B, nil
}

// mAsync is an asynchronous mAdd.
type mAsync struct {
	A, B int
	wire *tripwire
}

func (n mAsync) Run(ctx *nodebus.Context) (int, error) {
	n.wire.touch()
	runtime.Gosched()
	return n.A + n.B, ctx.Err()
}

// mPick asks for one of its two lazy inputs, for both, or for none.
type mPick struct {
	Which int
	A, B  nodebus.Lazy[int]
	wire  *tripwire
}

func (n mPick) Run(ctx *nodebus.Context) (sum int, err error) {
	n.wire.touch()
	for i, l := range []nodebus.Lazy[int]{n.A, n.B} {
		if n.Which&(1<<i) != 0 {
			v, err := l.Get(ctx)
			if err != nil {
				return 0, err
			}
			sum += v
		}
	}
	return sum, nil
}

type mRange struct {
	N    int
	wire *tripwire
}

func (n mRange) Run(*nodebus.Context) (l nodebus.List[int], err error) {
	n.wire.touch()
	for i := range n.N {
		l = append(l, i)
	}
	return l, nil
}

type mSum struct {
	Values nodebus.List[int]
	Scale  int
	wire   *tripwire
}

func (n mSum) Run(*nodebus.Context) (sum int, err error) {
	n.wire.touch()
	for _, v := range n.Values {
		sum += v
	}
	return sum * n.Scale, nil
}

// mGate blocks multiples of Every.
type mGate struct {
	In, Every int
	wire      *tripwire
}

func (n mGate) Run(*nodebus.Context) (int, error) {
	n.wire.touch()
	if n.In%n.Every == 0 {
		return 0, nodebus.Block(fmt.Sprintf("a multiple of %d", n.Every))
	}
	return n.In, nil
}

// mSplit blocks one of its two outputs.
type mSplit struct {
	In   int
	wire *tripwire
}

type mHalves struct {
	Even nodebus.Out[int] `out:"even"`
	Odd  nodebus.Out[int] `out:"odd"`
}

func (n mSplit) Run(*nodebus.Context) (h mHalves, err error) {
	n.wire.touch()
	h.Even.Value, h.Odd.Value = n.In, n.In
	if n.In%2 == 0 {
		h.Odd.Blocked = nodebus.Block("")
	} else {
		h.Even.Blocked = nodebus.Block("")
	}
	return h, nil
}

// mExpand returns the result of a chain of mAdd nodes that it makes. mEval makes the
// same chain and waits for its value. If Fails is not negative, the chain fails for this
// value.
type mExpand struct {
	In, Depth int
	Fails     int `in:"fails,optional" default:"-1"`
	wire      *tripwire
}

func row(g *nodebus.Graph, in, depth, fails int) nodebus.Link {
	at := g.Add("Const", nodebus.Inputs{"value": in})
	if fails >= 0 {
		at = g.Add("Fail", nodebus.Inputs{"in": at, "at": fails})
	}
	for i := range depth {
		at = g.Add("Add", nodebus.Inputs{"a": at, "b": i})
	}
	return at
}

func (n mExpand) Run(ctx *nodebus.Context) (nodebus.Out[int], error) {
	n.wire.touch()
	g := ctx.NewGraph()
	return nodebus.Out[int]{From: row(g, n.In, n.Depth, n.Fails), Graph: g}, nil
}

type mEval struct {
	In, Depth int
	Fails     int `in:"fails,optional" default:"-1"`
	wire      *tripwire
}

func (n mEval) Run(ctx *nodebus.Context) (int, error) {
	n.wire.touch()
	g := ctx.NewGraph()
	return nodebus.Eval[int](ctx, g, row(g, n.In, n.Depth, n.Fails))
}

// mCatch handles the error of its source.
type mCatch struct {
	A    nodebus.Lazy[int]
	wire *tripwire
}

func (n mCatch) Run(ctx *nodebus.Context) (int, error) {
	n.wire.touch()
	v, err := n.A.Get(ctx)
	if err != nil && ctx.Err() == nil && !errors.As(err, new(*nodebus.BlockedError)) {
		return 3, nil
	}
	return v, err
}

var errModel = errors.New("a number that fails")

// mFail fails for one input value.
type mFail struct {
	In, At int
	wire   *tripwire
}

func (n mFail) Run(*nodebus.Context) (int, error) {
	n.wire.touch()
	switch {
	case n.In == n.At && n.At%2 == 0:
		panic(errModel)
	case n.In == n.At:
		return 0, errModel
	}
	return n.In, nil
}

type mShow struct {
	In   int
	wire *tripwire
}

func (n mShow) Run(*nodebus.Context) (nodebus.UI, error) {
	n.wire.touch()
	return nodebus.Text(fmt.Sprint(n.In)), nil
}

func modelRegistry(wire *tripwire) *flow.Registry {
	r := flow.NewRegistry()
	flow.Register(r, mConst{wire: wire}, nodebus.Info{Name: "Const"})
	flow.Register(r, mAdd{wire: wire}, nodebus.Info{Name: "Add"})
	flow.Register(r, mAsync{wire: wire}, nodebus.Info{Name: "Async", Async: true})
	flow.Register(r, mPick{wire: wire}, nodebus.Info{Name: "Pick"})
	flow.Register(r, mRange{wire: wire}, nodebus.Info{Name: "Range"})
	flow.Register(r, mSum{wire: wire}, nodebus.Info{Name: "Sum"})
	flow.Register(r, mGate{wire: wire}, nodebus.Info{Name: "Gate"})
	flow.Register(r, mSplit{wire: wire}, nodebus.Info{Name: "Split"})
	flow.Register(r, mExpand{wire: wire}, nodebus.Info{Name: "Expand"})
	flow.Register(r, mEval{wire: wire}, nodebus.Info{Name: "Eval"})
	flow.Register(r, mCatch{wire: wire}, nodebus.Info{Name: "Catch"})
	flow.Register(r, mFail{wire: wire}, nodebus.Info{Name: "Fail"})
	flow.Register(r, mPick{wire: wire}, nodebus.Info{Name: "AsyncPick", Async: true})
	flow.Register(r, mSplit{wire: wire}, nodebus.Info{Name: "AsyncSplit", Async: true})
	flow.Register(r, mExpand{wire: wire}, nodebus.Info{Name: "AsyncExpand", Async: true})
	flow.Register(r, mEval{wire: wire}, nodebus.Info{Name: "AsyncEval", Async: true})
	flow.Register(r, mFail{wire: wire}, nodebus.Info{Name: "AsyncFail", Async: true})
	flow.Register(r, mShow{wire: wire}, nodebus.Info{Name: "Show"})
	registerLive(r, wire)
	return r
}

var modelInputs = map[string][]string{
	"Const": {"value"}, "Add": {"a", "b"}, "Range": {"n"}, "Gate": {"in", "every"},
	"Split": {"in"}, "Expand": {"in", "depth"}, "Eval": {"in", "depth"}, "Fail": {"in", "at"}, "Show": {"in"},
}

// synchronous returns the class that computes the same as an asynchronous class.
func synchronous(class string) string {
	return cmp.Or(strings.Replace(class, "Async", "", 1), "Add")
}
