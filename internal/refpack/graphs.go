package refpack

import "github.com/nodebus/nodebus"

// RefLazySwitch returns one of two values. The other value is never computed.
type RefLazySwitch struct {
	Cond    bool `default:"true"`
	OnTrue  nodebus.Lazy[any]
	OnFalse nodebus.Lazy[any]
}

// Run returns the chosen value.
func (n RefLazySwitch) Run(ctx *nodebus.Context) (any, error) {
	if n.Cond {
		return n.OnTrue.Get(ctx)
	}
	return n.OnFalse.Get(ctx)
}

// RefRange returns the numbers from 0 to n-1 as a list.
type RefRange struct {
	N int `default:"3" min:"0" max:"100000"`
}

// Run returns the list.
func (n RefRange) Run(*nodebus.Context) (nodebus.List[int], error) {
	list := make(nodebus.List[int], n.N)
	for i := range list {
		list[i] = i
	}
	return list, nil
}

// RefListSum adds all numbers of a list.
type RefListSum struct {
	Values nodebus.List[int] `in:",force"`
	Scale  int               `default:"1"`
}

type total struct {
	Sum   int `out:"sum"`
	Count int `out:"count"`
}

// Run returns the sum times scale, and the count of the numbers.
func (n RefListSum) Run(*nodebus.Context) (total, error) {
	t := total{Count: len(n.Values)}
	for _, v := range n.Values {
		t.Sum += v * n.Scale
	}
	return t, nil
}

// RefExpand expands into a chain of nodes that each add 1.
type RefExpand struct {
	Value       int  `default:"0"`
	Depth       int  `default:"2" min:"1" max:"100"`
	InnerOutput bool `default:"false"`
}

// Run returns the chain as its replacement. If InnerOutput is set, an output node
// is at the end of the chain.
func (n RefExpand) Run(ctx *nodebus.Context) (nodebus.Out[int], error) {
	g := ctx.NewGraph()
	last := g.Add("RefAdd", nodebus.Inputs{"a": n.Value, "b": 1})
	for range n.Depth - 1 {
		last = g.Add("RefAdd", nodebus.Inputs{"a": last, "b": 1})
	}
	if n.InnerOutput {
		g.Add("RefOutput", nodebus.Inputs{"value": last})
	}
	return nodebus.Out[int]{Graph: g, From: last}, nil
}

// RefExpandRaise expands into a node that fails.
type RefExpandRaise struct{ Value any }

// Run returns the failing node as its replacement.
func (n RefExpandRaise) Run(ctx *nodebus.Context) (nodebus.Out[any], error) {
	g := ctx.NewGraph()
	bad := g.AddAs("bad", "RefRaise", nodebus.Inputs{"value": n.Value, "message": "inner boom"})
	return nodebus.Out[any]{Graph: g, From: bad}, nil
}

// TestExecutionBlocker passes a value on, or blocks the nodes that depend on it.
type TestExecutionBlocker struct {
	Input   any
	Block   bool
	Verbose bool `default:"false"`
}

type passed struct {
	Output nodebus.Out[any] `out:"output"`
}

// Run returns the value or, if Block is set, a blocked output. If Verbose is set,
// the block has a reason.
func (n TestExecutionBlocker) Run(*nodebus.Context) (passed, error) {
	switch {
	case n.Block && n.Verbose:
		return passed{nodebus.Out[any]{Blocked: nodebus.Block("Blocked Execution")}}, nil
	case n.Block:
		return passed{nodebus.Out[any]{Blocked: nodebus.Block("")}}, nil
	}
	return passed{nodebus.Out[any]{Value: n.Input}}, nil
}

// TestDynamicDependencyCycle expands into two nodes that wait for each other.
type TestDynamicDependencyCycle struct {
	Input1 Image
	Input2 Image
}

// Run returns the second node as its replacement.
func (n TestDynamicDependencyCycle) Run(ctx *nodebus.Context) (nodebus.Out[Image], error) {
	g := ctx.NewGraph()
	mask := g.Add("StubMask", nodebus.Inputs{"value": 0.5, "width": 512, "height": 512})
	first := g.Add("TestLazyMixImages", nodebus.Inputs{"image1": n.Input1, "image2": g.Link("3"), "mask": mask})
	second := g.Add("TestLazyMixImages", nodebus.Inputs{"image1": first, "image2": n.Input2, "mask": mask})
	return nodebus.Out[Image]{Graph: g, From: second}, nil
}
