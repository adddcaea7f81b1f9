package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"image"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests check the schema that Register makes from a struct, and the panic
// texts for invalid structs.

type Latent struct{ Samples []float32 }

type Mode string

func (Mode) Options() []string { return []string{"fast", "good"} }

type Common struct {
	Seed uint64 `default:"1" max:"18446744073709551615"`
}

// everything declares inputs in every possible way.
type everything struct {
	Common
	Image       image.Image
	Latent      Latent `in:"samples"`
	Model       *Latent
	Strength    float64 `default:"0.5" min:"0" max:"1" step:"0.01" tip:"how much"`
	Steps       int32   `default:"20" min:"1" max:"100" in:"steps,optional"`
	Prompt      string  `multiline:"true" default:"a cat" widget:"dynamicPrompts,display=slider,round=0.01"`
	Flip        bool    `default:"true"`
	Mode        Mode    `default:"good"`
	Sampler     string  `options:"euler,ddim" in:"sampler_name,combo"`
	OnTrue      nodebus.Lazy[any]
	Values      nodebus.List[int] `in:"values,force"`
	LazyList    nodebus.Lazy[nodebus.List[Latent]]
	Any         any      `in:"anything,optional"`
	Mixed       any      `type:"INT,FLOAT"`
	HTTPClient  string   `in:",optional"`
	Ignored     chan int `in:"-"`
	ID          string   `hidden:"UNIQUE_ID"`
	PromptNodes any      `hidden:"PROMPT"`
	client      *int     //nolint:unused // not exported, so it is not an input
}

type results struct {
	Image image.Image                       `out:"image"`
	Parts nodebus.List[Latent]              `out:"parts"`
	Mask  nodebus.Out[*Latent]              `out:""`
	More  nodebus.Out[nodebus.List[string]] `out:"more"`
	Mode  Mode                              `out:"mode"`
	UI    nodebus.UI
	note  string
}

func (everything) Run(*nodebus.Context) (results, error) { return results{note: "x"}, nil }

func TestRegisterReadsTheStruct(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, everything{}, nodebus.Info{Title: "Every Thing", Category: "test/all", Description: "All."})
	c, ok := r.Class("everything")
	require.True(t, ok)
	s := c.Schema()
	require.Equal(t, nodebus.Info{Name: "everything", Title: "Every Thing", Category: "test/all", Description: "All.", Module: "nodes"}, s.Info)

	type port struct {
		name, typ string
		kind      flow.PortKind
		options   []flow.PortOption
	}
	var got []port
	for _, p := range s.Inputs {
		got = append(got, port{p.Name, p.Type, p.Kind, p.Options})
	}
	option := func(nv ...any) (o []flow.PortOption) {
		for i := 0; i < len(nv); i += 2 {
			o = append(o, flow.PortOption{Name: nv[i].(string), Value: nv[i+1]})
		}
		return o
	}
	require.Equal(t, []port{
		{"seed", "INT", flow.PortRequired, option("default", uint64(1), "max", uint64(18446744073709551615))},
		{"image", "IMAGE", flow.PortRequired, nil},
		{"samples", "LATENT", flow.PortRequired, nil},
		{"model", "LATENT", flow.PortRequired, nil},
		{"strength", "FLOAT", flow.PortRequired, option("default", 0.5, "min", 0.0, "max", 1.0, "step", 0.01, "tooltip", "how much")},
		{"steps", "INT", flow.PortOptional, option("default", int64(20), "min", int64(1), "max", int64(100))},
		{"prompt", "STRING", flow.PortRequired, option("default", "a cat", "multiline", true, "dynamicPrompts", true, "display", "slider", "round", 0.01)},
		{"flip", "BOOLEAN", flow.PortRequired, option("default", true)},
		{"mode", "COMBO", flow.PortRequired, option("default", "good")},
		{"sampler_name", "COMBO", flow.PortRequired, nil},
		{"on_true", "*", flow.PortRequired, option("lazy", true)},
		{"values", "INT", flow.PortRequired, option("forceInput", true)},
		{"lazy_list", "LATENT", flow.PortRequired, option("lazy", true)},
		{"anything", "*", flow.PortOptional, nil},
		{"mixed", "INT,FLOAT", flow.PortRequired, nil},
		{"http_client", "STRING", flow.PortOptional, nil},
		{"id", "UNIQUE_ID", flow.PortHidden, nil},
		{"prompt_nodes", "PROMPT", flow.PortHidden, nil},
	}, got)

	byName := func(name string) flow.Port {
		return s.Inputs[slices.IndexFunc(s.Inputs, func(p flow.Port) bool { return p.Name == name })]
	}
	mode := byName("mode")
	choices, err := mode.ListChoices()
	require.NoError(t, err)
	require.Equal(t, []any{"fast", "good"}, choices)
	typ, options, err := mode.Config()
	require.NoError(t, err)
	require.Equal(t, []any{"fast", "good"}, typ)
	require.Equal(t, map[string]any{"default": "good"}, options)
	typ, options, err = byName("sampler_name").Config()
	require.NoError(t, err)
	require.Equal(t, "COMBO", typ)
	require.Equal(t, map[string]any{"options": []any{"euler", "ddim"}}, options)
	require.True(t, byName("values").List)
	require.True(t, byName("lazy_list").Lazy)
	require.True(t, byName("lazy_list").List)

	var outs []string
	for _, o := range s.Outputs {
		star := ""
		if o.List {
			star = "..."
		}
		outs = append(outs, o.Name+" "+o.Type+star)
	}
	require.Equal(t, []string{"image IMAGE", "parts LATENT...", "mask LATENT", "more STRING...", "mode COMBO"}, outs)
	require.False(t, s.Output)
}

