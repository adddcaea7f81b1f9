package flow_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// owner has hidden inputs of its own.
type owner struct {
	Workflow string         `hidden:"WORKFLOW_NAME"`
	Level    int            `hidden:"LEVEL"`
	Data     map[string]int `hidden:"DATA"`
	From     any            `hidden:"FROM"`
	runs     *int
}

func (n owner) Run(*nodebus.Context) (nodebus.UI, error) {
	*n.runs++
	return nodebus.Text(fmt.Sprint(n.Workflow, "|", n.Level, "|", n.Data, "|", n.From)), nil
}

type (
	nearKind struct {
		X string `hidden:"UNIQE_ID"`
	}
	lowerKind struct {
		X string `hidden:"prompt"`
	}
	shortKind struct {
		X any `hidden:"EXTRA"`
	}
	emptyKind struct {
		X string `hidden:""`
	}
	spaceKind struct {
		X string `hidden:"MY KIND"`
	}
	lazyKind struct {
		X nodebus.Lazy[int] `hidden:"MINE"`
	}
)

func (nearKind) Run(*nodebus.Context) (int, error)  { return 0, nil }
func (lowerKind) Run(*nodebus.Context) (int, error) { return 0, nil }
func (shortKind) Run(*nodebus.Context) (int, error) { return 0, nil }
func (emptyKind) Run(*nodebus.Context) (int, error) { return 0, nil }
func (spaceKind) Run(*nodebus.Context) (int, error) { return 0, nil }
func (lazyKind) Run(*nodebus.Context) (int, error)  { return 0, nil }

// TestSection3HiddenInputsOfTheClassesOwn: the value is the secret of that name, or else what
// the prompt has under the name of the input, which may be a link.
func TestSection3HiddenInputsOfTheClassesOwn(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		runs := 0
		flow.Register(r.reg, owner{runs: &runs}, nodebus.Info{Name: "Owner", Output: true})
		r.fn("Give", func(*nodebus.Context, any, any) (any, error) { return "linked", nil })
		require.Equal(t, `{"required":{},"hidden":{"workflow":"WORKFLOW_NAME","level":"LEVEL","data":"DATA","from":"FROM"}}`, inputsOf(t, r.reg, "Owner"))
		for i, c := range []struct {
			inputs  string
			secrets map[string]string
			want    string
			runs    int
		}{
			{`{}`, nil, "|0|map[]|<nil>", 1},
			{`{"workflow":"mine","level":3,"data":{"a":1},"from":["g",0]}`, nil, "mine|3|map[a:1]|linked", 2},
			{`{"workflow":"mine","level":3,"data":{"a":1},"from":["g",0]}`, nil, "mine|3|map[a:1]|linked", 2}, // cached
			{`{"workflow":"mine","level":4,"data":{"a":1},"from":["g",0]}`, nil, "mine|4|map[a:1]|linked", 3},
			{`{"workflow":"forged"}`, map[string]string{"WORKFLOW_NAME": "host's", "LEVEL": "7"}, "host's|7|map[]|<nil>", 4},
			{`{"workflow":"forged"}`, map[string]string{"WORKFLOW_NAME": "another", "LEVEL": "7"}, "another|7|map[]|<nil>", 5},
			{`{"workflow":"forged"}`, map[string]string{"WORKFLOW_NAME": "host's", "LEVEL": "7"}, "host's|7|map[]|<nil>", 5}, // cached
		} {
			p := &nodebus.Prompt{ID: fmt.Sprint("p", i), Nodes: parse(t, `{"1":{"class_type":"Owner","inputs":`+c.inputs+`},"g":{"class_type":"Give","inputs":{}}}`)}
			wait := r.startWith(p, &flow.SubmitOptions{Secrets: c.secrets})
			require.Equal(t, []any{c.want}, wait().text("1"), c.inputs)
			require.Equal(t, c.runs, runs, c.inputs)
		}
		require.Equal(t, `invalid_input_type: level, 'x', needs a whole number, got the string "x"`, problemOf(t, r.reg, "Owner", `{"level":"x"}`))
		require.Equal(t, `exception_during_validation: input level links to node '9', which does not exist`, problemOf(t, r.reg, "Owner", `{"level":["9",0]}`))
	})
}

func TestHiddenInputsOfTheClassesOwnInCalls(t *testing.T) {
	r := flow.NewRegistry()
	runs := 0
	flow.Register(r, owner{runs: &runs}, nodebus.Info{Name: "Owner"})
	c, _ := r.Class("Owner")
	job := &nodebus.Job{Prompt: &nodebus.Prompt{}, Secrets: map[string]string{"LEVEL": "x"}}
	_, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{Job: job}), nil)
	require.ErrorContains(t, err, `input "level": the host's text for the hidden input LEVEL does not fit: the field needs a whole number; mend Secrets`)
	job.Secrets["LEVEL"] = "2"
	res, err := c.Call(nodebus.NewContext(t.Context(), nodebus.CallInfo{Job: job}), in{"workflow": "w", "level": 9})
	require.NoError(t, err)
	require.Equal(t, nodebus.Text("w|2|map[]|<nil>"), res.UI)
}

func TestRegisterFindsMisspeltHiddenKinds(t *testing.T) {
	r := flow.NewRegistry()
	const almost = "; write that, or a name of your own that is less like it"
	for want, register := range map[string]func(){
		"nearKind: field X: tag `hidden:\"UNIQE_ID\"` is almost UNIQUE_ID" + almost:                       func() { flow.Register(r, nearKind{}, nodebus.Info{}) },
		"lowerKind: field X: tag `hidden:\"prompt\"` is almost PROMPT" + almost:                           func() { flow.Register(r, lowerKind{}, nodebus.Info{}) },
		"shortKind: field X: tag `hidden:\"EXTRA\"` is almost EXTRA_PNGINFO" + almost:                     func() { flow.Register(r, shortKind{}, nodebus.Info{}) },
		"emptyKind: field X: tag `hidden:\"\"` is no name of a value; write a name like UNIQUE_ID":        func() { flow.Register(r, emptyKind{}, nodebus.Info{}) },
		"spaceKind: field X: tag `hidden:\"MY KIND\"` is no name of a value; write a name like UNIQUE_ID": func() { flow.Register(r, spaceKind{}, nodebus.Info{}) },
		"lazyKind: field X: tag `hidden` is not possible for nodebus.Lazy[int]; write int":                func() { flow.Register(r, lazyKind{}, nodebus.Info{}) },
	} {
		require.PanicsWithValue(t, "nodebus: node flow_test."+want, register)
	}
}
