package conform

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Cache tests a [flow.Cache] against its contract. fresh returns a new, empty cache.
// A cache may drop entries, but Get must never return an outdated result. A cache may keep
// results as JSON: see [flow.Result.MarshalJSON]. Then numbers may come back with another
// Go type, but nodes must get the values that they would get without a cache.
func Cache(t *testing.T, fresh func(t *testing.T) flow.Cache) {
	tests := map[string]func(*testing.T, flow.Cache){
		"Get returns the result put last": cacheGet,
		"Retain drops unwanted entries":   cacheRetain,
		"it is safe for concurrent use":   cacheConcurrent,
		"nodes get the same values":       cacheExecutor,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func result(v any) flow.Result { return flow.Result{Outputs: []any{v}} }

// holds reports whether a result has the one output v, or what JSON makes of it.
func holds(r flow.Result, v any) bool {
	got, err := json.Marshal(r.Outputs)
	want, _ := json.Marshal([]any{v})
	return err == nil && string(got) == string(want)
}

func cacheGet(t *testing.T, c flow.Cache) {
	if r, ok := c.Get("a"); ok {
		t.Errorf("Get on an empty cache returns %v, want nothing", r)
	}
	for i := range 3 {
		c.Put("a", result(i))
		c.Put("b", result("other"))
		if r, ok := c.Get("a"); ok && !holds(r, i) {
			t.Errorf("Get returns %v after Put of %d", r.Outputs, i)
		}
	}
}

func cacheRetain(t *testing.T, c flow.Cache) {
	for i := range 10 {
		c.Put(fmt.Sprint(i), result(i))
	}
	c.Retain(func(key string) bool { return key >= "5" })
	for i := range 10 {
		r, ok := c.Get(fmt.Sprint(i))
		if ok && i < 5 {
			t.Errorf("key %d is still in the cache after Retain", i)
		}
		if ok && !holds(r, i) {
			t.Errorf("Get of key %d returns %v", i, r.Outputs)
		}
	}
}

func cacheConcurrent(t *testing.T, c flow.Cache) {
	var all sync.WaitGroup
	for w := range 8 {
		all.Go(func() {
			for i := range 200 {
				key := fmt.Sprint(i % 20)
				switch {
				case w == 0 && i%50 == 0:
					c.Retain(func(key string) bool { return len(key) == 1 })
				case i%2 == 0:
					c.Put(key, result(key))
				default:
					if r, ok := c.Get(key); ok && !holds(r, key) {
						t.Errorf("Get of key %s returns %v", key, r.Outputs)
					}
				}
			}
		})
	}
	within(t, "writing and reading", all.Wait)
}

// These are the nodes whose results a cache must give back to an executor.
type (
	cachePoint struct {
		X, Y int
		Name string `json:"name,omitempty"`
	}
	cacheShade  string
	cacheBytes  []byte
	cacheValues struct {
		Int     int         `out:"int"`
		Large   int64       `out:"large"`
		Float   float64     `out:"float"`
		Shade   cacheShade  `out:"shade"`
		Point   cachePoint  `out:"point"`
		Pointer *cachePoint `out:"pointer"`
		Bytes   cacheBytes  `out:"bytes"`
		Any     any         `out:"any"`
		Whole   any         `out:"whole"`
		Object  any         `out:"object"`
	}
	// cacheHidden holds a value that JSON does not see.
	cacheHidden struct{ hidden int }

	// cacheMake makes values of many types, and cacheMakeHidden one that JSON loses.
	cacheMake       struct{}
	cacheMakeHidden struct{}
	// cacheList makes a list of numbers.
	cacheList struct{ N int }
	// cacheTwice is called for each element of a list. It blocks the number 1.
	cacheTwice struct{ In int }
	// cacheTold shows its inputs with their Go types.
	cacheTold struct {
		In   any
		Last int
	}
	// cacheTyped shows inputs of the types that cacheMake makes.
	cacheTyped struct {
		Int     int
		Large   int64
		Float   float64
		Shade   cacheShade
		Point   cachePoint
		Pointer *cachePoint
		Bytes   cacheBytes
		Private cacheHidden
		Last    int
	}
)

func (cacheMake) Run(*nodebus.Context) (cacheValues, error) {
	return cacheValues{
		Int: -1, Large: 1<<62 + 1, Float: 2, Shade: "dark", Point: cachePoint{1, 2, "a"}, Pointer: &cachePoint{X: 3},
		Bytes: cacheBytes("\xff\x00"), Any: []any{1, 1.0, "1", nil, true}, Whole: 1.0,
		Object: map[string]any{"list": []any{}, "type": "list"},
	}, nil
}

func (cacheMakeHidden) Run(*nodebus.Context) (cacheHidden, error) { return cacheHidden{7}, nil }

func (n cacheList) Run(*nodebus.Context) (list nodebus.List[int], err error) {
	for i := range n.N {
		list = append(list, i)
	}
	return list, nil
}

func (n cacheTwice) Run(*nodebus.Context) (int, error) {
	if n.In == 1 {
		return 0, nodebus.Block("")
	}
	return 2 * n.In, nil
}

func (n cacheTold) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprintf("%#v", n.In)), nil
}

