package flow_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// problemsOf returns the problems of node id as JSON.
func problemsOf(t *testing.T, reg *flow.Registry, id, api string) string {
	t.Helper()
	err := prepare(reg, &nodebus.Prompt{Nodes: parse(t, api)})
	var ve *nodebus.ValidationError
	require.ErrorAs(t, err, &ve)
	require.Contains(t, ve.Nodes, id)
	return jsonOf(t, ve.Nodes[id].Errors)
}

// TestNewest2_DependencyCycle: the error of a ring is added to the node's other errors.
func TestNewest2_DependencyCycle(t *testing.T) {
	const api = `{"1":{"class_type":"Add","inputs":{"a":["2",0]}},"2":{"class_type":"Add","inputs":{"a":["1",0],"b":"x"}},
		"o":{"class_type":"Show","inputs":{"in":["1",0]}}}`
	require.JSONEq(t, `[{"type":"required_input_missing","message":"Required input is missing","details":"b","extra_info":{"input_name":"b"}},
		{"type":"dependency_cycle","message":"Dependency cycle detected","details":"1 (Add) -> 2 (Add) -> 1 (Add)","extra_info":{"node_id":"1","cycle_nodes":["1","2"]}}]`,
		problemsOf(t, validationRegistry(), "1", api))
	_, ve := validate(t, parse(t, api))
	require.Len(t, ve.Nodes["2"].Errors, 2)
	require.Equal(t, []string{"invalid_input_type", "dependency_cycle"}, []string{ve.Nodes["2"].Errors[0].Type, ve.Nodes["2"].Errors[1].Type})
	require.NotContains(t, ve.Nodes, "o", "what only depends on the ring has no error of its own")
}

// refuser refuses everything.
type refuser struct {
	In    any `in:"in,optional"`
	Other any `in:"other,optional"`
	err   error
}

func (refuser) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }
func (n refuser) Validate(*nodebus.Context) error        { return n.err }

// TestNewest2_CustomValidationFailed: the validation of a node that received no input counts, and
// each failing result is an error.
func TestNewest2_CustomValidationFailed(t *testing.T) {
	problem := func(details, extra string) string {
		return fmt.Sprintf(`{"type":"custom_validation_failed","message":"Custom validation failed for node","details":%q,"extra_info":%s}`, details, extra)
	}
	one, two := errors.New("not today"), errors.New("too late")
	about := func(input string, err error) error { return &nodebus.InputError{Input: input, Err: err} }
	for name, tt := range map[string]struct {
		err    error
		inputs string
		want   string
	}{
		"no input":               {one, `{}`, problem("not today", `{}`)},
		"no input, no text":      {errors.New(""), `{}`, problem("", `{}`)},
		"no input, two results":  {errors.Join(one, two), `{}`, problem("not today", `{}`) + "," + problem("too late", `{}`)},
		"only an undeclared one": {one, `{"z":1}`, problem("not today", `{}`)},
		"about an absent input":  {about("in", one), `{"other":1}`, problem("not today", `{}`)},
		"an input":               {one, `{"in":1}`, problem("in - not today", `{"input_name":"in"}`)},
		"two results for two": {
			errors.Join(one, two), `{"in":1,"other":2}`,
			problem("in - not today", `{"input_name":"in"}`) + "," + problem("other - not today", `{"input_name":"other"}`) + "," +
				problem("in - too late", `{"input_name":"in"}`) + "," + problem("other - too late", `{"input_name":"other"}`),
		},
		"two inputs by name": {
			errors.Join(about("in", one), about("other", two)), `{"in":1,"other":2}`,
			problem("in - not today", `{"input_name":"in"}`) + "," + problem("other - too late", `{"input_name":"other"}`),
		},
		"an error of two that says more": {fmt.Errorf("%w, and %w", one, two), `{}`, problem("not today, and too late", `{}`)},
	} {
		t.Run(name, func(t *testing.T) {
			reg := flow.NewRegistry()
			flow.Register(reg, refuser{err: tt.err}, nodebus.Info{Name: "Refuser"})
			require.JSONEq(t, "["+tt.want+"]", problemsOf(t, reg, "o", `{"o":{"class_type":"Refuser","inputs":`+tt.inputs+`}}`))
		})
	}
}

// growing has inputs that stand for others, and a choice of several values.
type growing struct {
	Images []string `grow:"image,min=2"`
	Mode   growMode `in:"mode,optional"`
	Tags   []string `in:"tags,optional" options:"a,b"`
}

type growMode struct {
	Fine *struct {
		Steps int
	} `choice:"fine"`
}

func (growing) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }

// TestNewest2_DynamicInputs: a missing input below another one is named by the last part of its
// name, and a wrong choice of several values lists every wrong value.
func TestNewest2_DynamicInputs(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, growing{}, nodebus.Info{Name: "Growing"})
	missing := func(details, name string) string {
		return fmt.Sprintf(`{"type":"required_input_missing","message":"Required input is missing","details":%q,"extra_info":{"input_name":%q}}`, details, name)
	}
	require.JSONEq(t, "["+missing("image0", "images.image0")+","+missing("image1", "images.image1")+","+missing("steps", "mode.steps")+"]",
		problemsOf(t, reg, "o", `{"o":{"class_type":"Growing","inputs":{"mode":"fine"}}}`))
	for tags, shown := range map[string]string{
		`{"__value__":["x","a","it's"]}`: `'x', 'it's'`,
		`{"__value__":[1,null,"b"]}`:     `1, None`,
		`"x"`:                            `'x'`,
	} {
		_, err := reg.Prepare(t.Context(), &nodebus.Prompt{Nodes: parse(t, `{"o":{"class_type":"Growing","inputs":{"images.image0":"x","images.image1":"x","tags":`+tags+`}}}`)})
		var ve *nodebus.ValidationError
		require.ErrorAs(t, err, &ve)
		require.Len(t, ve.Nodes["o"].Errors, 1)
		p := ve.Nodes["o"].Errors[0]
		require.Equal(t, []string{"value_not_in_list", "tags: " + shown + " not in ['a', 'b']"}, []string{p.Type, p.Details})
	}
}
