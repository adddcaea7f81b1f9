package flow_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

type (
	styleData struct{ Names []string }
	// spoiler modifies all that its fields hold.
	spoiler struct {
		N     *int                   `in:",optional" default:"5"`
		Tags  []string               `in:",optional" options:"a,b,c" default:"b,a"`
		Style *styleData             `in:",optional" type:"STYLE"`
		Map   map[string][]int       `in:",optional" type:"MAP"`
		Any   any                    `in:",optional"`
		Lists nodebus.List[[]int]    `in:",optional" type:"INTS"`
		Late  nodebus.Lazy[*int]     `in:",optional" default:"7"`
		Grown []*int                 `grow:"g,min=0"`
		Rest  []nodebus.Named[[]int] `in:",rest" type:"INTS"`
		Each  any                    `in:",optional"`
	}
	// linkedPointers takes the pointers of a source.
	linkedPointers struct{ P any }
)

func (n spoiler) Run(ctx *nodebus.Context) (string, error) {
	late, err := n.Late.Get(ctx)
	if err != nil {
		return "", err
	}
	text := asJSON([]any{n.N, n.Tags, n.Style, n.Map, n.Any, n.Lists, late, n.Grown, n.Rest})
	n.spoil(late)
	return text, nil
}

func (n *spoiler) Validate(*nodebus.Context) error { n.spoil(new(int)); return nil }

func (n *spoiler) Fingerprint(*nodebus.Context) (string, error) { n.spoil(new(int)); return "", nil }

func (n *spoiler) spoil(late *int) {
	*n.N, *late, n.Tags = 99, 99, append(n.Tags[:0], "X")
	if n.Style != nil {
		n.Style.Names[0] = "X"
	}
	for k := range n.Map {
		n.Map[k][0] = 99
		delete(n.Map, k)
	}
	if m, ok := n.Any.(map[string]any); ok {
		m["list"].([]any)[0] = "X"
		m["new"] = "X"
	}
	for _, list := range n.Lists {
		list[0] = 99
	}
	for _, p := range n.Grown {
		*p = 99
	}
	for _, r := range n.Rest {
		r.Value[0] = 99
	}
}

func (n linkedPointers) Run(*nodebus.Context) (string, error) { return fmt.Sprintf("%p", n.P), nil }

// TestNodesMayModifyTheirLiterals: what a node does to the values of its fields has no effect
// on other calls and prompts.
func TestNodesMayModifyTheirLiterals(t *testing.T) {
	const given = `{"n":1,"tags":{"__value__":["c","b"]},"style":{"Names":["s"]},"map":{"m":[1]},"any":{"list":["l"]},` +
		`"lists":{"__value__":[[1],[2],[3]]},"late":6,"grown.g0":3,"grown.g1":4,"r":[8,8,8]`
	for inputs, want := range map[string]string{
		`{}`:        `[5,["b","a"],null,null,null,null,7,[],[]]`,
		given + `}`: `[1,["c","b"],{"Names":["s"]},{"m":[1]},{"list":["l"]},[[1],[2],[3]],6,[3,4],[{"Name":"r","Value":[8,8,8]}]]`,
	} {
		withLive(t, nil, func(r *liveRig) {
			flow.Register(r.reg, spoiler{}, nodebus.Info{Name: "Spoiler", NoCache: true})
			for range 3 {
				require.Equal(t, []string{want}, r.got("Spoiler", inputs))
			}
			c, _ := r.reg.Class("Spoiler")
			for _, p := range c.Schema().Inputs[:2] {
				require.Contains(t, []string{"5", `["b","a"]`}, asJSON(p.Default))
			}
			for range 2 {
				res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{}), in{})
				require.NoError(t, err)
				require.Equal(t, []any{`[5,["b","a"],null,null,null,null,7,[],[]]`}, res.Outputs)
			}
		})
	}
}

type eachSpoiler struct {
	Tags []string `options:"a,b,c" default:"b,a"`
	Each string
}

func (n eachSpoiler) Run(*nodebus.Context) (string, error) {
	text := asJSON(n.Tags)
	n.Tags[0] = "X"
	return text, nil
}

// TestCallsDoNotShareLiterals: a node is called for each element of a list.
func TestCallsDoNotShareLiterals(t *testing.T) {
	withLive(t, nil, func(r *liveRig) {
		flow.Register(r.reg, eachSpoiler{}, nodebus.Info{Name: "Each"})
		got := r.got("Each", `{"each":["list",0],"tags":{"__value__":["c"]}}`)
		require.Greater(t, len(got), 1)
		for _, text := range got {
			require.JSONEq(t, `["c"]`, text)
		}
	})
}