func (n cacheTyped) Run(*nodebus.Context) (nodebus.UI, error) {
	n.Last = 0
	pointer := *n.Pointer
	n.Pointer = nil
	return nodebus.Text(fmt.Sprintf("%#v %v", n, pointer)), nil
}

// cacheExecutor runs a graph twice, and the second time with other output nodes. These
// read the results from the cache, and must see what the output nodes of a graph without
// a cache see.
func cacheExecutor(t *testing.T, c flow.Cache) {
	first, again := cacheRun(t, c, 1), cacheRun(t, c, 2)
	want := cacheRun(t, flow.NoCache(), 2)
	if first != want || again != want {
		t.Errorf("nodes get other values from the cache.\nWithout a cache:  %s\nThe first time:   %s\nFrom the cache:   %s", want, first, again)
	}
}

// cacheRun runs the nodes and returns what they show.
func cacheRun(t *testing.T, c flow.Cache, last int) string {
	r := flow.NewRegistry()
	flow.Register(r, cacheMake{}, nodebus.Info{Name: "Make"})
	flow.Register(r, cacheMakeHidden{}, nodebus.Info{Name: "MakeHidden"})
	flow.Register(r, cacheList{}, nodebus.Info{Name: "List"})
	flow.Register(r, cacheTwice{}, nodebus.Info{Name: "Twice"})
	flow.Register(r, cacheTold{}, nodebus.Info{Name: "Told"})
	flow.Register(r, cacheTyped{}, nodebus.Info{Name: "Typed"})
	g := nodebus.NewGraph()
	made := g.Add("Make", nil)
	g.Add("Typed", nodebus.Inputs{
		"int": made.At(0), "large": made.At(1), "float": made.At(2), "shade": made.At(3), "point": made.At(4),
		"pointer": made.At(5), "bytes": made.At(6), "private": g.Add("MakeHidden", nil), "last": last,
	})
	for slot := 7; slot < 10; slot++ {
		g.Add("Told", nodebus.Inputs{"in": made.At(slot), "last": last})
	}
	for n := range 4 {
		list := g.Add("List", nodebus.Inputs{"n": n})
		g.Add("Told", nodebus.Inputs{"in": list, "last": last})
		g.Add("Told", nodebus.Inputs{"in": g.Add("Twice", nodebus.Inputs{"in": list}), "last": last})
	}
	p := &nodebus.Prompt{ID: fmt.Sprint("p", last), Nodes: g.Nodes()}
	hub := nodebus.NewHub(nil)
	defer func() { _ = hub.Close() }()
	report, err := flow.NewLocal(r, &flow.LocalOptions{Cache: c, Workers: 1}).Execute(context.Background(), nodebus.Job{Prompt: p, Attempt: 1}, hub)
	if err != nil {
		t.Errorf("a graph with this cache fails: %v", err)
	}
	text := ""
	for _, out := range report.Outputs {
		text += fmt.Sprintf("%s: %v; ", out.UniqueID, out.UI["text"])
	}
	return text
}
