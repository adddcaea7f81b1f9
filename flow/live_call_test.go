package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// liveLazy asks for the inputs whose numbers Which lists.
type liveLazy struct {
	Which []int                                 `type:"NUMBERS"`
	In    []nodebus.Named[nodebus.Lazy[string]] `grow:"in,min=0"`
	Other map[string]nodebus.Lazy[any]          `in:",rest"`
}

func (n liveLazy) Run(ctx *nodebus.Context) (any, error) {
	var all []string
	for _, k := range n.Which {
		v, err := n.In[k].Value.Get(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, n.In[k].Name+"="+v)
	}
	if l, ok := n.Other["other"]; ok {
		v, err := l.Get(ctx)
		if err != nil {
			return nil, err
		}
		all = append(all, fmt.Sprint("other=", v))
	}
	return fmt.Sprintf("%d %v", len(n.In), all), nil
}

func TestLiveLazyInputs(t *testing.T) {
	for around, wrap := range map[string][]flow.Around{"directly": nil, "elsewhere": {callElsewhere}} {
		for name, c := range map[string]struct {
			inputs string
			got    []string
			ran    []string
		}{
			"none":     {`{"which": {"__value__": []}, "in.in0": ["1", 0], "in.in7": ["2", 0]}`, []string{"2 []"}, nil},
			"one":      {`{"which": {"__value__": [1]}, "in.in0": ["1", 0], "in.in7": ["2", 0]}`, []string{"2 [in7=two]"}, []string{"two"}},
			"both":     {`{"which": {"__value__": [0, 1]}, "in.in0": ["1", 0], "in.in7": "literal", "in.in8": ["3", 0]}`, []string{"3 [in0=one in7=literal]"}, []string{"one"}},
			"rest":     {`{"which": {"__value__": []}, "other": ["3", 0], "unasked": ["2", 0]}`, []string{"0 [other=three]"}, []string{"three"}},
			"of lists": {`{"which": {"__value__": [0]}, "in.in3": ["list", 0]}`, []string{"1 [in3=a]", "1 [in3=b]"}, nil},
		} {
			t.Run(name+" "+around, func(t *testing.T) {
				withLive(t, &flow.LocalOptions{Around: wrap}, func(r *liveRig) {
					flow.Register(r.reg, liveLazy{}, nodebus.Info{Name: "LiveLazy"})
					require.Equal(t, c.got, r.got("LiveLazy", c.inputs))
					require.Equal(t, c.ran, r.ran)
				})
			})
		}
	}
}

// liveLists takes whole lists.
type liveLists struct {
	In    []nodebus.List[string]            `grow:"in,min=0"`
	Plain map[string]string                 `grow:"p,min=0"`
	Lazy  []nodebus.Lazy[nodebus.List[any]] `in:",rest"`
}

func (n liveLists) Run(ctx *nodebus.Context) (any, error) {
	text := fmt.Sprint(n.In, n.Plain)
	for _, l := range n.Lazy {
		v, err := l.Get(ctx)
		if err != nil {
			return nil, err
		}
		text += fmt.Sprint(v)
	}
	return text, nil
}

func TestLiveListInputs(t *testing.T) {
	withLive(t, nil, func(r *liveRig) {
		flow.Register(r.reg, liveLists{}, nodebus.Info{Name: "Lists"})
		require.Equal(t, []string{"[[a b] [one] [x y]] map[p1:a]"},
			r.got("Lists", `{"in.in0": ["list", 0], "in.in1": ["1", 0], "in.in2": {"__value__": ["x", "y"]}, "plain.p1": ["list", 0]}`))
		require.Equal(t, []string{"[] map[][a b][1]"}, r.got("Lists", `{"x": ["list", 0], "a": 1}`))
		require.Empty(t, r.got("Lists", `{"in.in0": ["block", 0]}`))
	})
}

// liveMaker makes a graph whose node has live inputs.
type liveMaker struct {
	f func(g *nodebus.Graph) nodebus.Link
}

func (n liveMaker) Run(ctx *nodebus.Context) (any, error) {
	g := ctx.NewGraph()
	return nodebus.Eval[any](ctx, g, n.f(g))
}

