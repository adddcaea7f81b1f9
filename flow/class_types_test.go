package flow_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestTypesOfClassesMadeAtRunTime: inputs of every type in a class that is read from JSON.
func TestTypesOfClassesMadeAtRunTime(t *testing.T) {
	const entry = `{"input":{"required":{"n":[[1,2,4],{"default":2}],"f":["COMBO",{"options":[0.5,1]}]},` +
		`"optional":{"tags":["COMBO",{"multiselect":true,"options":["a","b"],"multi_select":{"chip":true}}],` +
		`"at":["INT",{"rawLink":true}],"big":["INT",{"min":-1,"max":100000000000000000000}]},"hidden":{"user":"USER_NAME"}},` +
		`"input_order":{"required":["n","f"],"optional":["tags","at","big"],"hidden":["user"]},` +
		`"output":[],"output_is_list":[],"output_name":[],"name":"Made","display_name":"Made","description":"","python_module":"nodes","category":"","output_node":true}`
	var schema flow.Schema
	require.NoError(t, json.Unmarshal([]byte(entry), &schema))
	inBubble(t, nil, nil, func(r *rig) {
		runs := 0
		class, err := flow.NewClass(schema, func(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
			runs++
			return flow.Result{UI: nodebus.Text(fmt.Sprintf("%v %v %v %v %v %v", in["n"], in["f"], in["tags"], in["at"], in["big"], in["user"]))}, nil
		}, nil)
		require.NoError(t, err)
		require.NoError(t, r.reg.Add(class))
		r.fn("Give", func(*nodebus.Context, any, any) (any, error) { return "linked", nil })
		require.Equal(t, `{"required":{"n":[[1,2,4],{"default":2}],"f":["COMBO",{"options":[0.5,1]}]},"optional":{"tags":["COMBO",{"multiselect":true,"multi_select":{"chip":true},"options":["a","b"]}],`+
			`"at":["INT",{"rawLink":true}],"big":["INT",{"min":-1,"max":100000000000000000000}]},"hidden":{"user":"USER_NAME"}}`, inputsOf(t, r.reg, "Made"))
		for i, c := range []struct{ change, want string }{
			{`{}`, "1 0.5 <nil> <nil> <nil> <nil>"},
			{`{"n":2.0,"f":1}`, "2 1 <nil> <nil> <nil> <nil>"},
			{`{"tags":{"__value__":["b","a"]}}`, "1 0.5 [b a] <nil> <nil> <nil>"},
			{`{"at":["g",0]}`, "1 0.5 <nil> {g 0} <nil> <nil>"},
			{`{"big":18446744073709551615}`, "1 0.5 <nil> <nil> 18446744073709551615 <nil>"},
			{`{"user":["g",0]}`, "1 0.5 <nil> <nil> <nil> linked"},
			{`{"user":{"a":1}}`, "1 0.5 <nil> <nil> <nil> map[a:1]"},
		} {
			for range 2 {
				o := r.run(parse(t, `{"1":{"class_type":"Made","inputs":`+merged(t, `{"n":1,"f":0.5}`, c.change)+`},"g":{"class_type":"Give","inputs":{}}}`))
				require.Nil(t, o.record.Error, c.change)
				require.Equal(t, []any{c.want}, o.text("1"), c.change)
				require.Equal(t, i+1, runs, c.change)
			}
		}
		for change, want := range map[string]string{
			`{"n":"1"}`:    "value_not_in_list: n: '1' not in [1, 2, 4]",
			`{"tags":"c"}`: "value_not_in_list: tags: 'c' not in ['a', 'b']",
			`{"at":5}`:     "invalid_input_type: at, 5, the node receives the link itself; connect the input to an output",
			`{"big":-2}`:   "value_smaller_than_min: big",
		} {
			require.Equal(t, want, problemOf(t, r.reg, "Made", merged(t, `{"n":1,"f":0.5}`, change)))
		}
	})
}
