package flow_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// SamplingMode is a drop-down of structs.
type SamplingMode struct {
	Fast *struct{} `choice:"fast"`
	Fine *struct {
		Steps int `choices:"1,2"`
	} `choice:"fine"`
}

// plainMode is a drop-down of structs without a mistake.
type plainMode struct {
	Fast *struct{} `choice:"fast"`
}

type (
	foreignTip struct {
		X int `tooltip:"a number"`
	}
	foreignForce struct {
		X int `forceInput:"true"`
	}
	foreignChoices struct {
		X string `choices:"a,b"`
	}
	foreignOptional struct {
		X string `optional:"true"`
	}
	foreignRequired struct {
		X string `required:"false"`
	}
	foreignLazy struct {
		X string `lazy:"true"`
	}
	foreignUpload struct {
		X string `image_upload:"true"`
	}
	foreignInside struct {
		Mode SamplingMode
	}
	foreignBase  struct{ foreignTip }
	pointerMode  struct{ Mode *plainMode }
	lazyMode     struct{ Mode nodebus.Lazy[plainMode] }
	growingModes struct {
		Modes []plainMode `grow:"m"`
	}
	noPointer struct {
		Mode struct {
			Fine struct{ Steps int } `choice:"fine"`
		}
	}
	ownTags struct {
		X int `name:"x" required:"true" label:"x" display:"x" advanced:"x"`
	}
	brokenWidget struct {
		X int `widget:"sizes=[1,2"`
	}
	brokenOptions struct {
		X string `options:"[\"a,b\",\"c]"`
	}
	wrongOptions struct {
		X string `options:"[\"a\",1]"`
	}
)

func (foreignTip) Run(*nodebus.Context) (int, error)      { return 0, nil }
func (foreignForce) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (foreignChoices) Run(*nodebus.Context) (int, error)  { return 0, nil }
func (foreignOptional) Run(*nodebus.Context) (int, error) { return 0, nil }
func (foreignRequired) Run(*nodebus.Context) (int, error) { return 0, nil }
func (foreignLazy) Run(*nodebus.Context) (int, error)     { return 0, nil }
func (foreignUpload) Run(*nodebus.Context) (int, error)   { return 0, nil }
func (foreignInside) Run(*nodebus.Context) (int, error)   { return 0, nil }
func (foreignBase) Run(*nodebus.Context) (int, error)     { return 0, nil }
func (pointerMode) Run(*nodebus.Context) (int, error)     { return 0, nil }
func (lazyMode) Run(*nodebus.Context) (int, error)        { return 0, nil }
func (growingModes) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (noPointer) Run(*nodebus.Context) (int, error)       { return 0, nil }
func (ownTags) Run(*nodebus.Context) (int, error)         { return 0, nil }
func (brokenWidget) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (brokenOptions) Run(*nodebus.Context) (int, error)   { return 0, nil }
func (wrongOptions) Run(*nodebus.Context) (int, error)    { return 0, nil }

type foreignOut struct{}

func (foreignOut) Run(*nodebus.Context) (r struct {
	A int `out:"a" tooltip:"x"`
}, err error,
) {
	return r, nil
}

type namelessResult struct{}

func (namelessResult) Run(*nodebus.Context) (r struct{ A, B int }, err error) { return r, nil }

type pointerResult struct{}

func (pointerResult) Run(*nodebus.Context) (r struct{ *Outs }, err error) { return r, nil }