func TestLiveInputsOfNodesMadeAtRunTime(t *testing.T) {
	for name, c := range map[string]struct {
		class string
		in    func(one nodebus.Link) nodebus.Inputs
		got   string
		err   string
	}{
		"grown": {"Grown", func(one nodebus.Link) nodebus.Inputs {
			return in{"images.image3": one, "images.image0": "x", "sizes.size_1": int8(4)}
		}, `{"Images":["x","one"],"Parts":[],"Sizes":{"size_1":4}}`, ""},
		"first name":       {"Grown", func(nodebus.Link) nodebus.Inputs { return in{"images.image1": "x"} }, "", `input "images.image0": is required`},
		"choice":           {"Chosen", func(nodebus.Link) nodebus.Inputs { return in{"mode": liveKey("fine")} }, `{"Mode":{"Fast":null,"Fine":{"Steps":20,"Mask":null,"Sub":{"X":null,"Z":null}},"Many":null},"Size":1}`, ""},
		"unknown choice":   {"Chosen", func(nodebus.Link) nodebus.Inputs { return in{"mode": "x"} }, "", `input "mode": 'x' is not in ['fast', 'fine', 'many']`},
		"linked choice":    {"Chosen", func(one nodebus.Link) nodebus.Inputs { return in{"mode": one} }, "", `input "mode": is linked, but it decides which inputs the node has`},
		"no choice":        {"Chosen", func(nodebus.Link) nodebus.Inputs { return in{} }, "", `input "mode": is required`},
		"type":             {"Grown", func(one nodebus.Link) nodebus.Inputs { return in{"images.image0": "x", "sizes.size_0": "y"} }, "", `input "sizes.size_0": needs a whole number, got the string "y"`},
		"rest":             {"TakesAll", func(one nodebus.Link) nodebus.Inputs { return in{"known": 1, "b": one, "a": 2, "mode.x": one} }, `{"Mode":{"X":null,"Z":null},"Known":1,"Others":[{"Name":"a","Value":2},{"Name":"b","Value":"one"}]}`, ""},
		"undeclared link":  {"Chosen", func(one nodebus.Link) nodebus.Inputs { return in{"mode": "fast", "x": one} }, "", `input "x": is linked, but class Chosen has no input of this name`},
		"undeclared value": {"Chosen", func(one nodebus.Link) nodebus.Inputs { return in{"mode": "fast", "x": 1, "mode.y": one} }, `{"Mode":{"Fast":{},"Fine":null,"Many":null},"Size":1}`, ""},
		"static class":     {"Text", func(one nodebus.Link) nodebus.Inputs { return in{"x": one} }, "", `input "x": is linked, but class Text has no input of this name`},
	} {
		t.Run(name, func(t *testing.T) {
			withLive(t, nil, func(r *liveRig) {
				flow.Register(r.reg, liveMaker{f: func(g *nodebus.Graph) nodebus.Link {
					return g.Add(c.class, c.in(g.Add("Text", in{"in": "one"})))
				}}, nodebus.Info{Name: "Maker"})
				o := r.run(r.nodes("Maker", `{}`))
				if c.err != "" {
					require.Contains(t, o.failed(t).ExceptionMessage, c.err)
					return
				}
				require.Equal(t, []any{c.got}, o.text("out"), "%+v", o.record.Error)
			})
		})
	}
}

type liveKey string

// The rest field of a node made at run time has the order of OrderInputs, and the order is in
// the cache key; a map does not show it.
func TestLiveOrderIsInTheKey(t *testing.T) {
	withLive(t, nil, func(r *liveRig) {
		cached := func(class, inputs string) bool {
			return !slices.Contains(r.run(r.nodes(class, inputs)).types(), "executing n")
		}
		require.False(t, cached("TakesAll", `{"known": 1, "a": 1, "b": 2}`))
		require.True(t, cached("TakesAll", `{"known": 1, "a": 1, "b": 2}`))
		require.True(t, cached("TakesAll", `{"a": 1, "b": 2, "known": 1}`), "only the order of the others counts")
		require.False(t, cached("TakesAll", `{"known": 1, "b": 2, "a": 1}`))
		require.False(t, cached("TakesSome", `{"a": "1", "b": "2"}`))
		require.True(t, cached("TakesSome", `{"b": "2", "a": "1"}`))
		require.False(t, cached("TakesSome", `{"b": "1", "a": "2"}`))
	})
}

