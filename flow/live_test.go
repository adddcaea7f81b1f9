package flow_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These nodes have inputs that stand for others. Each returns what it got, as JSON.

// grown has inputs that grow, of each Go type that can hold them.
type liveGrown struct {
	Images []string                `grow:"image,max=50"`
	Parts  []nodebus.Named[string] `grow:"names=head|body,min=0"`
	Sizes  map[string]int          `in:",optional" grow:"size_,min=0,max=3" min:"1" max:"9"`
}

func (n liveGrown) Run(*nodebus.Context) (any, error) { return asJSON(n), nil }

type (
	liveMode struct {
		Fast *struct{} `choice:"fast"`
		Fine *liveFine `choice:"fine"`
		Many *liveMany `choice:"many"`
	}
	liveFine struct {
		Steps int     `default:"20" min:"1"`
		Mask  *string `in:",optional" type:"MASK"`
		Sub   liveSub `in:",optional"`
	}
	liveMany struct {
		Images map[string]string `grow:"image,min=2,max=3"`
	}
	liveSub struct {
		X *struct{ Y string } `choice:"x"`
		Z *struct{}           `choice:"z"`
	}
)

// chosen has inputs that follow from a choice.
type liveChosen struct {
	Mode liveMode
	Size int `default:"1"`
}

func (n liveChosen) Run(*nodebus.Context) (any, error) { return asJSON(n), nil }

// takesAll takes what nobody declares.
type takesAll struct {
	Mode   liveSub `in:",optional"`
	Known  int
	Others []nodebus.Named[any] `in:",rest"`
}

func (n takesAll) Run(*nodebus.Context) (any, error) { return asJSON(n), nil }

// takesSome takes what nobody declares if it is a text; it does not see the order.
type takesSome struct {
	Others map[string]string `in:",rest"`
}

func (n takesSome) Run(*nodebus.Context) (any, error) { return asJSON(n), nil }

// liveOthers returns the last input that nobody declares.
type liveOthers struct {
	In     any
	Mode   liveSub        `in:",optional"`
	Others map[string]any `in:",rest"`
	calls  *atomic.Int64
}

func (n liveOthers) Run(*nodebus.Context) (any, error) {
	if n.calls != nil {
		n.calls.Add(1)
	}
	for _, v := range n.Others {
		return v, nil
	}
	return n.In, nil
}

