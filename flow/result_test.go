package flow_test

import (
	"bytes"
	"encoding/json"
	"math"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/value"
	"github.com/stretchr/testify/require"
)

// Results as JSON, for caches outside the process.

type (
	spot   struct{ X, Y int }
	secret struct{ n int }
	level  uint8
)

// TestResultJSONIsExact checks that values come back with their Go types.
func TestResultJSONIsExact(t *testing.T) {
	for _, v := range []any{
		nil, true, "", "héllo <&>", 0, -1, 1 << 60, 1.0, -0.5, 1e300, 5e-324, math.MaxFloat64, float32(1.5),
		int8(-1), int16(2), int32(3), int64(1 << 62), uint(1), uint8(2), uint16(3), uint32(4), uint64(math.MaxUint64),
		json.Number("1.50"),
		[]byte{0, 255},
		[]int{1},
		[]float64{0.1},
		[]string{"a"},
		[]any(nil), map[string]any(nil),
		[]any{},
		[]any{1, 1.0, "1", nil, []any{int64(1)}, map[string]any{}},
		map[string]any{},
		map[string]any{"list": []any{1}, "type": "list", "blocked": "x", "object": map[string]any{"a": 1.0}},
		value.List{},
		value.List{1, 2},
		value.List{[]any{1}, "x"},
		value.List{&nodebus.BlockedError{Reason: "why"}, 1},
		&nodebus.BlockedError{}, &nodebus.BlockedError{Reason: "why"},
	} {
		want := flow.Result{Outputs: []any{v, v}}
		data, err := json.Marshal(want)
		require.NoError(t, err, "%#v", v)
		var got flow.Result
		require.NoError(t, json.Unmarshal(data, &got), "%s", data)
		require.Equal(t, want, got, "%s", data)
	}
}

func TestResultJSONRefusesWhatItWouldChange(t *testing.T) {
	ring := []any{nil}
	ring[0] = ring
	for name, v := range map[string]any{
		"NaN": math.NaN(), "infinity": math.Inf(1), "channel": make(chan int), "function": func() {},
		"unexported field": secret{1}, "not UTF-8": "\xff", "name not UTF-8": map[string]any{"\xff": 1},
		"a struct in a list": []any{spot{}}, "in an object": map[string]any{"a": []any{level(1)}},
		"a ring": ring, "an interface in a struct": struct{ V any }{1},
	} {
		_, err := json.Marshal(flow.Result{Outputs: []any{v}})
		require.Error(t, err, name)
	}
}

// TestResultJSONOfTheUI checks that clients see the same.
func TestResultJSONOfTheUI(t *testing.T) {
	want := flow.Result{Outputs: []any{}, UI: nodebus.UI{"text": {"a", 1.5, spot{1, 2}}, "none": {}}}
	data, err := json.Marshal(want)
	require.NoError(t, err)
	var got flow.Result
	require.NoError(t, json.Unmarshal(data, &got))
	one, err := json.Marshal(want.UI)
	require.NoError(t, err)
	two, err := json.Marshal(got.UI)
	require.NoError(t, err)
	require.JSONEq(t, string(one), string(two))
}

