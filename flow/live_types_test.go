package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// grownTypes has inputs of every form beside and below dynamic inputs.
type grownTypes struct {
	At   []nodebus.Link         `grow:"at,min=0" in:",optional,raw"`
	Tags map[string][]string    `grow:"names=x|y,min=0" in:",optional" options:"a,b"`
	Size []*Size                `grow:"size,min=0" in:",optional"`
	Rec  []nodebus.Named[point] `grow:"rec,min=0" in:",optional"`
	User string                 `hidden:"USER_NAME"`
	Mode grownMode              `in:",optional"`
	runs *int
}

type grownMode struct {
	Fine *struct {
		Steps *int     `in:",optional"`
		Kinds []Flavor `in:",optional"`
	} `choice:"fine"`
}

func (n grownTypes) Run(*nodebus.Context) (nodebus.UI, error) {
	*n.runs++
	size, fine := 0, "none"
	for _, s := range n.Size {
		size += int(*s)
	}
	if f := n.Mode.Fine; f != nil {
		fine = fmt.Sprint(f.Steps == nil, f.Kinds)
	}
	return nodebus.Text(strings.TrimSpace(fmt.Sprintln(n.At, n.Tags, size, n.Rec, n.User, fine))), nil
}

// TestTypesOfDynamicInputs: inputs below dynamic inputs, and beside them, may have every type.
func TestTypesOfDynamicInputs(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		runs := 0
		flow.Register(r.reg, grownTypes{runs: &runs}, nodebus.Info{Name: "Grown"})
		r.fn("Give", func(*nodebus.Context, any, any) (any, error) { return "linked", nil })
		for i, c := range []struct{ inputs, want string }{
			{`{}`, "[] map[] 0 []  none"},
			{`{"at.at0":["g",0],"at.at1":["g",0]}`, "[{g 0} {g 0}] map[] 0 []  none"},
			{`{"tags.x":{"__value__":["a","b"]},"tags.y":"b"}`, "[] map[x:[a b] y:[b]] 0 []  none"},
			{`{"size.size0":256,"size.size1":512.0}`, "[] map[] 768 []  none"},
			{`{"rec.rec0":{"X":1},"rec.rec1":null}`, "[] map[] 0 [{rec0 {1 0}} {rec1 {0 0}}]  none"},
			{`{"rec.rec0":{"X":2}}`, "[] map[] 0 [{rec0 {2 0}}]  none"},
			{`{"user":["g",0]}`, "[] map[] 0 [] linked none"},
			{`{"user":"me"}`, "[] map[] 0 [] me none"},
			{`{"mode":"fine","mode.kinds":{"__value__":["sour"]}}`, "[] map[] 0 []  true [sour]"},
			{`{"mode":"fine","mode.steps":3}`, "[] map[] 0 []  false []"},
		} {
			for range 2 {
				o := r.run(parse(t, `{"1":{"class_type":"Grown","inputs":`+c.inputs+`},"g":{"class_type":"Give","inputs":{}}}`))
				require.Nil(t, o.record.Error, c.inputs)
				require.Equal(t, []any{c.want}, o.text("1"), c.inputs)
				require.Equal(t, i+1, runs, "the second time, the result is cached: %s", c.inputs)
			}
		}
		require.Equal(t, "invalid_input_type: at.at0, 5, the node receives the link itself; connect the input to an output", problemOf(t, r.reg, "Grown", `{"at.at0":5}`))
		require.Equal(t, "value_not_in_list: tags.x: 'c' not in ['a', 'b']", problemOf(t, r.reg, "Grown", `{"tags.x":"c"}`))
		require.Equal(t, "value_not_in_list: size.size0: '256' not in [256, 512, 1024]", problemOf(t, r.reg, "Grown", `{"size.size0":"256"}`))
	})
}
