package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests check that a prompt keeps its meaning when a queue or a record stores
// it as JSON: its nodes get the same arguments, and its results have the same cache
// keys.

type (
	hue    float64  // a named type
	mood   string   // a drop-down
	points []any    // a slice with a port type of its own
	place  struct { // an object with a port type of its own
		X, Y float64
		Tags []string
	}
)

func (mood) Options() []string { return []string{"1", "good", "1.0"} }

// probe has an input of every port type. It stores its inputs in seen.
type probe struct {
	Any       any                   `in:",optional"`
	Lazy      nodebus.Lazy[any]     `in:",optional"`
	Int       int                   `in:",optional"`
	Big       uint64                `in:",optional"`
	Float     float64               `in:",optional"`
	Small     float32               `in:",optional"`
	Text      string                `in:",optional"`
	Flag      bool                  `in:",optional"`
	Hue       hue                   `in:",optional"`
	Mood      mood                  `in:",optional"`
	Free      mood                  `in:",optional,unchecked"`
	Either    any                   `in:",optional" type:"INT,FLOAT"`
	Points    points                `in:",optional"`
	Place     place                 `in:",optional"`
	Map       objects               `in:",optional"`
	List      nodebus.List[any]     `in:",optional"`
	Ints      nodebus.List[int]     `in:",optional"`
	Floats    nodebus.List[float64] `in:",optional"`
	Texts     nodebus.List[string]  `in:",optional"`
	Places    nodebus.List[place]   `in:",optional"`
	seen      *sync.Map
	UniqueID  string `hidden:"UNIQUE_ID"`
	lazyValue any
}

type objects map[string]any

func (n probe) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	var err error
	if n.lazyValue, err = n.Lazy.Get(ctx); err != nil {
		return nil, err
	}
	seen := n.seen
	n.Lazy, n.seen = nodebus.Lazy[any]{}, nil
	seen.Store(n.UniqueID, fmt.Sprintf("%#v", n))
	return nil, nil
}

// unneeded is a node that no output needs. It does not run, but it has a cache key.
type unneeded struct {
	Any  any               `in:",optional"`
	Text string            `in:",optional"`
	Ints nodebus.List[int] `in:",optional"`
}

func (unneeded) Run(*nodebus.Context) (any, error) { return nil, nil }

// keyNotes is a cache that records the requested keys.
type keyNotes struct {
	flow.Cache
	mu   sync.Mutex
	keys []string
}

func (c *keyNotes) Get(key string) (flow.Result, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.keys = append(c.keys, key)
	return flow.Result{}, false
}

// literals makes random literals of JSON types and of Go types.
type literals struct{ *rand.Rand }

func (r literals) basic() any {
	return []any{
		nil, true, false, 0, 1, -7, int64(5), int8(-3), uint(9), uint64(4), uint64(math.MaxUint64), math.MaxInt64,
		0.0, 1.0, -2.0, 0.1, 1e21, 1e300, 1e-9, math.Copysign(0, -1), float32(0.5), float32(2),
		json.Number("1.0"), json.Number("1"), json.Number("1e3"), json.Number("18446744073709551615"), json.Number("0.10"),
		"", "1", "1.0", "good", "x", "__value__",
	}[r.IntN(33)]
}

func (r literals) nested(depth int) any {
	switch k := r.IntN(8); {
	case depth == 0 || k < 3:
		return r.basic()
	case k < 6:
		list := []any{}
		for range r.IntN(4) {
			list = append(list, r.nested(depth-1))
		}
		if r.IntN(3) == 0 {
			list = []any{"1", r.IntN(2)} // looks like a link
		}
		return list
	default:
		m := map[string]any{}
		for range r.IntN(3) {
			m[[]string{"a", "b", "x", "__value__", "tags"}[r.IntN(5)]] = r.nested(depth - 1)
		}
		return m
	}
}

// given returns a literal in a form that a prompt may contain: a list must be
// wrapped.
func (r literals) given() any {
	v := r.nested(3)
	if _, isList := v.([]any); isList || r.IntN(4) == 0 {
		return map[string]any{"__value__": v}
	}
	return v
}

var probeInputs = []string{
	"any", "lazy", "int", "big", "float", "small", "text", "flag", "hue", "mood", "free", "either", "points", "place", "map",
	"list", "ints", "floats", "texts", "places",
	"undeclared", "other",
}