type onlyUI struct{}

func (onlyUI) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

type onlyUIField struct{}

func (onlyUIField) Run(*nodebus.Context) (struct{ UI nodebus.UI }, error) {
	return struct{ UI nodebus.UI }{}, nil
}

type pointer struct{ N int }

func (n *pointer) Run(*nodebus.Context) (int, error) { return n.N, nil }

func TestRegisterForms(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, onlyUI{}, nodebus.Info{})
	flow.Register(r, onlyUIField{}, nodebus.Info{})
	flow.Register(r, &pointer{}, nodebus.Info{Name: "Pointer"})
	flow.Register(r, &pointer{}, nodebus.Info{Name: "Another", Output: true})
	var names []string
	for c := range r.Classes() {
		names = append(names, c.Name())
		require.Equal(t, c.Name() != "Pointer", c.Schema().Output, c.Name())
		require.Equal(t, c.Name(), c.Schema().Title)
	}
	require.Equal(t, []string{"Another", "Pointer", "onlyUI", "onlyUIField"}, names)
	for range r.Classes() {
		break
	}
	_, ok := r.Class("None")
	require.False(t, ok)
}

// Each type below has one mistake. The test compares the whole panic text of
// Register.

type badHidden struct {
	X string `hidden:"UNIQUE"`
}
type badHiddenType struct {
	X int `hidden:"UNIQUE_ID"`
}
type badFlag struct {
	X string `in:"x,opt"`
}
type badDefault struct {
	X int `default:"five"`
}
type badDefaultRange struct {
	X int8 `default:"500"`
}
type badMin struct {
	X string `min:"1"`
}
type badMinMax struct {
	X int `min:"3" max:"2"`
}
type badFloat struct {
	X float64 `default:"NaN"`
}
type badLazy struct {
	X nodebus.List[nodebus.Lazy[int]]
}
type badOptions struct {
	X Latent `options:"1,2"`
}
type (
	badType            struct{ X []int }
	badDefaultOfStruct struct {
		X Latent `default:"x"`
	}
)

