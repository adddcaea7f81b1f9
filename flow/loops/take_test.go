package loops_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"

	"github.com/nodebus/nodebus/flow"
)

// TestNewest7_LoopStoredAndTaken: a prompt that went through JSON, as in a queue of another
// process, runs as before.
func TestNewest7_LoopStoredAndTaken(t *testing.T) {
	const api = `{
		"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":2,"cache_iterations":false}},
		"p":{"class_type":"Preview","inputs":{"in":["s",0]}},
		"e":{"class_type":"EndLoop","inputs":{"output_value":["p",0],"accumulate":true}},
		"t":{"class_type":"Sum","inputs":{"in":["e",0]}},
		"o":{"class_type":"Show","inputs":{"in":["t",0]}}}`
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		for _, outputs := range [][]string{nil, {"p"}, {"o"}} {
			nodes, err := nodebus.ParseNodes([]byte(api))
			require.NoError(t, err)
			p := &nodebus.Prompt{Nodes: nodes, Outputs: outputs, ClientID: "client"}
			_, err = r.reg.Prepare(t.Context(), p)
			require.NoError(t, err)
			first := asJSON(t, p)
			var taken nodebus.Prompt
			require.NoError(t, json.Unmarshal([]byte(first), &taken))
			o := r.do(&taken)
			require.NoError(t, o.Err())
			taken.ID, taken.Created = "", p.Created
			require.JSONEq(t, first, asJSON(t, taken))
			require.Equal(t, "1", o.shown("s.0.0.1_p"))
			require.Equal(t, map[bool]string{true: "", false: "[1]"}[len(outputs) == 1 && outputs[0] == "p"], o.shown("o"))
		}
	})
}

// mixed returns a list with one element, which may be anything.
type mixed struct{ v any }

func (n mixed) Run(*nodebus.Context) (nodebus.List[any], error) { return nodebus.List[any]{n.v}, nil }

// exact shows the type of its input, too.
type exact struct {
	In any `in:"in,optional"`
}

func (n exact) Run(*nodebus.Context) (string, error) { return fmt.Sprintf("%T %#v", n.In, n.In), nil }

// TestNewest7_LoopElements: the body receives the elements of a list, and the values that go
// round, as a node without a loop receives them.
func TestNewest7_LoopElements(t *testing.T) {
	for i, v := range []any{
		1, int8(1), 2.5, "x", true, nil,
		[]any{},
		[]any{"s", 0},
		[]any{"iteration_0", 0.0},
		[]int{1},
		point{1, 2},
		map[string]any{"__value__": "inner"},
		map[string]any{"__value__": nil},
		map[string]any{"__value__": []any{"s", 0}},
		map[string]any{"__value__": 1, "__type__": "x"},
		map[string]any{"k": int64(1)},
		nodebus.Link{Node: "l"},
		nodebus.Link{Node: "nobody", Slot: 2},
		nodebus.Out[any]{Value: 5},
		nodebus.Out[int]{Value: 5},
		nodebus.List[any]{1, 2},
	} {
		inBubble(t, nil, nil, func(t *testing.T, r *rig) {
			flow.Register(r.reg, mixed{v}, nodebus.Info{Name: "Mixed"})
			flow.Register(r.reg, exact{}, nodebus.Info{Name: "Exact"})
			plain := r.run(`{"l":{"class_type":"Mixed","inputs":{}},"n":{"class_type":"Exact","inputs":{"in":["l",0]}},"o":{"class_type":"Show","inputs":{"in":["n",0]}}}`)
			require.NoError(t, plain.Err())
			for _, slot := range []string{"3", "4"} {
				o := r.run(`{"l":{"class_type":"Mixed","inputs":{}},
					"s":{"class_type":"StartLoop","inputs":{"mode":"List","mode.list":["l",0],"cache_iterations":false,"initial_iteration_value":["l",0]}},
					"n":{"class_type":"Exact","inputs":{"in":["s",` + slot + `]}},
					"e":{"class_type":"EndLoop","inputs":{"output_value":["n",0],"accumulate":true}},
					"o":{"class_type":"Show","inputs":{"in":["e",0]}}}`)
				require.NoError(t, o.Err(), "%d: %#v", i, v)
				require.Equal(t, plain.shown("o"), o.shown("o"), "%d: %#v, output %s", i, v, slot)
			}
		})
	}
}

// shades is a node with inputs of many kinds.
type shades struct {
	After   any                  `in:"after,optional"`
	Whole   int                  `in:"whole"`
	Real    float64              `in:"real"`
	Text    string               `in:"text"`
	Yes     bool                 `in:"yes"`
	Color   color                `in:"color"`
	Object  map[string]int       `in:"object" type:"OBJECT"`
	Point   point                `in:"point"`
	List    []float64            `in:"list" type:"FLOATS"`
	Many    []string             `in:"many" options:"a,b,c"`
	One     string               `in:"one" options:"x,y"`
	Words   nodebus.List[any]    `in:"words"`
	Any     any                  `in:"any"`
	Default int                  `in:"default,optional" default:"8"`
	Images  []int                `grow:"image,min=0"`
	Rest    []nodebus.Named[any] `in:",rest"`
}

type point struct{ X, Y float64 }

// color reads a text.
type color struct{ hex string }

func (c *color) UnmarshalText(b []byte) error {
	c.hex = strings.TrimPrefix(string(b), "#")
	return nil
}

func (n shades) Run(*nodebus.Context) (string, error) {
	n.After = nil
	return fmt.Sprintf("%#v", n), nil
}

// TestNewest7_LoopLiterals: a copy of a node of the body receives the same literals as the node
// would receive itself.
func TestNewest7_LoopLiterals(t *testing.T) {
	const node = `"class_type":"Shades","inputs":{"z":1,"whole":"3","real":2,"text":5,"yes":"on","color":"#fa0","object":{"a":1},"point":{"x":1,"Y":2.5},
		"list":{"__value__":[1,2.5]},"many":{"__value__":["a","c"]},"one":"y","words":{"__value__":["p",1,[2]]},"any":{"__value__":[1,{"k":[2.5,null]}]},
		"images.image1":4,"b":{"__value__":["s",0]},"a":[1,2,3]`
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		flow.Register(r.reg, shades{}, nodebus.Info{Name: "Shades"})
		plain := r.run(`{"n":{` + node + `}},"o":{"class_type":"Show","inputs":{"in":["n",0]}}}`)
		require.NoError(t, plain.Err())
		require.Contains(t, plain.shown("o"), `Whole:3`)
		o := r.run(`{"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":1,"cache_iterations":false}},
			"n":{` + node + `,"after":["s",0]}},
			"e":{"class_type":"EndLoop","inputs":{"output_value":["n",0],"accumulate":false}},
			"o":{"class_type":"Show","inputs":{"in":["e",0]}}}`)
		require.NoError(t, o.Err())
		require.Equal(t, plain.shown("o"), o.shown("o"))
	})
}
