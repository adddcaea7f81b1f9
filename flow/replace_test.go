package flow_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// blend is the new class of the tests.
type blend struct {
	Base   any `in:",optional"`
	Top    any `in:",optional"`
	Mode   any `in:",optional"`
	Weight any `in:"weight.0,optional"`
}

type blended struct {
	Picture any `out:"picture"`
	Mask    any `out:"mask"`
	UI      nodebus.UI
}

func (n blend) Run(*nodebus.Context) (blended, error) {
	all := []any{n.Base, n.Top, n.Mode, n.Weight}
	return blended{strings.TrimSpace(fmt.Sprintln(all...)), "mask", nodebus.UI{"got": all}}, nil
}

// mixToBlend replaces the old class of the tests.
var mixToBlend = flow.Replacement{
	Old: "Mix", New: "Blend",
	Widgets: []string{"amount"},
	Inputs: []flow.ReplacedInput{
		{New: "base", Old: "a"},
		{New: "top", Old: "b"},
		{New: "mode", Value: "soft"},
		{New: "weight.0", Old: "amounts.amount0"},
	},
	Outputs: []flow.ReplacedOutput{{Old: 0, New: 1}, {Old: 1, New: 0}},
}

// replaces returns a registry with the class Blend and the replacement of Mix.
func replaces(t *testing.T, r *flow.Registry) {
	t.Helper()
	flow.Register(r, blend{}, nodebus.Info{Name: "Blend"})
	require.NoError(t, r.AddReplacement(mixToBlend))
}

const mixed = `{
	"1":{"class_type":"Mix","inputs":{"a":5,"b":["2",1],"amounts.amount0":0.5,"gone":7},"_meta":{"title":"Old"}},
	"2":{"class_type":"Mix","inputs":{"b":"x"}},
	"3":{"class_type":"Show","inputs":{"in":["1",0],"in2":["2",2],"undeclared":["2",0]}}
}`

func TestReplace(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		replaces(t, r.reg)
		sent := parse(t, mixed)
		before := fmt.Sprintf("%#v", sent)
		p := &nodebus.Prompt{Nodes: sent}
		require.Error(t, prepare(r.reg, p), "an output does not exist")
		require.Equal(t, before, fmt.Sprintf("%#v", sent), "what the submitter sent is not modified")
		require.Equal(t, "Blend", p.Nodes[0].Class)
		require.Equal(t, "1", p.Nodes[0].ID)
		require.JSONEq(t, `{"title":"Old"}`, string(p.Nodes[0].Meta))
		require.Equal(t, in{"base": 5, "top": nodebus.Link{Node: "2", Slot: 0}, "mode": "soft", "weight.0": 0.5}, plain(t, p.Nodes[0].Inputs))
		require.Equal(t, in{"top": "x", "mode": "soft"}, p.Nodes[1].Inputs, "an absent input is skipped")
		require.Equal(t, in{
			"in": nodebus.Link{Node: "1", Slot: 1}, "in2": nodebus.Link{Node: "2", Slot: 2}, "undeclared": nodebus.Link{Node: "2", Slot: 1},
		}, p.Nodes[2].Inputs)
	})
}

// TestReplaceKeepsOrder: the new node has its inputs in the order of the replacement, and the
// members that a tool keeps beside a node.
func TestReplaceKeepsOrder(t *testing.T) {
	r := flow.NewRegistry()
	replaces(t, r)
	flow.Register(r, show{}, nodebus.Info{Name: "Show"})
	p := &nodebus.Prompt{Nodes: parse(t, `{"1":{"cnr_id":"pack","inputs":{"z":1,"b":2,"a":3},"class_type":"Mix"},`+
		`"2":{"inputs":{"z":0,"in2":["1",0],"in":["1",1]},"class_type":"Show"}}`)}
	require.NoError(t, prepare(r, p))
	text, err := json.Marshal(p.Nodes)
	require.NoError(t, err)
	require.Equal(t, `{"1":{"cnr_id":"pack","inputs":{"base":3,"top":2,"mode":"soft"},"class_type":"Blend"},`+
		`"2":{"inputs":{"z":0,"in2":["1",1],"in":["1",0]},"class_type":"Show"}}`, string(text))
}