type badTwice struct {
	A int `in:"x"`
	X int
}
type (
	badOut       struct{}
	badOutField  struct{}
	badOutHidden struct{}
	notStruct    int
)

type badWidget struct {
	X int `widget:"=slider"`
}

func (badWidget) Run(*nodebus.Context) (int, error)          { return 0, nil }
func (badHidden) Run(*nodebus.Context) (int, error)          { return 0, nil }
func (badHiddenType) Run(*nodebus.Context) (int, error)      { return 0, nil }
func (badFlag) Run(*nodebus.Context) (int, error)            { return 0, nil }
func (badDefault) Run(*nodebus.Context) (int, error)         { return 0, nil }
func (badDefaultRange) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (badMin) Run(*nodebus.Context) (int, error)             { return 0, nil }
func (badMinMax) Run(*nodebus.Context) (int, error)          { return 0, nil }
func (badFloat) Run(*nodebus.Context) (int, error)           { return 0, nil }
func (badLazy) Run(*nodebus.Context) (int, error)            { return 0, nil }
func (badOptions) Run(*nodebus.Context) (int, error)         { return 0, nil }
func (badType) Run(*nodebus.Context) (int, error)            { return 0, nil }
func (badDefaultOfStruct) Run(*nodebus.Context) (int, error) { return 0, nil }
func (badTwice) Run(*nodebus.Context) (int, error)           { return 0, nil }
func (badOut) Run(*nodebus.Context) ([]int, error)           { return nil, nil }
func (notStruct) Run(*nodebus.Context) (int, error)          { return 0, nil }

type mixedOut struct {
	A int `out:"a"`
	B int
}
type hiddenOut struct {
	A int `out:"a"`
	b int `out:"b"`
}

func (badOutField) Run(*nodebus.Context) (mixedOut, error)   { return mixedOut{}, nil }
func (badOutHidden) Run(*nodebus.Context) (hiddenOut, error) { return hiddenOut{b: 1}, nil }

