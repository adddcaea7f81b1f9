package flow_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// The nodes and helper functions of the validation tests.

// typed has inputs of every kind.
type typed struct {
	I     int     `default:"5" min:"0" max:"10" step:"1"`
	F     float64 `default:"0.5" min:"0" max:"1"`
	S     string
	B     bool
	C     string            `options:"red,green,blue" default:"red"`
	Big   manyChoices       `in:"big,optional"`
	New   string            `in:"new,optional,combo" options:"x,y"`
	U     uint64            `in:"u,optional"`
	Small int8              `in:"small,optional"`
	Any   any               `in:"any,optional"`
	Pic   *pixels           `in:"pic,optional"`
	Map   map[string]point  `in:"map,optional" type:"POINTS"`
	Mixed any               `in:"mixed,optional" type:"INT,FLOAT"`
	L     nodebus.List[int] `in:"l,optional"`
}

type manyChoices string

func (manyChoices) Options() (all []string) {
	for i := range 30 {
		all = append(all, fmt.Sprint("opt", i))
	}
	return all
}

type pixels struct{ W, H int }

func (*pixels) PortType() string { return "PIXELS" }

type point struct{ X, Y int }

type typedOut struct {
	I int         `out:"i"`
	F float64     `out:"f"`
	S string      `out:"s"`
	C manyChoices `out:"c"`
	A any         `out:"a"`
	P *pixels     `out:"p"`
}

func (n typed) Run(*nodebus.Context) (typedOut, error) {
	return typedOut{I: n.I, F: n.F, S: n.S, A: n}, nil
}

// strict checks its inputs itself, with Validate.
type strict struct {
	Mode string `in:"mode,unchecked" options:"ok,error,one,silent,panic"`
	N    int    `in:"n,unchecked" max:"3"`
	Link any    `in:"link,optional"`
}

func (n strict) Run(*nodebus.Context) (int, error) { return n.N, nil }

func (n strict) Validate(*nodebus.Context) error {
	switch n.Mode {
	case "error":
		return errors.New("not today")
	case "one":
		return &nodebus.InputError{Input: "n", Err: errors.New("too odd")}
	case "silent":
		return errors.New("")
	case "panic":
		panic("validation blew up")
	}
	if n.Link != nil {
		return errors.New("a linked input is zero")
	}
	return nil
}

// linked checks the types of its links itself.
type linked struct {
	A, B any `type:"INT"`
}

func (n linked) Run(*nodebus.Context) (any, error) { return n.A, nil }

func (n linked) ValidateLinks(_ *nodebus.Context, types map[string]string) error {
	if types["a"] != types["b"] {
		return fmt.Errorf("%s and %s are not alike", types["a"], types["b"])
	}
	return nil
}

func validationRegistry() *flow.Registry {
	r := flow.NewRegistry()
	flow.Register(r, typed{}, nodebus.Info{Name: "Typed"})
	flow.Register(r, strict{}, nodebus.Info{Name: "Strict"})
	flow.Register(r, linked{}, nodebus.Info{Name: "Linked"})
	flow.Register(r, show{}, nodebus.Info{Name: "Show"})
	flow.Register(r, mAdd{}, nodebus.Info{Name: "Add"})
	return r
}

// validate checks a graph. It returns the prompt and the error, also if only a part
// of the graph is invalid.
func validate(t *testing.T, nodes nodebus.Nodes) (*nodebus.Prompt, *nodebus.ValidationError) {
	t.Helper()
	p := &nodebus.Prompt{Nodes: nodes}
	err := prepare(validationRegistry(), p)
	if err == nil {
		return p, nil
	}
	var ve *nodebus.ValidationError
	require.ErrorAs(t, err, &ve)
	return p, ve
}

// typedWith returns a graph of one Typed node and an output node. change replaces
// inputs of the Typed node.
func typedWith(t *testing.T, change string) nodebus.Nodes {
	in := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte(`{"i":1,"f":0.5,"s":"x","b":true,"c":"red"}`), &in))
	changed := map[string]json.RawMessage{}
	require.NoError(t, json.Unmarshal([]byte(change), &changed))
	maps.Copy(in, changed)
	for k, v := range in {
		if string(v) == `"(absent)"` {
			delete(in, k)
		}
	}
	enc, err := json.Marshal(in)
	require.NoError(t, err)
	return parse(t, `{"t":{"class_type":"Typed","inputs":`+string(enc)+`},"o":{"class_type":"Show","inputs":{"in":["t",0]}}}`)
}