// plain returns inputs with Go numbers in place of JSON numbers.
func plain(t *testing.T, inputs nodebus.Inputs) nodebus.Inputs {
	t.Helper()
	out := in{}
	for name, v := range inputs {
		if n, is := v.(json.Number); is {
			f, err := n.Float64()
			require.NoError(t, err)
			if v = f; f == math.Trunc(f) {
				v = int(f)
			}
		}
		out[name] = v
	}
	return out
}

// TestReplaceWhenSubmitted: the new node runs, and the record, the queue and the hidden
// input PROMPT have it.
func TestReplaceWhenSubmitted(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		replaces(t, r.reg)
		flow.Register(r.reg, seesPrompt{}, nodebus.Info{Name: "SeesPrompt", Output: true})
		graph := parse(t, `{
			"1":{"class_type":"Mix","inputs":{"a":5,"b":"x"}},
			"2":{"class_type":"Show","inputs":{"in":["1",1]}},
			"3":{"class_type":"SeesPrompt","inputs":{}}
		}`)
		hold := make(chan struct{})
		wait := r.startWith(&nodebus.Prompt{ID: "p", Nodes: graph, ClientID: "client"}, &flow.SubmitOptions{Ready: hold})
		for q, err := range r.engine.Queued(t.Context()) {
			require.NoError(t, err)
			require.Equal(t, "Blend", q.Prompt.Nodes[0].Class)
		}
		close(hold)
		o := wait()
		require.Equal(t, nodebus.Succeeded, o.record.State)
		require.Equal(t, []any{"5 x soft <nil>"}, o.text("2"), "output 1 of the old class is output 0 of the new class")
		require.Equal(t, []any{"Blend"}, o.text("3"))
		require.Equal(t, "Blend", o.record.Prompt.Nodes[0].Class)
		require.Equal(t, "Mix", graph[0].Class)
	})
}

// seesPrompt shows the class of the first node of its prompt.
type seesPrompt struct {
	Prompt nodebus.Nodes `hidden:"PROMPT"`
}

func (n seesPrompt) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(n.Prompt[0].Class), nil
}

// TestReplaceOnlyWhatIsGone: a class that exists is not replaced, and a class that does not
// exist replaces nothing. One prompt takes one step.
func TestReplaceOnlyWhatIsGone(t *testing.T) {
	r := flow.NewRegistry()
	flow.Register(r, show{}, nodebus.Info{Name: "Show"})
	class := func(old string) (string, error) {
		p := &nodebus.Prompt{Nodes: nodebus.Nodes{{ID: "1", Class: old, Inputs: in{}}, {ID: "2", Class: "Show", Inputs: in{}}}}
		err := prepare(r, p)
		return p.Nodes[0].Class, err
	}
	require.NoError(t, r.AddReplacement(flow.Replacement{Old: "A", New: "B"}))
	require.NoError(t, r.AddReplacement(flow.Replacement{Old: "B", New: "C"}))
	flow.Register(r, blend{}, nodebus.Info{Name: "C"})
	got, err := class("A")
	require.Equal(t, "A", got, "B does not exist, although it is replaced itself")
	require.ErrorContains(t, err, "Node 'A' not found")
	got, err = class("B")
	require.Equal(t, "C", got)
	require.NoError(t, err)
	flow.Register(r, blend{}, nodebus.Info{Name: "B"})
	got, err = class("B")
	require.Equal(t, "B", got, "a class that exists")
	require.NoError(t, err)
	got, err = class("A")
	require.Equal(t, "B", got)
	require.NoError(t, err)
}