func TestRegisterPanicsWithASentence(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, pointer{}.ptr(), nodebus.Info{Name: "Taken"})
	for want, register := range map[string]func(){
		"nodebus: node flow_test.badHidden: field X: tag `hidden:\"UNIQUE\"` is almost UNIQUE_ID; write that, or a name of your own that is less like it":                func() { flow.Register(r, badHidden{}, nodebus.Info{}) },
		"nodebus: node flow_test.badHiddenType: field X: tag `hidden:\"UNIQUE_ID\"` gives a string, which int cannot hold; change the type to string":                    func() { flow.Register(r, badHiddenType{}, nodebus.Info{}) },
		"nodebus: node flow_test.badFlag: field X: tag `in` has \"opt\" after the name, which is not one of optional, force, combo, unchecked, raw, rest":                func() { flow.Register(r, badFlag{}, nodebus.Info{}) },
		"nodebus: node flow_test.badDefault: field X: tag `default:\"five\"` is no such value (invalid syntax); write a value of type int":                               func() { flow.Register(r, badDefault{}, nodebus.Info{}) },
		"nodebus: node flow_test.badDefaultRange: field X: tag `default:\"500\"` is no such value (value out of range); write a value of type int8":                      func() { flow.Register(r, badDefaultRange{}, nodebus.Info{}) },
		"nodebus: node flow_test.badMin: field X: tag `min` is for numbers; remove it, or change the type string":                                                        func() { flow.Register(r, badMin{}, nodebus.Info{}) },
		"nodebus: node flow_test.badMinMax: field X: tag `min:\"3\"` is bigger than max, 2; no value is possible":                                                        func() { flow.Register(r, badMinMax{}, nodebus.Info{}) },
		"nodebus: node flow_test.badFloat: field X: tag `default:\"NaN\"` is not a finite number; write a value of type float64":                                         func() { flow.Register(r, badFloat{}, nodebus.Info{}) },
		"nodebus: node flow_test.badLazy: field X: a List of Lazy is not possible; write Lazy[List[int]]":                                                                func() { flow.Register(r, badLazy{}, nodebus.Info{}) },
		"nodebus: node flow_test.badOptions: field X: tag `options` makes a drop-down, whose field must be a string, a number, or a slice of them, not flow_test.Latent": func() { flow.Register(r, badOptions{}, nodebus.Info{}) },
		"nodebus: node flow_test.badType: field X: type []int has no name to connect by; give it a named type, a method PortType() string, or a tag `type:\"NAME\"`":     func() { flow.Register(r, badType{}, nodebus.Info{}) },
		"nodebus: node flow_test.badDefaultOfStruct: field X: tag `default:\"x\"` is not possible here; write a value of type flow_test.Latent":                          func() { flow.Register(r, badDefaultOfStruct{}, nodebus.Info{}) },
		"nodebus: node flow_test.badWidget: field X: tag `widget:\"=slider\"` has an option without a name; write name=value, or a name for true":                        func() { flow.Register(r, badWidget{}, nodebus.Info{}) },
		"nodebus: node flow_test.badTwice: field X: its input has the name \"x\", as has the input of field A; rename one of them with a tag `in:\"name\"`":              func() { flow.Register(r, badTwice{}, nodebus.Info{}) },
		"nodebus: node flow_test.badOut: field of the result: type []int has no name to connect by; give it a named type or a method PortType() string":                  func() { flow.Register(r, badOut{}, nodebus.Info{}) },
		"nodebus: node flow_test.badOutField: field mixedOut.B: is neither an output nor a UI; give it a tag `out:\"name\"`, or make it unexported":                      func() { flow.Register(r, badOutField{}, nodebus.Info{}) },
		"nodebus: node flow_test.badOutHidden: field hiddenOut.b: has a tag `out` but is unexported; begin its name with a capital":                                      func() { flow.Register(r, badOutHidden{}, nodebus.Info{}) },
		"nodebus: node flow_test.notStruct: is not a struct; its inputs are the fields of one":                                                                           func() { flow.Register(r, notStruct(1), nodebus.Info{}) },
		"nodebus: Register: the node is nil; give a value of its type":                                                                                                   func() { flow.Register[int](r, (*pointer)(nil), nodebus.Info{}) },
		"nodebus: node flow_test.onlyUI: the name \"Taken\" is taken by flow_test.pointer; set Info.Name to another":                                                     func() { flow.Register(r, onlyUI{}, nodebus.Info{Name: "Taken"}) },
	} {
		require.PanicsWithValue(t, want, register)
	}
}

func (p pointer) ptr() *pointer { return &p }

