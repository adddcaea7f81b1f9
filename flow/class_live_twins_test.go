package flow_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Classes made at run time with inputs that stand for others, beside structs.

type twinFine struct {
	Steps int               `default:"20" min:"1" max:"50"`
	Mask  nodebus.Lazy[any] `in:"mask,optional"`
	Sub   twinSub
}

type twinSub struct {
	A *struct {
		Parts map[string]float64 `grow:"names=head|body,min=0"`
	} `choice:"a"`
	B *struct{} `choice:"b"`
}

type twinNode struct {
	Numbers []nodebus.Named[int] `grow:"n,min=1,max=4" max:"9" tip:"numbers"`
	Mode    struct {
		Fast *struct{} `choice:"fast"`
		Fine *twinFine `choice:"fine"`
	}
	Either any                  `match:"T,IMAGE,MASK" in:"either,optional"`
	Lazies []nodebus.Lazy[int]  `grow:"l,min=0"`
	Others []nodebus.Named[any] `in:",rest"`
}

type twinOut struct {
	Text string `out:"text"`
	Same any    `out:"same" match:"T"`
}

func (n twinNode) Run(ctx *nodebus.Context) (o twinOut, err error) {
	o.Text = fmt.Sprint(n.Numbers)
	if f := n.Mode.Fine; f != nil {
		mask, err := f.Mask.Get(ctx)
		if err != nil {
			return o, err
		}
		o.Text += fmt.Sprint(" fine ", f.Steps, mask)
		if f.Sub.A != nil {
			o.Text += fmt.Sprint(" a ", f.Sub.A.Parts["head"], " ", f.Sub.A.Parts["body"])
		}
	}
	for _, l := range n.Lazies {
		v, err := l.Get(ctx)
		if err != nil {
			return o, err
		}
		o.Text += fmt.Sprint(" lazy ", v)
	}
	o.Text += fmt.Sprint(n.Either, n.Others)
	o.Same = n.Either
	return o, nil
}

func getLazy(ctx context.Context, v any) (any, error) {
	if v == nil {
		return nil, nil
	}
	return v.(nodebus.Lazy[any]).Get(ctx)
}

// twinFunc does the same as twinNode.Run.
func twinFunc(ctx *nodebus.Context, in nodebus.Inputs) (res flow.Result, err error) {
	text := fmt.Sprint(in["numbers"].([]nodebus.Named[any]))
	if mode := in["mode"].(nodebus.Inputs); mode["mode"] == "fine" {
		mask, err := getLazy(ctx, mode["mask"])
		if err != nil {
			return res, err
		}
		text += fmt.Sprint(" fine ", mode["steps"].(int64), mask)
		if sub := mode["sub"].(nodebus.Inputs); sub["sub"] == "a" {
			parts := map[string]float64{}
			for _, p := range sub["parts"].([]nodebus.Named[any]) {
				parts[p.Name] = p.Value.(float64)
			}
			text += fmt.Sprint(" a ", parts["head"], " ", parts["body"])
		}
	}
	for _, l := range in["lazies"].([]nodebus.Named[any]) {
		v, err := getLazy(ctx, l.Value)
		if err != nil {
			return res, err
		}
		text += fmt.Sprint(" lazy ", v)
	}
	text += fmt.Sprint(in["either"], in["others"].([]nodebus.Named[any]))
	return flow.Result{Outputs: []any{text, in["either"]}}, nil
}

func twinRegistry(t testing.TB, funcs bool) *flow.Registry {
	reg := plainRegistry(t, funcs)
	flow.Register(reg, twinNode{}, nodebus.Info{Name: "Twin"})
	if funcs {
		twin(t, reg, "Twin", twinFunc, nil)
	}
	return reg
}

// twinCases are the inputs of a node of the class Twin.
var twinCases = map[string]string{
	"few":                 `"numbers.n0":1,"mode":"fast"`,
	"links":               `"numbers.n0":["n",0],"numbers.n2":["n",0],"mode":"fast","either":["t",0]`,
	"a gap at first":      `"numbers.n1":1,"mode":"fast"`,
	"too many":            `"numbers.n0":1,"numbers.n4":2,"mode":"fast"`,
	"too big":             `"numbers.n0":10,"mode":"fast"`,
	"fine":                `"numbers.n0":1,"mode":"fine","mode.steps":"30","mode.sub":"b","mode.mask":["n",0]`,
	"nested":              `"numbers.n0":1,"mode":"fine","mode.steps":3,"mode.sub":"a","mode.sub.parts.body":["x",0],"mode.sub.parts.head":2`,
	"a field too big":     `"numbers.n0":1,"mode":"fine","mode.steps":300,"mode.sub":"b"`,
	"a field is lacking":  `"numbers.n0":1,"mode":"fine","mode.sub":"b"`,
	"no such choice":      `"numbers.n0":1,"mode":"slow"`,
	"no choice":           `"numbers.n0":1`,
	"a linked choice":     `"numbers.n0":1,"mode":["t",0]`,
	"lists":               `"numbers.n0":["r",0],"numbers.n1":["n",0],"mode":"fine","mode.steps":["r",0],"mode.sub":"b"`,
	"blocked":             `"numbers.n0":["g",0],"mode":"fast"`,
	"lazy":                `"numbers.n0":1,"mode":"fast","lazies.l0":["n",0],"lazies.l2":7`,
	"rest":                `"numbers.n0":1,"mode":"fast","zeta":["n",0],"alpha":{"x":1},"control_after_generate":"fixed"`,
	"below, but not live": `"numbers.n0":1,"mode":"fast","mode.steps":["n",0]`,
}

func twinPrompt(t *testing.T, inputs string) nodebus.Nodes {
	return parse(t, `{
		"n":{"class_type":"Const","inputs":{"value":3}},
		"t":{"class_type":"Text","inputs":{}},
		"r":{"class_type":"Range","inputs":{"n":3}},
		"g":{"class_type":"Gate","inputs":{"in":4,"every":2}},
		"x":{"class_type":"Expand","inputs":{"in":1,"depth":2}},
		"p":{"class_type":"Twin","inputs":{`+inputs+`}},
		"o":{"class_type":"Show","inputs":{"in":["p",0],"in2":["p",1]}}}`)
}

func TestFuncClassLivesLikeAStruct(t *testing.T) {
	structs, funcs := twinRegistry(t, false), twinRegistry(t, true)
	a, _ := structs.Class("Twin")
	b, _ := funcs.Class("Twin")
	require.Equal(t, jsonOf(t, a.Schema()), jsonOf(t, b.Schema()))
	ran := 0
	for name, inputs := range twinCases {
		t.Run(name, func(t *testing.T) {
			check := func(reg *flow.Registry) (string, bool) {
				p := &nodebus.Prompt{Nodes: twinPrompt(t, inputs)}
				err := prepare(reg, p)
				return jsonOf(t, p.Nodes) + jsonOf(t, err), err == nil
			}
			want, ok := check(structs)
			got, _ := check(funcs)
			require.Equal(t, want, got)
			if !ok {
				return
			}
			ran++
			var told [2][]string
			for i := range told {
				opts := &flow.LocalOptions{Workers: 1}
				inBubble(t, opts, nil, func(r *rig) {
					r.reg = twinRegistry(t, i == 1)
					told[i] = runTwice(t, r, opts, twinPrompt(t, inputs))
				})
			}
			require.Equal(t, told[0], told[1])
		})
	}
	require.Greater(t, ran, 7)
	require.Less(t, ran, len(twinCases)-5)
}