func asJSON(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// liveRig runs one node with the given inputs, as the client submits them: the text is the
// member inputs of the node "n". The nodes "1", "2" and "3" give the texts "one", "two" and
// "three"; "list" gives the list "a", "b"; "block" is blocked.
type liveRig struct {
	*rig
	mu  sync.Mutex // Text runs in several goroutines
	ran []string
}

func withLive(t *testing.T, local *flow.LocalOptions, test func(r *liveRig)) {
	t.Helper()
	inBubble(t, local, nil, func(r *rig) {
		l := &liveRig{rig: r}
		flow.Register(r.reg, liveGrown{}, nodebus.Info{Name: "Grown"})
		flow.Register(r.reg, liveChosen{}, nodebus.Info{Name: "Chosen"})
		flow.Register(r.reg, takesAll{}, nodebus.Info{Name: "TakesAll"})
		flow.Register(r.reg, takesSome{}, nodebus.Info{Name: "TakesSome"})
		flow.Register(r.reg, liveList{}, nodebus.Info{Name: "List"})
		flow.Register(r.reg, liveBlock{}, nodebus.Info{Name: "Block"})
		r.fn("Text", func(_ *nodebus.Context, in, _ any) (any, error) {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.ran = append(l.ran, fmt.Sprint(in))
			return in, nil
		})
		test(l)
	})
}

type liveList struct{}

func (liveList) Run(*nodebus.Context) (nodebus.List[string], error) {
	return nodebus.List[string]{"a", "b"}, nil
}

type liveBlock struct{}

func (liveBlock) Run(*nodebus.Context) (string, error) { return "", nodebus.Block("") }

func (r *liveRig) nodes(class, inputs string) nodebus.Nodes {
	return parse(r.t, `{"1": {"class_type": "Text", "inputs": {"in": "one"}},
		"2": {"class_type": "Text", "inputs": {"in": "two"}},
		"3": {"class_type": "Text", "inputs": {"in": "three"}},
		"list": {"class_type": "List", "inputs": {}},
		"block": {"class_type": "Block", "inputs": {}},
		"n": {"class_type": "`+class+`", "inputs": `+inputs+`},
		"out": {"class_type": "Show", "inputs": {"in": ["n", 0]}}}`)
}

// got runs the node and returns what it got, a text for each call.
func (r *liveRig) got(class, inputs string) []string {
	r.t.Helper()
	o := r.run(r.nodes(class, inputs))
	require.Equal(r.t, nodebus.Succeeded, o.record.State, "%+v", o.record.Error)
	var all []string
	for _, text := range o.text("out") {
		all = append(all, text.(string))
	}
	return all
}

// problems submits a prompt that is refused and returns the problems of the node: the type,
// the details and the input.
func (r *liveRig) problems(class, inputs string) (all []string) {
	r.t.Helper()
	_, err := submit(r.engine, r.ctx, &nodebus.Prompt{Nodes: r.nodes(class, inputs), ClientID: "client"})
	var invalid *nodebus.ValidationError
	require.ErrorAs(r.t, err, &invalid)
	require.Contains(r.t, invalid.Nodes, "n")
	for _, p := range invalid.Nodes["n"].Errors {
		all = append(all, fmt.Sprintf("%s; %s; %v", p.Type, p.Details, p.Extra["input_name"]))
	}
	return all
}

func TestLiveInputsReachTheNode(t *testing.T) {
	for name, c := range map[string]struct {
		class, inputs string
		got           []string
	}{
		"grown": {
			"Grown", `{"images.image2": ["2", 0], "images.image0": ["1", 0], "images.image49": "x"}`,
			[]string{`{"Images":["one","two","x"],"Parts":[],"Sizes":{}}`},
		},
		"names keep their order": {
			"Grown", `{"images.image0": "x", "parts.body": ["1", 0], "parts.head": "h", "sizes.size_2": 7, "sizes.size_0": "3"}`,
			[]string{`{"Images":["x"],"Parts":[{"Name":"head","Value":"h"},{"Name":"body","Value":"one"}],"Sizes":{"size_0":3,"size_2":7}}`},
		},
		"names outside are dropped": {
			"Grown", `{"images.image0": "x", "images.image50": "y", "images.image00": "y", "images.": 1, "images": 5, "parts.feet": ["1", 0], "sizes.size_3": ["2", 0]}`,
			[]string{`{"Images":["x"],"Parts":[],"Sizes":{}}`},
		},
		"lists are mapped before": {
			"Grown", `{"images.image0": ["list", 0], "images.image1": ["1", 0], "parts.head": ["list", 0]}`,
			[]string{
				`{"Images":["a","one"],"Parts":[{"Name":"head","Value":"a"}],"Sizes":{}}`,
				`{"Images":["b","one"],"Parts":[{"Name":"head","Value":"b"}],"Sizes":{}}`,
			},
		},
		"a blocked input liveBlock the call": {"Grown", `{"images.image0": "x", "images.image5": ["block", 0]}`, nil},
		"choice without inputs":              {"Chosen", `{"mode": "fast", "size": 2}`, []string{`{"Mode":{"Fast":{},"Fine":null,"Many":null},"Size":2}`}},
		"choice":                             {"Chosen", `{"mode": "fine", "mode.steps": 30, "size": 2}`, []string{`{"Mode":{"Fast":null,"Fine":{"Steps":30,"Mask":null,"Sub":{"X":null,"Z":null}},"Many":null},"Size":2}`}},
		"wrapped choice":                     {"Chosen", `{"mode": {"__value__": "fast"}, "size": 2}`, []string{`{"Mode":{"Fast":{},"Fine":null,"Many":null},"Size":2}`}},
		"nested choice": {
			"Chosen", `{"mode": "fine", "mode.steps": "7", "mode.sub": "x", "mode.sub.y": ["1", 0], "mode.images.image0": ["2", 0], "size": 2}`,
			[]string{`{"Mode":{"Fast":null,"Fine":{"Steps":7,"Mask":null,"Sub":{"X":{"Y":"one"},"Z":null}},"Many":null},"Size":2}`},
		},
		"growing in a choice": {
			"Chosen", `{"mode": "many", "mode.images.image0": ["1", 0], "mode.images.image1": ["list", 0], "mode.steps": "x", "size": 2}`,
			[]string{
				`{"Mode":{"Fast":null,"Fine":null,"Many":{"Images":{"image0":"one","image1":"a"}}},"Size":2}`,
				`{"Mode":{"Fast":null,"Fine":null,"Many":{"Images":{"image0":"one","image1":"b"}}},"Size":2}`,
			},
		},
		"rest, in the order given": {
			"TakesAll", `{"z": ["2", 0], "known": 1, "a": 5, "m": [1, 2, 3], "l": ["list", 0], "mode.dead": 1, "deep.name": {"x": [1]}}`,
			[]string{
				`{"Mode":{"X":null,"Z":null},"Known":1,"Others":[{"Name":"z","Value":"two"},{"Name":"a","Value":5},{"Name":"m","Value":[1,2,3]},{"Name":"l","Value":"a"},{"Name":"deep.name","Value":{"x":[1]}}]}`,
				`{"Mode":{"X":null,"Z":null},"Known":1,"Others":[{"Name":"z","Value":"two"},{"Name":"a","Value":5},{"Name":"m","Value":[1,2,3]},{"Name":"l","Value":"b"},{"Name":"deep.name","Value":{"x":[1]}}]}`,
			},
		},
		"rest without inputs":  {"TakesAll", `{"known": 1, "mode": "z"}`, []string{`{"Mode":{"X":null,"Z":{}},"Known":1,"Others":[]}`}},
		"rest of texts":        {"TakesSome", `{"b": ["1", 0], "a": 5}`, []string{`{"Others":{"a":"5","b":"one"}}`}},
		"rest, blocked":        {"TakesSome", `{"b": ["block", 0]}`, nil},
		"dead links still run": {"Chosen", `{"mode": "fast", "mode.steps": ["1", 0], "size": 2}`, []string{`{"Mode":{"Fast":{},"Fine":null,"Many":null},"Size":2}`}},
	} {
		for around, wrap := range map[string][]flow.Around{"": nil, ", elsewhere": {callElsewhere}} {
			t.Run(name+around, func(t *testing.T) {
				withLive(t, &flow.LocalOptions{Around: wrap}, func(r *liveRig) {
					require.Equal(t, c.got, r.got(c.class, c.inputs))
					require.Equal(t, strings.Contains(c.inputs, `["1", 0]`), slices.Contains(r.ran, "one"))
				})
			})
		}
	}
}

func TestLiveInputsAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		class, inputs string
		problems      []string
	}{
		"first name":        {"Grown", `{"images.image1": "x"}`, []string{"required_input_missing; image0; images.image0"}},
		"several names":     {"Chosen", `{"mode": "many", "size": 1}`, []string{"required_input_missing; image0; mode.images.image0", "required_input_missing; image1; mode.images.image1"}},
		"second name":       {"Chosen", `{"mode": "many", "mode.images.image0": "x", "size": 1}`, []string{"required_input_missing; image1; mode.images.image1"}},
		"type":              {"Grown", `{"images.image0": "x", "sizes.size_1": "many"}`, []string{"invalid_input_type; sizes.size_1, many, invalid literal for int() with base 10: 'many'; sizes.size_1"}},
		"limit":             {"Grown", `{"images.image0": "x", "sizes.size_1": 10, "sizes.size_0": 0}`, []string{"value_smaller_than_min; sizes.size_0; sizes.size_0", "value_bigger_than_max; sizes.size_1; sizes.size_1"}},
		"bad link":          {"Grown", `{"images.image0": [1]}`, []string{"bad_linked_input; images.image0; images.image0"}},
		"type of link":      {"Grown", `{"images.image0": ["list", 0], "sizes.size_0": ["list", 0]}`, []string{"return_type_mismatch; sizes.size_0, received_type(STRING) mismatch input_type(INT); sizes.size_0"}},
		"absent choice":     {"Chosen", `{"size": 1}`, []string{"required_input_missing; mode; mode"}},
		"unknown choice":    {"Chosen", `{"mode": "Fine", "mode.steps": 0, "size": 1}`, []string{"value_not_in_list; mode: 'Fine' not in ['fast', 'fine', 'many']; mode"}},
		"choice of a type":  {"Chosen", `{"mode": 1, "size": 1}`, []string{"value_not_in_list; mode: 1 not in ['fast', 'fine', 'many']; mode"}},
		"null choice":       {"Chosen", `{"mode": null, "size": 1}`, []string{"value_not_in_list; mode: None not in ['fast', 'fine', 'many']; mode"}},
		"linked choice":     {"Chosen", `{"mode": ["1", 0], "size": 1}`, []string{"return_type_mismatch; mode, received_type(*) mismatch input_type(COMFY_DYNAMICCOMBO_V3): the input is linked, but it decides which inputs the node has; give one of its choices as a literal; mode"}},
		"field of a choice": {"Chosen", `{"mode": "fine", "mode.steps": 0, "size": 1}`, []string{"value_smaller_than_min; mode.steps; mode.steps"}},
		"absent field":      {"Chosen", `{"mode": "fine", "size": 1}`, []string{"required_input_missing; steps; mode.steps"}},
		"nested choice":     {"Chosen", `{"mode": "fine", "mode.steps": 1, "mode.sub": "y", "size": 1}`, []string{"value_not_in_list; mode.sub: 'y' not in ['x', 'z']; mode.sub"}},
		"nested field":      {"Chosen", `{"mode": "fine", "mode.steps": 1, "mode.sub": "x", "size": 1}`, []string{"required_input_missing; y; mode.sub.y"}},
	} {
		t.Run(name, func(t *testing.T) {
			withLive(t, nil, func(r *liveRig) {
				require.Equal(t, c.problems, r.problems(c.class, c.inputs))
			})
		})
	}
}