func TestCall(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, mSum{}, nodebus.Info{Name: "Sum"})
	flow.Register(r, mSplit{}, nodebus.Info{Name: "Split"})
	flow.Register(r, fork{}, nodebus.Info{Name: "Fork"})
	flow.Register(r, defaults{}, nodebus.Info{Name: "Defaults"})
	flow.Register(r, crashes{}, nodebus.Info{Name: "Crash"})
	ctx := nodebus.NewContext(t.Context(), nodebus.CallInfo{Place: nodebus.Place{UniqueID: "1"}, Runtime: answers{"on_true": "asked"}})
	call := func(class string, inputs nodebus.Inputs) (flow.Result, error) {
		c, ok := r.Class(class)
		require.True(t, ok)
		return c.Call(ctx, inputs)
	}
	res, err := call("Sum", in{"values": []any{1, 2.0, int8(3)}, "scale": 2})
	require.NoError(t, err)
	require.Equal(t, []any{12}, res.Outputs)

	res, err = call("Split", in{"in": 4})
	require.NoError(t, err)
	require.Equal(t, 4, res.Outputs[0])
	require.ErrorAs(t, res.Outputs[1].(error), new(*nodebus.BlockedError))

	res, err = call("Fork", in{"cond": true})
	require.NoError(t, err)
	require.Equal(t, []any{"asked"}, res.Outputs)
	res, err = call("Fork", in{"cond": false, "on_false": "given"})
	require.NoError(t, err)
	require.Equal(t, []any{"given"}, res.Outputs)

	res, err = call("Defaults", nil)
	require.NoError(t, err)
	require.Equal(t, []any{"5 "}, res.Outputs)

	var ie *nodebus.InputError
	_, err = call("Sum", in{"values": 1})
	require.ErrorAs(t, err, &ie)
	require.EqualError(t, err, `nodebus: node 1 (Sum): input "scale": is required`)
	_, err = call("Sum", in{"values": []any{1, "x"}, "scale": 1})
	require.EqualError(t, err, `nodebus: node 1 (Sum): input "values": element 1: needs a whole number, got the string "x"`)
	_, err = call("Crash", nil)
	var ne *nodebus.NodeError
	require.ErrorAs(t, err, &ne)
	require.Equal(t, []string{"1", "Crash", "1", "Crash"}, []string{ne.UniqueID, ne.Class, ne.RealID, ne.RealClass})
	var pe *nodebus.PanicError
	require.ErrorAs(t, ne.Err, &pe)
	require.Equal(t, "ouch", pe.Value)
	require.Contains(t, pe.Stack, "crashes")
	ctx.End()
	require.ErrorIs(t, ctx.SendSync(nodebus.Custom{Type: "x"}), nodebus.ErrClosed)
}

type defaults struct {
	N int    `default:"5"`
	S string `in:"s,optional"`
}

func (n defaults) Run(*nodebus.Context) (string, error) {
	return string(rune('0'+n.N)) + " " + n.S, nil
}

type crashes struct{}

func (crashes) Run(*nodebus.Context) (int, error) { panic("ouch") }

// TestCallOfANodeMadeAtRunTime checks that the error also names the node of the
// prompt that made the node.
func TestCallOfANodeMadeAtRunTime(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, crashes{}, nodebus.Info{Name: "Crash"})
	c, _ := r.Class("Crash")
	_, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{
		Job:   &nodebus.Job{Prompt: &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "4", Class: "Maker"}}}},
		Place: nodebus.Place{UniqueID: "4.0.0.1", DisplayID: "4", ParentID: "4", RealID: "4"}, Index: 2,
	}), nil)
	require.EqualError(t, err, "nodebus: node 4.0.0.1 (Crash), element 2: panic: ouch")
	var ne *nodebus.NodeError
	require.ErrorAs(t, err, &ne)
	require.Equal(t, []string{"4", "Maker"}, []string{ne.RealID, ne.RealClass})
}

// answers is a Runtime that returns the lazy inputs by name.
type answers map[string]any

func (a answers) Input(_ context.Context, name string) (any, error) { return a[name], nil }
func (answers) Progress(float64, float64) error                     { return nil }
func (answers) Graph() nodebus.Nodes                                { return nil }

func (a answers) Await(context.Context, nodebus.Waiting, func(json.RawMessage) error) (json.RawMessage, error) {
	return nil, errors.New("no")
}

func (a answers) Eval(context.Context, *nodebus.Graph, ...nodebus.Link) ([]any, error) {
	return nil, errors.New("no")
}

// TestNamesOfInputs: the default name of an input is the name of its field in snake case.
func TestNamesOfInputs(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, manyNames{}, nodebus.Info{Name: "Named"})
	c, _ := r.Class("Named")
	var names []string
	for _, in := range c.Schema().Inputs {
		names = append(names, in.Name)
	}
	require.Equal(t, []string{"on_true", "http_client", "urls", "urls_of", "dn_sserver", "x"}, names)
}

type manyNames struct {
	OnTrue, HTTPClient, URLs, URLsOf, DNSserver, X string
}

func (manyNames) Run(*nodebus.Context) (int, error) { return 0, nil }