// TestRegisterMendsWhatPortsBring: what people write who know ComfyUI is refused with what to
// write instead. Tags of other packages are not.
func TestRegisterMendsWhatPortsBring(t *testing.T) {
	const other = ", or another name if the tag is for another package"
	const none = " is none that nodebus reads; write "
	for _, c := range []struct {
		register func(*flow.Registry)
		want     string
	}{
		{registers(foreignTip{}), "foreignTip: field X: tag `tooltip`" + none + "`tip`" + other},
		{registers(foreignForce{}), "foreignForce: field X: tag `forceInput`" + none + "`in:\",force\"`" + other},
		{registers(foreignChoices{}), "foreignChoices: field X: tag `choices`" + none + "`options:\"a,b\"`" + other},
		{registers(foreignOptional{}), "foreignOptional: field X: tag `optional`" + none + "`in:\",optional\"`" + other},
		{registers(foreignRequired{}), "foreignRequired: field X: tag `required`" + none + "`in:\",optional\"`" + other},
		{registers(foreignLazy{}), "foreignLazy: field X: tag `lazy`" + none + "no tag but the type nodebus.Lazy[T]" + other},
		{registers(foreignUpload{}), "foreignUpload: field X: tag `image_upload`" + none + "`widget:\"image_upload\"`" + other},
		{registers(foreignInside{}), "foreignInside: field Mode.Fine.Steps: tag `choices`" + none + "`options:\"a,b\"`" + other},
		{registers(foreignBase{}), "foreignBase: field foreignTip.X: tag `tooltip`" + none + "`tip`" + other},
		{registers(pointerMode{}), "pointerMode: field Mode: has choices inside of *flow_test.plainMode; write flow_test.plainMode: its pointers are nil if an optional input is not given"},
		{registers(lazyMode{}), "lazyMode: field Mode: has choices inside of nodebus.Lazy[github.com/nodebus/nodebus/flow_test.plainMode]; write flow_test.plainMode: its pointers are nil if an optional input is not given"},
		{registers(growingModes{}), "growingModes: field Modes: has choices inside of flow_test.plainMode; write flow_test.plainMode: its pointers are nil if an optional input is not given"},
		{registers(noPointer{}), "noPointer: field Mode.Fine: is a choice, which must be a pointer to a struct with its inputs, not struct { Steps int }; write *struct{} if it has none"},
		{registers(brokenWidget{}), "brokenWidget: field X: tag `widget:\"sizes=[1,2\"` has the value [1, which begins as JSON but is none; correct it, or write a text in double quotes"},
		{registers(brokenOptions{}), "brokenOptions: field X: tag `options:\"[\\\"a,b\\\",\\\"c]\"` has a choice that is neither JSON nor values between commas: it begins as a JSON list and does not end as one; write values of type string"},
		{registers(wrongOptions{}), "wrongOptions: field X: tag `options:\"[\\\"a\\\",1]\"` has a choice that is no such value (1); write values of type string"},
		{func(r *flow.Registry) { flow.Register(r, foreignOut{}, nodebus.Info{}) }, "foreignOut: field A: tag `tooltip`" + none + "`tip`" + other},
		{func(r *flow.Registry) { flow.Register(r, namelessResult{}, nodebus.Info{}) }, "namelessResult: field of the result: type struct { A int; B int } has no name to connect by; give the fields that are outputs a tag `out:\"name\"`, or give it a named type or a method PortType() string"},
		{func(r *flow.Registry) { flow.Register(r, pointerResult{}, nodebus.Info{}) }, "pointerResult: field Outs: is an embedded pointer, so that the fields of flow_test.Outs are no outputs; embed flow_test.Outs itself"},
	} {
		require.PanicsWithValue(t, "nodebus: node flow_test."+c.want, func() { c.register(flow.NewRegistry()) })
	}
	flow.Register(flow.NewRegistry(), ownTags{}, nodebus.Info{})
}

// Outs is embedded in results.
type Outs struct {
	A  int    `out:"a"`
	B  string `out:"" tip:"text"`
	UI nodebus.UI
}

type promoted struct{}

func (promoted) Run(*nodebus.Context) (r struct {
	Outs
	C bool `out:"c"`
}, err error,
) {
	r.A, r.B, r.C, r.UI = 1, "b", true, nodebus.Text("shown")
	return r, nil
}

type embedsOnly struct{}

type wrapsOuts struct{ Outs }

func (embedsOnly) Run(*nodebus.Context) (wrapsOuts, error) {
	return wrapsOuts{Outs{A: 2, B: "c", UI: nodebus.Text("shown")}}, nil
}

// TestEmbeddedOutputs: the outputs of a struct that a result embeds are outputs.
func TestEmbeddedOutputs(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, promoted{}, nodebus.Info{})
	flow.Register(r, embedsOnly{}, nodebus.Info{})
	for name, want := range map[string][]any{"promoted": {1, "b", true}, "embedsOnly": {2, "c"}} {
		c, _ := r.Class(name)
		var names []string
		for _, o := range c.Schema().Outputs {
			names = append(names, o.Name+" "+o.Type)
		}
		require.Equal(t, []string{"a INT", "b STRING", "c BOOLEAN"}[:len(want)], names)
		require.Equal(t, []flow.PortOption{{Name: "tooltip", Value: "text"}}, c.Schema().Outputs[1].Options)
		res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{}), nil)
		require.NoError(t, err)
		require.Equal(t, want, res.Outputs)
		require.Equal(t, nodebus.Text("shown"), res.UI)
	}
}

// commas has choices and options with commas in them.
type commas struct {
	One  string   `options:"[\"a,b\",\"c\"]" default:"a,b"`
	Many []string `options:"[\"a,b\",\"c\"]" default:"[\"a,b\"]"`
	Nums []int    `options:"[1, 2]"`
	Odd  string   `options:"[x],[y]"`
	W    int      `widget:"range=[1,2.5],label=\"a, b\",big=18446744073709551615,o={\"x\": [1,2]},text=yes and no,none=null,flag"`
}

func (commas) Run(*nodebus.Context) (int, error) { return 0, nil }

// TestCommasInTags: commas inside of JSON do not divide.
func TestCommasInTags(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, commas{}, nodebus.Info{})
	require.Equal(t, `{"required":{"one":[["a,b","c"],{"default":"a,b"}],`+
		`"many":["COMBO",{"default":["a,b"],"multiselect":true,"options":["a,b","c"],"multi_select":{}}],`+
		`"nums":["COMBO",{"multiselect":true,"options":[1,2],"multi_select":{}}],"odd":[["[x]","[y]"],{}],`+
		`"w":["INT",{"range":[1,2.5],"label":"a, b","big":18446744073709551615,"o":{"x":[1,2]},"text":"yes and no","none":null,"flag":true}]}}`, inputsOf(t, r, "commas"))
}
