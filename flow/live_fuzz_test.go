package flow_test

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// fuzzed has dynamic inputs of every kind.
type fuzzed struct {
	G      map[string]string       `grow:"g,min=0,max=12"`
	N      []nodebus.Named[string] `grow:"names=b|a|c1,min=0"`
	M      fuzzedMode              `in:",optional"`
	Others []nodebus.Named[any]    `in:",rest"`
}

type fuzzedMode struct {
	X *struct {
		S string    `in:",optional"`
		G []string  `grow:"g,min=0,max=3"`
		K fuzzedSub `in:",optional"`
	} `choice:"x"`
	Y *struct{} `choice:"y"`
}

type fuzzedSub struct {
	X *struct {
		S string `in:",optional"`
	} `choice:"x"`
	Z *struct{} `choice:"z"`
}

func (n fuzzed) Run(*nodebus.Context) (any, error) { return n, nil }

// flatten is the opposite of what the executor does: it returns the keys and values that a node
// got. A slice does not show the names.
func flatten(n fuzzed) (all []string) {
	add := func(key string, v any) { all = append(all, fmt.Sprint(key, "=", v)) }
	for k := range 12 {
		if v, has := n.G[fmt.Sprint("g", k)]; has {
			add(fmt.Sprint("g.g", k), v)
		}
	}
	for _, in := range n.N {
		add("n."+in.Name, in.Value)
	}
	if x := n.M.X; x != nil {
		add("m", "x")
		if x.S != "" {
			add("m.s", x.S)
		}
		for _, v := range x.G {
			add("m.g", v)
		}
		if x.K.X != nil {
			add("m.k", "x")
			if x.K.X.S != "" {
				add("m.k.s", x.K.X.S)
			}
		}
		if x.K.Z != nil {
			add("m.k", "z")
		}
	}
	if n.M.Y != nil {
		add("m", "y")
	}
	for _, in := range n.Others {
		add(in.Name, in.Value)
	}
	return all
}

// expected returns the keys that reach the node, in the order of its inputs. ok is false if a
// choice is unknown.
func expected(in map[string]string, order []string) (keys []string, ok bool) {
	isX, isKX := in["m"] == "x", in["m"] == "x" && in["m.k"] == "x"
	take := func(key string, is bool) {
		if _, given := in[key]; given && is {
			keys = append(keys, key)
		}
	}
	for k := range 12 {
		take(fmt.Sprint("g.g", k), true)
	}
	for _, key := range []string{"n.b", "n.a", "n.c1", "m"} {
		take(key, true)
	}
	for _, key := range []string{"m.s", "m.g.g0", "m.g.g1", "m.g.g2", "m.k"} {
		take(key, isX)
	}
	take("m.k.s", isKX)
	for _, key := range order {
		below := slices.ContainsFunc([]string{"g.", "n.", "m."}, func(p string) bool { return strings.HasPrefix(key, p) })
		take(key, !below && key != "m")
	}
	m, hasM := in["m"]
	k, hasK := in["m.k"]
	return keys, (!hasM || m == "x" || m == "y") && (!hasK || !isX || k == "x" || k == "z")
}

// FuzzDynamicNames gives a node inputs of any names, one in each line of text, and compares
// what reaches the node with a table of names.
func FuzzDynamicNames(f *testing.F) {
	for _, seed := range []string{
		"g.g0=a\ng.g11=b\ng.g12=c\ng.g01=d\ng=e", "n.a=1\nn.b=2\nn.c=3\nn.=4", "m=x\nm.s=q\nm.g.g2=w\nm.g.g3=e",
		"m=x\nm.k=x\nm.k.s=v", "m=y\nm.s=1", "m=x\nm.k=y", "m=z", "z=1\na=2\nm.z.z=3\n.=4\n=5", "m=x\nm.x=1\nm.m=x",
	} {
		f.Add(seed)
	}
	reg := flow.NewRegistry()
	flow.Register(reg, fuzzed{}, nodebus.Info{Name: "Fuzzed", Output: true})
	class, _ := reg.Class("Fuzzed")
	function, err := flow.NewClass(class.Schema(), flattenTree, nil)
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		in, inputs, order := map[string]string{}, nodebus.Inputs{}, []string{}
		for line := range strings.SplitSeq(text, "\n") {
			key, v, _ := strings.Cut(line, "=")
			if _, twice := in[key]; !twice {
				order = append(order, key)
			}
			in[key], inputs[key] = v, v
		}
		keys, ok := expected(in, order)
		spec := nodebus.NodeSpec{ID: "n", Class: "Fuzzed", Inputs: inputs}
		spec.OrderInputs(order...)
		_, err := reg.Prepare(context.Background(), &nodebus.Prompt{ID: "p", Nodes: nodebus.Nodes{spec}})
		require.Equal(t, ok, err == nil, "%v", err)
		ctx := nodebus.NewContext(t.Context(), nodebus.CallInfo{})
		defer ctx.End()
		res, err := class.Call(ctx, inputs)
		require.Equal(t, ok, err == nil, "%v", err)
		if !ok {
			return
		}
		var names, want []string
		for _, port := range class.InputsOf(spec) {
			if _, given := in[port.Name]; given {
				names = append(names, port.Name)
			}
		}
		require.Equal(t, keys, names)
		for _, key := range keys {
			shown := key
			if strings.HasPrefix(key, "m.g.g") {
				shown = "m.g"
			}
			if in[key] != "" || key != "m.s" && key != "m.k.s" { // not given, and given as "", look the same
				want = append(want, shown+"="+in[key])
			}
		}
		got := flatten(res.Outputs[0].(fuzzed))
		slices.Sort(got) // Call has no order of inputs
		slices.Sort(want)
		require.Equal(t, want, got)

		res, err = function.Call(ctx, inputs)
		require.NoError(t, err)
		require.Equal(t, want, res.Outputs[0])
	})
}

// flattenTree is flatten for a function that has the schema of the struct.
func flattenTree(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
	all := []string(nil)
	var add func(prefix string, in nodebus.Inputs)
	add = func(prefix string, in nodebus.Inputs) {
		for name, v := range in {
			switch v := v.(type) {
			case nil:
			case nodebus.Inputs:
				all = append(all, fmt.Sprint(prefix, name, "=", v[name]))
				v = maps.Clone(v)
				delete(v, name)
				add(prefix+name+".", v)
			case []nodebus.Named[any]:
				for _, n := range v {
					switch {
					case name == "others":
						all = append(all, fmt.Sprint(n.Name, "=", n.Value))
					case prefix == "m.": // as flatten shows a slice
						all = append(all, fmt.Sprint("m.g=", n.Value))
					default:
						all = append(all, fmt.Sprint(prefix, name, ".", n.Name, "=", n.Value))
					}
				}
			default:
				if v != "" {
					all = append(all, fmt.Sprint(prefix, name, "=", v))
				}
			}
		}
	}
	add("", in)
	slices.Sort(all)
	return flow.Result{Outputs: []any{all}}, nil
}