func TestReplaceMistakes(t *testing.T) {
	inputs := func(all ...flow.ReplacedInput) flow.Replacement {
		return flow.Replacement{Old: "Old", New: "New", Inputs: all}
	}
	outputs := func(all ...flow.ReplacedOutput) flow.Replacement {
		return flow.Replacement{Old: "Old", New: "New", Outputs: all}
	}
	for problem, rep := range map[string]flow.Replacement{
		"the old class has no name; set Old":                                      {New: "New"},
		"the new class has no name; set New":                                      {Old: "Old"},
		"the new class is the old class; set New to the name of another class":    {Old: "Old", New: "Old"},
		`entry 0 of Inputs, for the new input "": the input has no name; set New`: inputs(flow.ReplacedInput{Old: "a"}),
		`entry 1 of Inputs, for the new input "b": neither Old nor Value is set; set Old to the name of an input of the old class, or Value, or remove the entry`: inputs(flow.ReplacedInput{New: "a", Old: "a"}, flow.ReplacedInput{New: "b"}),
		`entry 0 of Inputs, for the new input "a": both Old and Value are set; remove one of the two`:                                                             inputs(flow.ReplacedInput{New: "a", Old: "a", Value: 1}),
		`entry 0 of Inputs, for the new input "a": Value is a link; links come only from an input of the old node, so set Old`:                                    inputs(flow.ReplacedInput{New: "a", Value: nodebus.Link{Node: "1"}}),
		`entry 0 of Inputs, for the new input "a": Value is NaN or infinite, which JSON does not have; set another value`:                                         inputs(flow.ReplacedInput{New: "a", Value: []any{math.NaN()}}),
		`entry 0 of Inputs, for the new input "a": Value is null in JSON; remove the entry, or set another value`:                                                 inputs(flow.ReplacedInput{New: "a", Value: json.RawMessage("null")}),
		`Inputs names the new input "a" twice; remove one of the two entries`:                                                                                     inputs(flow.ReplacedInput{New: "a", Old: "a"}, flow.ReplacedInput{New: "a", Old: "b"}),
		"entry 0 of Outputs has a negative number; outputs count from 0":                                                                                          outputs(flow.ReplacedOutput{Old: -1}),
		"Outputs names the old output 1 twice; remove one of the two entries":                                                                                     outputs(flow.ReplacedOutput{Old: 1, New: 1}, flow.ReplacedOutput{Old: 1}),
	} {
		err := flow.NewRegistry().AddReplacement(rep)
		var bad *flow.ReplacementError
		require.ErrorAs(t, err, &bad, problem)
		require.Equal(t, flow.ReplacementError{Old: rep.Old, Problem: problem}, *bad)
		require.EqualError(t, err, fmt.Sprintf("nodebus: replacement of class %q: %s", rep.Old, problem))
	}
	require.ErrorContains(t, flow.NewRegistry().AddReplacement(inputs(flow.ReplacedInput{New: "a", Value: make(chan int)})),
		`entry 0 of Inputs, for the new input "a": Value has no form in JSON; set a number, a text, a boolean, a list or an object: `)

	r := flow.NewRegistry()
	replaces(t, r)
	require.EqualError(t, r.AddReplacement(flow.Replacement{Old: "Mix", New: "Other"}),
		`nodebus: replacement of class "Mix": it is replaced by class "Blend" already; remove one of the two`)
}

// TestReplacementValues: lists and objects reach the node as literals.
func TestReplacementValues(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		replaces(t, r.reg)
		list := []any{"1", 0}
		require.NoError(t, r.reg.AddReplacement(flow.Replacement{Old: "Values", New: "Blend", Inputs: []flow.ReplacedInput{
			{New: "base", Value: list},
			{New: "top", Value: map[string]any{"a": []int{1, 2}}},
			{New: "mode", Value: true},
			{New: "weight.0", Value: 3},
		}}))
		list[0] = "modified"
		o := r.run(parse(t, `{"1":{"class_type":"Values","inputs":{}},"2":{"class_type":"Show","inputs":{"in":["1",0]}}}`))
		require.Equal(t, []any{"[1 0] map[a:[1 2]] true 3"}, o.text("2"))
	})
}