// TestLinkedValuesAreNotCopied: a model that nodes pass on stays the same.
func TestLinkedValuesAreNotCopied(t *testing.T) {
	withLive(t, nil, func(r *liveRig) {
		data := &styleData{}
		r.fn("Data", func(*nodebus.Context, any, any) (any, error) { return data, nil })
		flow.Register(r.reg, linkedPointers{}, nodebus.Info{Name: "Linked"})
		o := r.run(parse(t, `{"d":{"class_type":"Data","inputs":{}},"l":{"class_type":"Linked","inputs":{"p":["d",0]}},"out":{"class_type":"Show","inputs":{"in":["l",0]}}}`))
		require.Equal(t, []any{fmt.Sprintf("%p", data)}, o.text("out"))
	})
}

// TestNewClassCopiesTheSchema: the program may use its own schema again.
func TestNewClassCopiesTheSchema(t *testing.T) {
	schema := func() flow.Schema {
		options := func() []flow.PortOption {
			return []flow.PortOption{{Name: "o", Value: map[string]any{"list": []any{"before"}}}}
		}
		match := func() *flow.Match { return &flow.Match{ID: "T", Types: []string{"A", "B"}} }
		return flow.Schema{
			Info: nodebus.Info{Name: "C", Search: []string{"word"}},
			Inputs: []flow.Port{
				{Name: "names", Grow: &flow.Grow{Names: []string{"a", "b"}, Element: flow.Port{Type: "IMAGE", Options: options()}}},
				{Name: "match", Match: match(), Options: options()},
				{Name: "any", Type: "*", Default: []any{"before"}},
				{Name: "mode", Cases: []flow.Case{{Key: "k", Inputs: []flow.Port{
					{Name: "x", Type: "INT", Options: options()},
					{Name: "y", Cases: []flow.Case{{Key: "z", Inputs: []flow.Port{{Name: "m", Match: match()}}}}},
					{Name: "g", Grow: &flow.Grow{Names: []string{"a", "b"}, Element: flow.Port{Match: match()}}},
				}}}},
			},
			Outputs: []flow.Port{{Name: "out", Match: match(), Options: options()}},
		}
	}
	given := schema()
	c, err := flow.NewClass(given, func(*nodebus.Context, nodebus.Inputs) (flow.Result, error) { return flow.Result{}, nil }, nil)
	require.NoError(t, err)
	before, err := json.Marshal(c.Schema())
	require.NoError(t, err)
	require.Equal(t, asJSON(schema()), asJSON(given), "NewClass has modified the schema")
	ports := c.InputsOf(nodebus.NodeSpec{Inputs: in{"mode": "k", "names.a": 1}})
	spoilPorts(given.Inputs)
	spoilPorts(given.Outputs)
	given.Search[0] = "X"
	after, err := json.Marshal(c.Schema())
	require.NoError(t, err)
	require.Equal(t, string(before), string(after))
	require.Equal(t, asJSON(ports), asJSON(c.InputsOf(nodebus.NodeSpec{Inputs: in{"mode": "k", "names.a": 1}})))
}

// spoilPorts modifies all that the ports point to.
func spoilPorts(ports []flow.Port) {
	for i := range ports {
		p := &ports[i]
		for k := range p.Options {
			p.Options[k].Value.(map[string]any)["list"].([]any)[0] = "X"
			p.Options[k].Name = "X"
		}
		if list, ok := p.Default.([]any); ok {
			list[0] = "X"
		}
		if p.Grow != nil {
			p.Grow.Names[0] = "X"
			spoilPorts([]flow.Port{p.Grow.Element})
		}
		if p.Match != nil {
			p.Match.ID, p.Match.Types[0] = "X", "X"
		}
		for k := range p.Cases {
			spoilPorts(p.Cases[k].Inputs)
			p.Cases[k].Key = "X"
		}
		p.Name = "X"
	}
}

type (
	servedUnion struct {
		A      *struct{ X int } `choice:"a"`
		B      *struct{ Y int } `choice:"b"`
		Svc    *string          `in:"-"`
		hidden *string
	}
	served struct {
		Mode servedUnion `in:",optional"`
	}
)

func (n served) Run(*nodebus.Context) (string, error) {
	return fmt.Sprint(n.Mode.A != nil, n.Mode.B != nil, *n.Mode.Svc, *n.Mode.hidden), nil
}

// TestChoicesKeepTheServicesBesideThem: a struct with choices may have other fields, which the
// registered node has set.
func TestChoicesKeepTheServicesBesideThem(t *testing.T) {
	withLive(t, nil, func(r *liveRig) {
		text := "svc"
		flow.Register(r.reg, served{Mode: servedUnion{A: &struct{ X int }{1}, B: &struct{ Y int }{1}, Svc: &text, hidden: &text}}, nodebus.Info{Name: "Served"})
		require.Equal(t, []string{"true falsesvcsvc"}, r.got("Served", `{"mode":"a","mode.x":1}`))
		require.Equal(t, []string{"false truesvcsvc"}, r.got("Served", `{"mode":"b","mode.y":1}`))
		require.Equal(t, []string{"false falsesvcsvc"}, r.got("Served", `{}`))
	})
}
