package flow_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// mLive has inputs that grow, inputs that follow from a choice, and takes all others. Each
// name has another weight in the sum.
type mLive struct {
	In     []nodebus.Named[int] `grow:"in,max=6"`
	Mode   mLiveMode
	Others map[string]int `in:",rest"`
	wire   *tripwire
}

type mLiveMode struct {
	One *struct{} `choice:"one"`
	Two *struct {
		A    int
		More map[string]int `grow:"m,min=0,max=3"`
	} `choice:"two"`
}

func (n mLive) Run(*nodebus.Context) (sum int, err error) {
	n.wire.touch()
	for _, in := range n.In {
		sum += weight(in.Name) * in.Value
	}
	for name, v := range n.Others {
		sum += weight(name) * v
	}
	if n.Mode.Two != nil {
		sum += weight("a") * n.Mode.Two.A
		for name, v := range n.Mode.Two.More {
			sum += weight(name) * v
		}
	}
	return sum, nil
}

func weight(name string) int { return int(name[0]%4) + int(name[len(name)-1]%8) }

// mLivePick asks for some of its lazy inputs: each bit of its number stands for an input.
type mLivePick struct {
	Which int
	In    []nodebus.Lazy[int] `grow:"in,min=0,max=5"`
	wire  *tripwire
}

func (n mLivePick) Run(ctx *nodebus.Context) (sum int, err error) {
	n.wire.touch()
	for i, l := range n.In {
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

func registerLive(r *flow.Registry, wire *tripwire) {
	flow.Register(r, mLive{wire: wire}, nodebus.Info{Name: "Live"})
	flow.Register(r, mLivePick{wire: wire}, nodebus.Info{Name: "LivePick"})
}

// randomLive returns inputs of a Live or LivePick. Some of them belong to no input.
func randomLive(r *rand.Rand, class string, value func(most int) any) nodebus.Inputs {
	inputs := nodebus.Inputs{}
	some := func(prefix string, n int) {
		for k := range n {
			if r.IntN(3) == 0 {
				inputs[prefix+strconv.Itoa(k)] = value(5)
			}
		}
	}
	some("in.in", 9)
	if class == "LivePick" {
		inputs["which"] = r.IntN(32)
		return inputs
	}
	inputs["in.in0"] = value(5)
	some("mode.more.m", 4)
	some("other", 3)
	inputs["mode"] = []string{"one", "two"}[r.IntN(2)]
	if inputs["mode"] == "two" || r.IntN(3) == 0 {
		inputs["mode.a"] = value(5)
	}
	return inputs
}

// isLive reports whether a key reaches a node of the class.
func isLive(s nodebus.NodeSpec, key string) bool {
	most := map[string]int{"in.in": 6, "mode.more.m": 3}
	if s.Class == "LivePick" {
		most = map[string]int{"in.in": 5}
	}
	for prefix, n := range most {
		if k, err := strconv.Atoi(strings.TrimPrefix(key, prefix)); strings.HasPrefix(key, prefix) {
			return err == nil && k < n && (prefix == "in.in" || s.Inputs["mode"] == "two")
		}
	}
	return key == "mode.a" && s.Inputs["mode"] == "two" || !strings.Contains(key, ".") && key != "mode"
}

// liveKeys returns the names of the inputs that reach a node, and of the linked inputs that do
// not: their sources run, too.
func liveKeys(s nodebus.NodeSpec) (live, dead []string) {
	for _, key := range slices.Sorted(maps.Keys(s.Inputs)) {
		_, linked := s.Inputs[key].(nodebus.Link)
		switch {
		case isLive(s, key):
			live = append(live, key)
		case linked:
			dead = append(dead, key)
		}
	}
	return live, dead
}

// needed returns the inputs of a node that is called for each element.
func needed(s nodebus.NodeSpec) (live, dead []string) {
	if s.Class == "Live" {
		return liveKeys(s)
	}
	return modelInputs[synchronous(s.Class)], nil
}

// picked returns the lazy inputs of a node.
func picked(s nodebus.NodeSpec) (lazy, dead []string) {
	if s.Class != "LivePick" {
		return []string{"a", "b"}, nil
	}
	lazy, dead = liveKeys(s)
	return slices.DeleteFunc(lazy, func(key string) bool { return key == "which" }), dead
}

func (e *evaluator) pickOne(s nodebus.NodeSpec, lazy []string, which cell, k int, calls *int) cell {
	sum := cell{blocked: which.blocked}
	for i, name := range lazy {
		if sum.blocked || which.n&(1<<i) == 0 {
			continue
		}
		l := e.input(s, name)
		if len(l) == 0 {
			panic(failure{s.ID})
		}
		*calls = max(*calls, len(l))
		v := l[min(k, len(l)-1)]
		sum.n += v.n
		sum.blocked = v.blocked
	}
	if sum.blocked {
		e.ends[s.ID] = "blocked"
	}
	return sum
}

func sumLive(names []string, args []cell) (sum int) {
	for i, name := range names {
		sum += weight(name[strings.LastIndex(name, ".")+1:]) * args[i].n
	}
	return sum
}

func first(all, _ []string) []string { return all }
