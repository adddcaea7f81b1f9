package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Classes made at run time: each test compares a struct with a function that has the same
// schema.

// plainNode has inputs whose types a struct and a function share.
type plainNode struct {
	I     int                                 `default:"5" min:"0" max:"10" step:"1"`
	F     float64                             `default:"0.5" min:"0" max:"1"`
	S     string                              `multiline:"true" tip:"a text"`
	B     bool                                `in:"b,optional" default:"true"`
	C     string                              `options:"red,green,blue" default:"red"`
	Big   manyChoices                         `in:"big,optional"`
	New   string                              `in:"new,optional,combo" options:"x,y"`
	Loose int                                 `in:"loose,optional,unchecked" max:"3"`
	Any   any                                 `in:"any,optional"`
	Mixed any                                 `in:"mixed,optional" type:"INT,FLOAT"`
	L     nodebus.List[int]                   `in:"l,optional"`
	Lazy  nodebus.Lazy[int]                   `in:"lazy,optional"`
	All   nodebus.Lazy[nodebus.List[float64]] `in:"all,optional"`
	ID    string                              `hidden:"UNIQUE_ID"`
	Own   string                              `hidden:"OWN_NOTE"`
	Num   int                                 `in:"num,optional" options:"1,2,4"`
	Ratio float64                             `in:"ratio,optional" options:"0.5,1"`
	Many  []string                            `in:"many,optional" options:"a,b,c"`
	At    nodebus.Link                        `in:"at,optional,raw"`
}

type plainOut struct {
	Text string            `out:"text" tip:"all inputs"`
	N    int               `out:"n"`
	F    float64           `out:"f"`
	Each nodebus.List[int] `out:"each"`
	Big  manyChoices       `out:"big"`
	Any  nodebus.Out[any]  `out:"any"`
	UI   nodebus.UI
}

func (n plainNode) Run(ctx *nodebus.Context) (o plainOut, err error) {
	lazy, err := n.Lazy.Get(ctx)
	if err != nil {
		return o, err
	}
	all, err := n.All.Get(ctx)
	if err != nil {
		return o, err
	}
	o.Text = fmt.Sprint(n.I, n.F, n.S, n.B, n.C, n.Big, n.New, n.Loose, n.Any, n.Mixed, []int(n.L), lazy, []float64(all), n.ID, n.Own, n.Num, n.Ratio, n.Many, n.At.Node)
	o.N, o.F, o.Each, o.Big, o.Any.Value = n.I, n.F, n.L, "opt3", n.Any
	o.UI = nodebus.Text(o.Text)
	return o, nil
}

func (n plainNode) Validate(*nodebus.Context) error {
	if n.S == "forbidden" {
		return &nodebus.InputError{Input: "s", Err: errors.New("is forbidden")}
	}
	return nil
}

func (n plainNode) Fingerprint(*nodebus.Context) (string, error) {
	if n.S == "always" {
		return "", errors.New("runs always")
	}
	return n.S, nil
}

// plainFunc does the same as plainNode.Run. It has no zero value for what is absent.
func plainFunc(ctx *nodebus.Context, in nodebus.Inputs) (res flow.Result, err error) {
	or := func(name string, zero any) any {
		if v, ok := in[name]; ok {
			return v
		}
		return zero
	}
	get := func(name string, zero any) any {
		l, ok := in[name].(nodebus.Lazy[any])
		if !ok || err != nil {
			return zero
		}
		var v any
		if v, err = l.Get(ctx); v == nil {
			return zero
		}
		return v
	}
	lazy, all := get("lazy", 0), get("all", []any{})
	if err != nil {
		return res, err
	}
	list := or("l", []any{}).([]any)
	text := fmt.Sprint(in["i"].(int64), in["f"].(float64), in["s"].(string), in["b"].(bool), in["c"].(string), or("big", ""), or("new", ""),
		or("loose", 0), in["any"], in["mixed"], list, lazy, all, in["id"].(string),
		or("own", ""), or("num", 0), or("ratio", 0), or("many", []any{}), or("at", nodebus.Link{}).(nodebus.Link).Node)
	return flow.Result{
		Outputs: []any{text, in["i"], in["f"], list, manyChoices("opt3"), nodebus.Out[any]{Value: in["any"]}},
		UI:      nodebus.Text(text),
	}, nil
}

var plainHooks = &flow.Hooks{
	Validate: func(ctx *nodebus.Context, in nodebus.Inputs) error {
		s, _ := in["s"].(string)
		return plainNode{S: s}.Validate(ctx)
	},
	Fingerprint: func(ctx *nodebus.Context, in nodebus.Inputs) (string, error) {
		s, _ := in["s"].(string)
		return plainNode{S: s}.Fingerprint(ctx)
	},
}