// runProbes runs the valid nodes. It returns the inputs that the nodes saw, the keys
// that were requested from the cache, and the prompt as JSON.
func runProbes(t *testing.T, nodes nodebus.Nodes) (seen map[any]any, keys []string, stored []byte) {
	t.Helper()
	all := &sync.Map{}
	reg := flow.NewRegistry()
	flow.Register(reg, probe{seen: all}, nodebus.Info{Name: "Probe", Output: true})
	flow.Register(reg, unneeded{}, nodebus.Info{Name: "Unneeded"})
	notes := &keyNotes{Cache: flow.NewCache(nil)}
	local := flow.NewLocal(reg, &flow.LocalOptions{Workers: 1, Cache: notes})
	p := &nodebus.Prompt{ID: "p", Nodes: nodes}
	prepared, err := local.Prepare(context.Background(), p)
	if prepared == nil {
		require.Error(t, err)
		return nil, nil, nil
	}
	stored, err = json.Marshal(p.Nodes)
	require.NoError(t, err)
	_, err = local.Execute(t.Context(), nodebus.Job{Prompt: p, Attempt: 1, Prepared: prepared}, &recorder{})
	require.NoError(t, err)
	seen = map[any]any{}
	all.Range(func(k, v any) bool { seen[k] = v; return true })
	return seen, notes.keys, stored
}

func TestPromptsSurviveTheirEncoding(t *testing.T) {
	seeds := uint64(3000)
	if testing.Short() {
		seeds = 500
	}
	valid := 0
	for seed := range seeds {
		r := literals{rand.New(rand.NewPCG(seed, 7))}
		g := nodebus.NewGraph()
		for range 6 {
			inputs := in{}
			for range 1 + r.IntN(3) {
				inputs[probeInputs[r.IntN(len(probeInputs))]] = r.given()
			}
			g.Add([]string{"Probe", "Probe", "Probe", "Unneeded"}[r.IntN(4)], inputs)
		}
		nodes := g.Nodes()
		for i := range nodes { // Add would wrap these bare lists
			if r.IntN(6) == 0 {
				nodes[i].Inputs["ints"] = []int{3, 4}
			}
			if r.IntN(6) == 0 {
				nodes[i].Inputs["undeclared"] = [][]any{{"1", 0}, {"1", 1.0}, {"1", -1}, {1.0, "x"}, {}}[r.IntN(5)]
			}
		}
		seen, keys, stored := runProbes(t, nodes)
		if seen == nil {
			continue
		}
		valid += len(seen)
		again, err := nodebus.ParseNodes(stored)
		require.NoError(t, err)
		seen2, keys2, stored2 := runProbes(t, again)
		require.Equal(t, seen, seen2, "seed %d: %s", seed, stored)
		require.Equal(t, keys, keys2, "seed %d: %s", seed, stored)
		require.Equal(t, string(stored), string(stored2), "seed %d", seed)
	}
	require.Greater(t, valid, int(seeds))
}

// TestGoValuesStayLiterals checks values whose Go type JSON does not keep: after
// decoding they are still literals, and later encodings do not change them.
func TestGoValuesStayLiterals(t *testing.T) {
	for _, v := range []any{
		[]int{1, 2},
		[]string{"1", "0"},
		[]byte("ab"),
		points{"1", 0},
		hue(1), mood("good"),
		place{X: 1},
		map[string]int{"a": 1},
		[]any{"1", 0},
		[]any{[]any{"1", 0}},
		[][]int{{1}},
	} {
		for _, name := range []string{"any", "list", "lazy"} {
			g := nodebus.NewGraph()
			g.Add("Probe", in{name: v})
			seen, _, stored := runProbes(t, g.Nodes())
			require.Len(t, seen, 1, "%T", v)
			again, err := nodebus.ParseNodes(stored)
			require.NoError(t, err)
			seen2, keys2, stored2 := runProbes(t, again)
			require.Len(t, seen2, 1, "%T: %s", v, stored)
			again, err = nodebus.ParseNodes(stored2)
			require.NoError(t, err)
			seen3, keys3, stored3 := runProbes(t, again)
			require.Equal(t, seen2, seen3)
			require.Equal(t, keys2, keys3)
			require.Equal(t, string(stored2), string(stored3))
		}
	}
}

// TestKeysTellLiteralsApart checks that different literals have different keys, for
// example an int and a float of the same value in a list.
func TestKeysTellLiteralsApart(t *testing.T) {
	var all []string
	for _, text := range []string{`1`, `1.0`, `"1"`, `[1]`, `[1.0]`, `["1"]`, `{"a":1}`, `{"a":1.0}`, `[[1]]`, `{"a":[]}`, `{}`, `[]`, `null`, `true`} {
		nodes := parse(t, `{"x":{"class_type":"Probe","inputs":{"any":{"__value__":`+text+`}}}}`)
		_, keys, _ := runProbes(t, nodes)
		all = append(all, keys[0])
	}
	slices.Sort(all)
	require.Len(t, slices.Compact(slices.Clone(all)), len(all))
}

// TestUnneededNodesStayAsReceived checks that the record keeps the literals of a
// node that no output needs in the received form.
func TestUnneededNodesStayAsReceived(t *testing.T) {
	_, _, stored := runProbes(t, parse(t, `{"x":{"class_type":"Unneeded","inputs":{"text":5}},"y":{"class_type":"Probe","inputs":{"text":5}}}`))
	require.JSONEq(t, `{"x":{"class_type":"Unneeded","inputs":{"text":5}},"y":{"class_type":"Probe","inputs":{"text":"5"}}}`, string(stored))
}