func TestLiveCacheKey(t *testing.T) {
	for name, c := range map[string]struct {
		class, one, other string
		same              bool
	}{
		"order of keys":       {"Grown", `{"images.image0": "x", "images.image1": "y"}`, `{"images.image1": "y", "images.image0": "x"}`, true},
		"names":               {"Grown", `{"images.image0": "x", "images.image1": "y"}`, `{"images.image0": "x", "images.image2": "y"}`, false},
		"values":              {"Grown", `{"images.image0": "x"}`, `{"images.image0": "y"}`, false},
		"coerced":             {"Grown", `{"images.image0": 5}`, `{"images.image0": "5"}`, true},
		"wrapped":             {"Grown", `{"images.image0": "x"}`, `{"images.image0": {"__value__": "x"}}`, true},
		"links":               {"Grown", `{"images.image0": ["1", 0]}`, `{"images.image0": ["2", 0]}`, false},
		"choice":              {"Chosen", `{"mode": "fast", "size": 1}`, `{"mode": "fine", "mode.steps": 1, "size": 1}`, false},
		"fields of others":    {"Chosen", `{"mode": "fast", "size": 1}`, `{"mode": "fast", "mode.steps": 1, "size": 1}`, false},
		"dead links":          {"Chosen", `{"mode": "fast", "mode.steps": ["1", 0], "size": 1}`, `{"mode": "fast", "mode.steps": ["2", 0], "size": 1}`, false},
		"names past the last": {"Grown", `{"images.image0": "x", "sizes.size_3": 1}`, `{"images.image0": "x", "sizes.size_4": 1}`, false},
		"a part of a name":    {"TakesSome", `{"a": "1"}`, `{"aa": "1"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			withLive(t, nil, func(r *liveRig) {
				r.got(c.class, c.one)
				again := r.run(r.nodes(c.class, c.other))
				require.Equal(t, c.same, !slices.Contains(again.types(), "executing n"), again.types())
			})
		})
	}
}

// liveChecks has a validator and a fingerprint, which see what the node has.
type liveChecks struct {
	Mode   liveMode
	Images []string             `grow:"image,min=0"`
	Others []nodebus.Named[any] `in:",rest"`
	seen   *[]string
}

func (n liveChecks) Run(*nodebus.Context) (any, error) { return "done", nil }

func (n liveChecks) Validate(*nodebus.Context) error {
	*n.seen = append(*n.seen, asJSON(n))
	return nil
}

// liveRefuses refuses one of its inputs.
type liveRefuses struct {
	Mode   liveMode
	Images []string             `grow:"image,min=0"`
	Others []nodebus.Named[any] `in:",rest"`
	input  *string
}

func (n liveRefuses) Run(*nodebus.Context) (any, error) { return "done", nil }

func (n liveRefuses) Validate(*nodebus.Context) error {
	return &nodebus.InputError{Input: *n.input, Err: errors.New("no")}
}

func TestLiveValidators(t *testing.T) {
	const inputs = `{"mode": "fine", "mode.steps": 3, "mode.sub": "x", "mode.sub.y": ["1", 0], "images.image4": ["1", 0], "images.image2": "lit", "z": ["2", 0], "a": 1}`
	withLive(t, nil, func(r *liveRig) {
		var seen []string
		flow.Register(r.reg, liveChecks{seen: &seen}, nodebus.Info{Name: "Checks"})
		r.got("Checks", inputs)
		require.Equal(t, []string{`{"Mode":{"Fast":null,"Fine":{"Steps":3,"Mask":null,"Sub":{"X":{"Y":""},"Z":null}},"Many":null},"Images":["lit",""],"Others":[{"Name":"z","Value":null},{"Name":"a","Value":1}]}`}, seen)
	})
	for input, want := range map[string][]string{
		"images":        {"images.image2", "images.image4"},
		"images.image4": {"images.image4"},
		"mode":          {"mode", "mode.steps", "mode.sub", "mode.sub.y"},
		"mode.sub":      {"mode.sub", "mode.sub.y"},
		"mode.steps":    {"mode.steps"},
		"others":        {"z", "a"},
		"a":             {"a"},
		"b":             {"<nil>"},
	} {
		withLive(t, nil, func(r *liveRig) {
			flow.Register(r.reg, liveRefuses{input: &input}, nodebus.Info{Name: "Refuses"})
			var all []string
			for _, name := range want {
				details := name + " - no"
				if name == "<nil>" {
					details = "no"
				}
				all = append(all, "custom_validation_failed; "+details+"; "+name)
			}
			require.Equal(t, all, r.problems("Refuses", inputs))
		})
	}
}

// The registered node is the start of every node: no node may change its maps and slices, or
// see the maps of another.
func TestLiveInputsAreNewForEachCall(t *testing.T) {
	withLive(t, &flow.LocalOptions{Workers: 1}, func(r *liveRig) {
		proto := liveKept{
			Map: map[string]string{"old": "x"}, List: []string{"old"},
			Mode: liveKeptMode{A: &liveKeptA{secret: "kept", List: []string{"old"}}, B: &struct{}{}},
		}
		var kept []liveKept
		proto.kept = &kept
		flow.Register(r.reg, proto, nodebus.Info{Name: "Kept"})
		require.Equal(t, []string{"map[m0:x] [] \"kept\" [y z] false"}, r.got("Kept", `{"map.m0": "x", "mode": "a", "mode.list.l0": "y", "mode.list.l1": "z"}`))
		require.Equal(t, []string{"map[] [q] \"kept\" [] false"}, r.got("Kept", `{"list.l2": "q", "mode": "a"}`))
		require.Equal(t, []string{"map[] [] \"\" [] true"}, r.got("Kept", `{"mode": "b"}`))
		require.Equal(t, []string{"map[] [] \"\" [] false"}, r.got("Kept", `{}`))
		require.Equal(t, map[string]string{"m0": "x"}, kept[0].Map)
		require.Equal(t, []string{"y", "z"}, kept[0].Mode.A.List)
		require.Equal(t, map[string]string{"old": "x"}, proto.Map)
		require.Equal(t, []string{"old"}, proto.Mode.A.List)
		require.Equal(t, []string{"old"}, proto.List)
	})
}

type (
	liveKept struct {
		Map  map[string]string `grow:"m,min=0"`
		List []string          `grow:"l,min=0"`
		Mode liveKeptMode      `in:",optional"`
		kept *[]liveKept
	}
	liveKeptMode struct {
		A *liveKeptA `choice:"a"`
		B *struct{}  `choice:"b"`
	}
	liveKeptA struct {
		List   []string `grow:"l,min=0"`
		secret string
	}
)

func (n liveKept) Run(*nodebus.Context) (any, error) {
	*n.kept = append(*n.kept, n)
	var a liveKeptA
	if n.Mode.A != nil {
		a = *n.Mode.A
	}
	return fmt.Sprintf("%v %v %q %v %v", n.Map, n.List, a.secret, a.List, n.Mode.B != nil), nil
}

func TestLiveCallByOtherExecutors(t *testing.T) {
	withLive(t, nil, func(r *liveRig) {
		call := func(class string, inputs nodebus.Inputs) (any, error) {
			c, ok := r.reg.Class(class)
			require.True(t, ok)
			ctx := nodebus.NewContext(context.Background(), nodebus.CallInfo{Place: nodebus.Place{UniqueID: "n"}})
			defer ctx.End()
			res, err := c.Call(ctx, inputs)
			if err != nil {
				return nil, err
			}
			return res.Outputs[0], nil
		}
		got, err := call("Grown", in{"images.image0": "x", "images.image3": "y", "sizes.size_2": 3, "sizes.size_9": 1, "more": 1})
		require.NoError(t, err)
		require.Equal(t, `{"Images":["x","y"],"Parts":[],"Sizes":{"size_2":3}}`, got)
		got, err = call("TakesAll", in{"known": 1, "b": 1, "a": []string{"x"}})
		require.NoError(t, err)
		require.Equal(t, `{"Mode":{"X":null,"Z":null},"Known":1,"Others":[{"Name":"a","Value":["x"]},{"Name":"b","Value":1}]}`, got)
		for want, c := range map[string]struct {
			class string
			in    nodebus.Inputs
		}{
			`input "images.image0": is required`:                   {"Grown", in{}},
			`input "mode": is required`:                            {"Chosen", in{}},
			`input "mode": 'x' is not in ['fast', 'fine', 'many']`: {"Chosen", in{"mode": "x"}},
			`input "x": is linked, but class Text has no input`:    {"Text", in{"x": nodebus.Link{Node: "1"}}},
			`input "mode.images.image1": is required`:              {"Chosen", in{"mode": "many", "mode.images.image0": "x"}},
		} {
			_, err := call(c.class, c.in)
			require.ErrorContains(t, err, want)
		}
	})
}

func TestInputsOf(t *testing.T) {
	withLive(t, nil, func(r *liveRig) {
		names := func(class, inputs string) (all []string) {
			c, _ := r.reg.Class(class)
			nodes := r.nodes(class, inputs)
			for _, p := range c.InputsOf(nodes[5]) {
				all = append(all, fmt.Sprintf("%s %s %s", p.Name, p.Kind, p.Type))
			}
			return all
		}
		require.Equal(t, []string{"in optional *", "in2 optional *"}, names("Text", `{"x": 1}`))
		require.Equal(t, []string{"images.image0 required STRING", "images.image9 optional STRING", "parts.body optional STRING"}, names("Grown", `{"images.image9": 1, "parts.body": 1, "x": 2}`))
		require.Equal(t, []string{"mode required ", "mode.steps required INT", "mode.mask optional MASK", "mode.sub optional ", "size required INT"}, names("Chosen", `{"mode": "fine"}`))
		require.Equal(t, []string{"mode optional ", "known required INT", "z optional *", "a optional *"}, names("TakesAll", `{"z": 1, "a": 1, "mode.a": 1}`))
	})
}
