package flow_test

import (
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"weak"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests check that nobody notices that calls use the memory of nodes again.

// kept holds what nodes have kept: functions that return the inputs.
type kept struct {
	mu   sync.Mutex
	list []func() []int
}

func (k *kept) add(f func() []int) (int, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = append(k.list, f)
	return 0, nil
}

type keptInputs struct {
	In   int
	List nodebus.List[int]
	k    *kept
}

// keepsPointer keeps its receiver.
type keepsPointer keptInputs

func (n *keepsPointer) Run(*nodebus.Context) (int, error) {
	return n.k.add(func() []int { return append([]int{n.In}, n.List...) })
}

// keepsCopy keeps a pointer to the copy that it receives.
type keepsCopy keptInputs

func (n keepsCopy) Run(*nodebus.Context) (int, error) {
	p := &n
	return n.k.add(func() []int { return append([]int{p.In}, p.List...) })
}

// keepsInputs keeps its inputs.
type keepsInputs keptInputs

func (n keepsInputs) Run(*nodebus.Context) (int, error) {
	i, list := n.In, n.List
	return n.k.add(func() []int { return append([]int{i}, list...) })
}

// KeepsEmbedded has the method Run of a pointer to a field.
type KeepsEmbedded struct{ keepsPointer }

// keepsLazily keeps its lazy input, which it may ask only while it runs.
type keepsLazily struct {
	In   int
	List nodebus.Lazy[nodebus.List[int]]
	k    *kept
}

func (n keepsLazily) Run(ctx *nodebus.Context) (int, error) {
	list, err := n.List.Get(ctx)
	if err != nil {
		return 0, err
	}
	lazy, i := &n.List, n.In
	return n.k.add(func() []int {
		if _, err := lazy.Get(ctx); !errors.Is(err, nodebus.ErrClosed) {
			return nil
		}
		return append([]int{i}, list...)
	})
}

func TestNodesKeepWhatTheyReceived(t *testing.T) {
	k := &kept{}
	reg := flow.NewRegistry()
	flow.Register(reg, &keepsPointer{k: k}, nodebus.Info{Name: "Pointer", Output: true})
	flow.Register(reg, keepsCopy{k: k}, nodebus.Info{Name: "Copy", Output: true})
	flow.Register(reg, &keepsCopy{k: k}, nodebus.Info{Name: "PointerToCopy", Output: true})
	flow.Register(reg, keepsInputs{k: k}, nodebus.Info{Name: "Inputs", Output: true})
	flow.Register(reg, &KeepsEmbedded{keepsPointer{k: k}}, nodebus.Info{Name: "Embedded", Output: true})
	flow.Register(reg, keepsLazily{k: k}, nodebus.Info{Name: "Lazy", Output: true})
	flow.Register(reg, twice{}, nodebus.Info{Name: "Twice"})
	for _, class := range []string{"Pointer", "Copy", "PointerToCopy", "Inputs", "Embedded", "Lazy"} {
		k.list = nil
		local := flow.NewLocal(reg, &flow.LocalOptions{Workers: 2, Cache: flow.NoCache()})
		const runs, nodes = 5, 50
		for run := range runs {
			g := nodebus.NewGraph()
			for i := range nodes {
				n := run*nodes + i + 1000
				g.Add(class, in{"in": n, "list": g.Add("Twice", in{"in": n})})
			}
			_, err := execute(local, t.Context(), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, &recorder{})
			require.NoError(t, err, class)
		}
		var got, want []int
		for i, f := range k.list {
			list := f()
			require.Len(t, list, 3, class)
			require.Equal(t, []int{list[0], list[0], 2 * list[0]}, list, class)
			got, want = append(got, list[0]), append(want, i+1000)
		}
		slices.Sort(got)
		require.Equal(t, want, got, class)
		require.Len(t, got, runs*nodes, class)
	}
}

// twice returns a list of its input and twice its input.
type twice struct{ In int }

func (n twice) Run(*nodebus.Context) (nodebus.List[int], error) {
	return nodebus.List[int]{n.In, 2 * n.In}, nil
}

// remembers shows all its fields.
type remembers struct {
	Opt    string            `in:"opt,optional"`
	Any    any               `in:"any,optional"`
	Preset int               `in:"preset,optional" default:"8"`
	List   nodebus.List[int] `in:"list,optional"`
	Fail   string            `in:"fail,optional"`
	secret string
}

func (n remembers) Run(*nodebus.Context) (string, error) {
	seen := fmt.Sprintf("%q %v %d %v %s", n.Opt, n.Any, n.Preset, n.List, n.secret)
	switch n.Fail {
	case "error":
		return "", errors.New("failed")
	case "panic":
		panic("failed")
	case "exit":
		runtime.Goexit()
	}
	return seen, nil
}

// TestNodesUsedAgainAreLikeNew: a node has the registered values where an input is not
// given, whatever the call before was given and however it ended.
func TestNodesUsedAgainAreLikeNew(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1, Cache: flow.NoCache()}, nil, func(r *rig) {
		flow.Register(r.reg, remembers{secret: "s", Opt: "own"}, nodebus.Info{Name: "Remembers"})
		for _, fail := range []string{"", "error", "", "panic", "", "exit", ""} {
			o := r.run(pipe("x", "Remembers", nil)) // pipe gives an input that the class does not have
			require.Equal(t, []any{`"own" <nil> 8 [] s`}, o.text("xo"), "after %q", fail)
			g := nodebus.NewGraph()
			given := in{"opt": "given", "any": 1, "preset": 2, "list": []any{3}, "fail": fail}
			g.AddAs("o", "Show", in{"in": g.AddAs("n", "Remembers", given)})
			if o := r.run(g.Nodes()); fail == "" {
				require.Equal(t, []any{`"given" 1 2 [3] s`}, o.text("o"))
			} else {
				require.Equal(t, "n", o.failed(t).NodeID)
			}
			g = nodebus.NewGraph() // one call after another with the same memory
			for i := range 3 {
				g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.Add("Remembers", in{"preset": i})})
				g.AddAs(fmt.Sprint("p", i), "Show", in{"in": g.Add("Remembers", in{"opt": "given", "any": i})})
			}
			o = r.run(g.Nodes())
			for i := range 3 {
				require.Equal(t, []any{fmt.Sprintf(`"own" <nil> %d [] s`, i)}, o.text(fmt.Sprint("o", i)))
				require.Equal(t, []any{fmt.Sprintf(`"given" %d 8 [] s`, i)}, o.text(fmt.Sprint("p", i)))
			}
		}
	})
}

// large is a value that a test can see in memory.
type large [1 << 16]byte

type makesLarge struct{ made func(*large) }

func (n makesLarge) Run(*nodebus.Context) (*large, error) {
	v := new(large)
	n.made(v)
	return v, nil
}

type takesLarge struct{ In *large }

func (n takesLarge) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// TestUsedNodesKeepNoInputs: the memory that waits for the next call does not keep the
// inputs of the last call alive.
func TestUsedNodesKeepNoInputs(t *testing.T) {
	var made weak.Pointer[large]
	reg := flow.NewRegistry()
	flow.Register(reg, makesLarge{made: func(v *large) { made = weak.Make(v) }}, nodebus.Info{Name: "Makes"})
	flow.Register(reg, takesLarge{}, nodebus.Info{Name: "Takes"})
	local := flow.NewLocal(reg, &flow.LocalOptions{Cache: flow.NoCache()})
	g := nodebus.NewGraph()
	g.Add("Takes", in{"in": g.Add("Makes", nil)})
	_, err := execute(local, t.Context(), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, &recorder{})
	require.NoError(t, err)
	runtime.GC()
	require.Nil(t, made.Value())
	runtime.KeepAlive(local)
	runtime.KeepAlive(reg)
}