// twin replaces a class by a class made at run time with the same schema.
func twin(t testing.TB, reg *flow.Registry, name string, run funcOf, hooks *flow.Hooks) {
	t.Helper()
	c, ok := reg.Class(name)
	require.True(t, ok)
	schema := c.Schema()
	other, err := flow.NewClass(schema, run, hooks)
	require.NoError(t, err)
	require.True(t, reg.Remove(name))
	require.NoError(t, reg.Add(other))
	for _, none := range []*flow.Class{nil, {}} {
		require.EqualError(t, reg.Add(none), `nodebus: class "": is empty; make the class with NewClass, and look at its error first`)
	}
}

func plainRegistry(t testing.TB, funcs bool) *flow.Registry {
	reg := modelRegistry(nil)
	reg.Remove("Show")
	flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
	flow.Register(reg, plainWord{}, nodebus.Info{Name: "Text"})
	flow.Register(reg, plainNode{}, nodebus.Info{Name: "Plain", Category: "test", Output: true})
	if funcs {
		twin(t, reg, "Plain", plainFunc, plainHooks)
	}
	return reg
}

// plainCases are prompts. The inputs of node p, of the class Plain, are completed.
var plainCases = map[string]string{
	"all given":          `"big":"opt7","new":"y","loose":9,"any":{"a":[1,2.5]},"mixed":2.5,"l":{"__value__":[1,"2",3.0]},"lazy":4`,
	"defaults":           `"s":"x"`,
	"coerced":            `"i":"7","f":1,"s":12.5,"b":"yes"`,
	"a float as INT":     `"i":3.9`,
	"bare for a List":    `"l":5`,
	"all links":          `"i":["n",0],"any":["n",0],"mixed":["n",0],"l":["n",0],"lazy":["n",0]`,
	"lists":              `"i":["r",0],"l":["r",0],"any":"x"`,
	"mapped":             `"any":["r",0],"s":["t",0]`,
	"lazy list":          `"lazy":["r",0]`,
	"blocked":            `"any":["g",0]`,
	"blocked and lazy":   `"lazy":["g",0]`,
	"made":               `"i":["x",0],"any":["e",0]`,
	"undeclared":         `"control_after_generate":"randomize","also":["n",0]`,
	"runs always":        `"s":"always"`,
	"forbidden":          `"s":"forbidden"`,
	"numbers to choose":  `"num":4.0,"ratio":1,"many":{"__value__":["a","c"]},"own":"note"`,
	"one of several":     `"many":"b","num":1`,
	"no such number":     `"num":3,"ratio":"1","many":{"__value__":["a","x","y"]}`,
	"raw":                `"at":["n",0],"own":["t",0]`,
	"raw and not linked": `"at":5`,
	"null":               `"any":null`,
	"null for INT":       `"i":null`,
	"null for STRING":    `"s":null`,
	"too small":          `"i":-1,"f":-0.5`,
	"too big":            `"i":11,"f":1.5`,
	"no number":          `"i":"abc","f":"x"`,
	"no choice":          `"c":"pink","big":"zzz","new":3`,
	"not in 64 bits":     `"i":99999999999999999999`,
	"an object as INT":   `"i":{"x":1},"l":{"__value__":[1,"x"]}`,
	"broken link":        `"i":["nobody",0]`,
	"no such output":     `"i":["n",7]`,
	"not a link":         `"i":["n",0,0]`,
	"mismatch":           `"i":["t",0],"c":["n",0],"b":["n",0]`,
	"big list of links":  `"mixed":["t",0]`,
}

func plainPrompt(t *testing.T, inputs string) nodebus.Nodes {
	return parse(t, `{
		"n":{"class_type":"Const","inputs":{"value":3}},
		"t":{"class_type":"Text","inputs":{}},
		"r":{"class_type":"Range","inputs":{"n":3}},
		"g":{"class_type":"Gate","inputs":{"in":4,"every":2}},
		"x":{"class_type":"Expand","inputs":{"in":1,"depth":2}},
		"e":{"class_type":"Eval","inputs":{"in":1,"depth":2}},
		"p":{"class_type":"Plain","inputs":{`+inputs+`}},
		"o":{"class_type":"Show","inputs":{"in":["p",0],"in2":["p",1]}},
		"o3":{"class_type":"Show","inputs":{"in":["p",3],"in2":["p",2]}},
		"o5":{"class_type":"Show","inputs":{"in":["p",5],"in2":["p",4]}}}`)
}

// completed adds the inputs that each prompt needs.
func completed(t *testing.T, inputs string) string {
	given := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte("{"+inputs+"}"), &given))
	for name, v := range map[string]string{"i": "1", "f": "0.5", "s": `"text"`, "c": `"red"`} {
		if _, ok := given[name]; !ok {
			given[name] = json.RawMessage(v)
		}
	}
	text, err := json.Marshal(given)
	require.NoError(t, err)
	return strings.Trim(string(text), "{}")
}

type plainWord struct{}

func (plainWord) Run(*nodebus.Context) (string, error) { return "word", nil }