// FuzzResultJSON decodes anything. What can be decoded and encoded again is stable.
func FuzzResultJSON(f *testing.F) {
	for _, text := range []string{
		`{"outputs":[1,1.0,"a",null,[1],{"list":[1,{"blocked":""}]},{"object":{"a":{}}},{"type":"list"},{"type":"[]uint8","value":"AA=="}],"ui":{"text":["a"]}}`,
		`{"outputs":[{"type":"x","value":1}]}`, `{"outputs":[{}]}`, `{"outputs":null}`, `[]`, `{"outputs":[[[[[]]]]]}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var r, again flow.Result
		if json.Unmarshal(data, &r) != nil {
			return
		}
		first, err := json.Marshal(r)
		if err != nil {
			return // an opaque value, for example
		}
		require.NoError(t, json.Unmarshal(first, &again), "%s", first)
		second, err := json.Marshal(again)
		require.NoError(t, err)
		require.True(t, bytes.Equal(first, second), "%s\n%s", first, second)
	})
}

// textCache keeps results as JSON. If plain is true, it encodes the fields of a result in a
// simple way, so that numbers come back as float64 and structs as objects.
type textCache struct {
	plain   bool
	entries map[string][]byte
}

type plainResult struct{ Outputs []any }

func (c *textCache) Get(key string) (r flow.Result, ok bool) {
	data, ok := c.entries[key]
	if !c.plain {
		return r, ok && json.Unmarshal(data, &r) == nil
	}
	var p plainResult
	ok = ok && json.Unmarshal(data, &p) == nil
	return flow.Result{Outputs: p.Outputs}, ok
}

func (c *textCache) Put(key string, r flow.Result) {
	var v any = r
	if c.plain {
		v = plainResult{r.Outputs}
	}
	if data, err := json.Marshal(v); err == nil {
		c.entries[key] = data
	}
}

func (c *textCache) Retain(func(string) bool) {}

type typedOuts struct {
	Spot  spot               `out:"spot"`
	Ptr   *spot              `out:"ptr"`
	Level level              `out:"level"`
	Large int64              `out:"large"`
	Ratio float32            `out:"ratio"`
	When  time.Time          `out:"when"`
	Each  nodebus.List[spot] `out:"each"`
}

type makeTyped struct{ runs *atomic.Int64 }

func (n makeTyped) Run(*nodebus.Context) (typedOuts, error) {
	n.runs.Add(1)
	return typedOuts{
		spot{1, 2}, &spot{3, 4}, 5, 1 << 40, 0.25, time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), nodebus.List[spot]{{5, 6}, {7, 8}},
	}, nil
}

type takeTyped struct {
	Spot  spot
	Ptr   *spot
	Level level
	Large int64
	Ratio float32
	When  time.Time
	Each  nodebus.List[spot]
	Again int
	took  *atomic.Pointer[takeTyped]
}

func (n takeTyped) Run(*nodebus.Context) (nodebus.UI, error) {
	n.took.Store(&n)
	return nodebus.Text("took"), nil
}

// TestResultsFromJSONGetTheirTypes checks that the executor gives results that a cache has
// kept as JSON the types of the outputs, and does not run the node again.
func TestResultsFromJSONGetTheirTypes(t *testing.T) {
	for _, plain := range []bool{false, true} {
		cache := &textCache{plain: plain, entries: map[string][]byte{}}
		inBubble(t, &flow.LocalOptions{Workers: 1, Cache: cache}, nil, func(r *rig) {
			runs, took := new(atomic.Int64), new(atomic.Pointer[takeTyped])
			flow.Register(r.reg, makeTyped{runs: runs}, nodebus.Info{Name: "Make"})
			flow.Register(r.reg, takeTyped{took: took}, nodebus.Info{Name: "Take", Output: true})
			var seen []takeTyped
			for again := range 2 {
				g := nodebus.NewGraph()
				m := g.Add("Make", nil)
				g.Add("Take", in{
					"spot": m.At(0), "ptr": m.At(1), "level": m.At(2), "large": m.At(3), "ratio": m.At(4), "when": m.At(5), "each": m.At(6), "again": again,
				})
				require.Equal(t, nodebus.Succeeded, r.run(g.Nodes()).record.State)
				last := *took.Load()
				last.Again = 0
				seen = append(seen, last)
			}
			require.Equal(t, seen[0], seen[1])
			require.Equal(t, int64(1), runs.Load())
		})
	}
}

// TestResultsThatDoNotFitAreComputedAgain checks that results of an older program, whose
// outputs had other types, are not used.
func TestResultsThatDoNotFitAreComputedAgain(t *testing.T) {
	for name, outputs := range map[string][]any{
		"a text for a number": {"1"}, "a fraction": {1.5}, "an object": {map[string]any{"X": 1}},
		"too many": {1, 2}, "none": {}, "a list with a text": {[]any{1.0, "x"}}, "nothing": {nil},
	} {
		cache := &textCache{plain: true, entries: map[string][]byte{}}
		inBubble(t, &flow.LocalOptions{Workers: 1, Cache: cache}, nil, func(r *rig) {
			wire := r.value()
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.Add("Const", in{"value": 7})})
			r.run(g.Nodes())
			data, err := json.Marshal(plainResult{outputs})
			require.NoError(t, err)
			for key, old := range cache.entries {
				if cache.entries[key] = data; string(old) == `{"Outputs":[]}` { // of the output node
					delete(cache.entries, key)
				}
			}
			o := r.run(g.Nodes())
			require.Equal(t, []any{"7"}, o.text("o"), name)
			require.Equal(t, int64(2), wire.calls.Load(), name)
		})
	}
}