func TestUndeclaredLinkFailsTheCall(t *testing.T) {
	for name, c := range map[string]struct{ class, inputs, input, text string }{
		"undeclared": {
			"Text", `{"in": "x", "extra": ["1", 0], "also": ["2", 0]}`, "also",
			`input "also": is linked, but class Text has no input of this name; remove the link or correct the name. A class takes any input with a field tagged in:",rest"`,
		},
		"the name of one that grows": {
			"Grown", `{"images": ["1", 0], "images.image0": ["2", 0]}`, "images",
			`input "images": is an input of class Grown that grows, so nothing can be linked to it directly; link images.image0`,
		},
		"beside a choice": {
			"Chosen", `{"mode": "fast", "mode.x": ["1", 0], "mod.x": ["2", 0], "size": 1}`, "mod.x",
			`input "mod.x": is linked, but class Chosen has no input of this name; remove the link or correct the name. A class takes any input with a field tagged in:",rest"`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			withLive(t, nil, func(r *liveRig) {
				o := r.run(r.nodes(c.class, c.inputs))
				e := o.failed(t)
				require.Equal(t, "n", e.NodeID)
				require.Equal(t, "TypeError", e.ExceptionType)
				require.Equal(t, c.text+"\n", e.ExceptionMessage)
				require.Contains(t, r.ran, "one", "the sources run before")
				require.Contains(t, r.ran, "two", "the sources run before")
				require.Contains(t, o.types(), "executing n")
			})
		})
	}
}

func TestUndeclaredBlockedLinkBlocksTheCall(t *testing.T) {
	withLive(t, nil, func(r *liveRig) {
		require.Empty(t, r.got("Text", `{"in": "never", "extra": ["block", 0]}`))
		require.NotContains(t, r.ran, "never")
	})
}

func TestUndeclaredLinkIsAnInputError(t *testing.T) {
	var got error
	watch := func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, c *flow.Call) (flow.Result, error) {
			res, err := next(ctx, c)
			if err != nil {
				got = err
			}
			return res, err
		}
	}
	withLive(t, &flow.LocalOptions{Around: []flow.Around{watch}}, func(r *liveRig) {
		r.run(r.nodes("Text", `{"extra": ["1", 0]}`)).failed(t)
		var e *nodebus.InputError
		require.ErrorAs(t, got, &e)
		require.Equal(t, "extra", e.Input)
	})
}