func TestReplacementJSON(t *testing.T) {
	r := flow.NewRegistry()
	replaces(t, r)
	require.NoError(t, r.AddReplacement(flow.Replacement{Old: "A", New: "B"}))
	all := slices.Collect(r.Replacements())
	require.Len(t, all, 2)
	text, err := json.Marshal(all)
	require.NoError(t, err)
	require.Equal(t, `[`+
		`{"new_node_id":"B","old_node_id":"A","old_widget_ids":null,"input_mapping":null,"output_mapping":null},`+
		`{"new_node_id":"Blend","old_node_id":"Mix","old_widget_ids":["amount"],"input_mapping":[`+
		`{"new_id":"base","old_id":"a"},{"new_id":"top","old_id":"b"},{"new_id":"mode","set_value":"soft"},{"new_id":"weight.0","old_id":"amounts.amount0"}],`+
		`"output_mapping":[{"new_idx":1,"old_idx":0},{"new_idx":0,"old_idx":1}]}]`, string(text))
	var back []flow.Replacement
	require.NoError(t, json.Unmarshal(text, &back))
	require.Equal(t, all, back)
	for range r.Replacements() {
		break
	}
}

// naiveReplace does what Replace says, with the JSON of a graph.
func naiveReplace(graph map[string]map[string]any, known map[string]bool, reps map[string]flow.Replacement) {
	was := map[string]flow.Replacement{}
	for id, n := range graph {
		if rep, is := reps[n["class_type"].(string)]; is && !known[rep.Old] && known[rep.New] {
			was[id] = rep
		}
	}
	for id, n := range graph {
		inputs := map[string]any{}
		for name, v := range n["inputs"].(map[string]any) {
			if link, is := v.([]any); is {
				slot := link[1]
				for _, out := range was[link[0].(string)].Outputs {
					if float64(out.Old) == slot {
						link = []any{link[0], float64(out.New)}
					}
				}
				v = link
			}
			inputs[name] = v
		}
		if rep, is := was[id]; is {
			n["class_type"] = rep.New
			mapped := map[string]any{}
			for _, in := range rep.Inputs {
				if v, given := inputs[in.Old]; in.Old == "" {
					mapped[in.New] = in.Value
				} else if given {
					mapped[in.New] = v
				}
			}
			inputs = mapped
		}
		n["inputs"] = inputs
	}
}

// TestReplaceRandom compares random graphs with a naive model.
func TestReplaceRandom(t *testing.T) {
	classes := []string{"Blend", "Show", "Old0", "Old1", "Old2", "Old3"}
	names := []string{"base", "top", "mode", "a", "b"}
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		r := flow.NewRegistry()
		flow.Register(r, blend{}, nodebus.Info{Name: "Blend"})
		flow.Register(r, show{}, nodebus.Info{Name: "Show"})
		reps := map[string]flow.Replacement{}
		for _, old := range classes[2:5] { // Old3 has no replacement
			rep := flow.Replacement{Old: old, New: []string{"Blend", "Show", "Unknown"}[rnd.IntN(3)]}
			for _, k := range rnd.Perm(len(names))[:rnd.IntN(len(names))] {
				in := flow.ReplacedInput{New: names[k], Old: names[rnd.IntN(len(names))]}
				if rnd.IntN(3) == 0 {
					in.Old, in.Value = "", "set"
				}
				rep.Inputs = append(rep.Inputs, in)
			}
			for _, k := range rnd.Perm(3)[:rnd.IntN(3)] {
				rep.Outputs = append(rep.Outputs, flow.ReplacedOutput{Old: k, New: rnd.IntN(3)})
			}
			reps[old] = rep
			require.NoError(t, r.AddReplacement(rep))
		}
		graph := map[string]map[string]any{}
		size := 1 + rnd.IntN(6)
		for i := range size {
			inputs := map[string]any{}
			for _, name := range names {
				switch rnd.IntN(3) {
				case 0:
					inputs[name] = "literal " + name
				case 1:
					inputs[name] = []any{fmt.Sprint(rnd.IntN(size)), float64(rnd.IntN(3))}
				}
			}
			graph[fmt.Sprint(i)] = map[string]any{"class_type": classes[rnd.IntN(len(classes))], "inputs": inputs}
		}
		text, err := json.Marshal(graph)
		require.NoError(t, err)
		p := &nodebus.Prompt{Nodes: parse(t, string(text))}
		_ = prepare(r, p) // the links may be wrong
		got, err := json.Marshal(p.Nodes)
		require.NoError(t, err)
		naiveReplace(graph, map[string]bool{"Blend": true, "Show": true}, reps)
		want, err := json.Marshal(graph)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(got), "seed %d: %s", seed, text)
	}
}
