package flow_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// repeat is the function of a class: it repeats a text. in has the values of the inputs.
func repeat(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
	text := strings.Repeat(in["text"].(string), int(in["times"].(int64)))
	return flow.Result{Outputs: []any{text}, UI: nodebus.Text(text)}, nil
}

// A class made at run time has a schema and a function. Nodes of the class follow the same
// rules as nodes that are Go structs.
func ExampleNewClass() {
	class, err := flow.NewClass(flow.Schema{
		Info: nodebus.Info{Name: "Repeat", Category: "text", Output: true},
		Inputs: []flow.Port{
			{Name: "text", Type: "STRING"},
			{Name: "times", Type: "INT", Kind: flow.PortOptional, Default: 2, Min: 1, Max: 10},
		},
		Outputs: []flow.Port{{Type: "STRING"}},
	}, repeat, nil)
	if err != nil {
		panic(err)
	}
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	if err := r.Add(class); err != nil {
		panic(err)
	}
	engine := flow.NewEngine(r, hub, nil)
	for _, inputs := range []nodebus.Inputs{{"text": "ha"}, {"text": "ha", "times": 11}} {
		g := nodebus.NewGraph()
		g.AddAs("1", "Repeat", inputs)
		outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: g.Nodes()})
		fmt.Println(outcome.Output("1")["text"], err)
	}
	_ = hub.Close()
	// Output:
	// [haha] <nil>
	// [] nodebus: Prompt outputs failed validation; node 1 (Repeat): Value 11 bigger than max of 10: times
}

// A program can add and remove classes while it runs, for example when a plugin is loaded.
func ExampleRegistry_Add() {
	r := flow.NewRegistry()
	class, err := flow.NewClass(flow.Schema{Info: nodebus.Info{Name: "Plugin"}}, repeat, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Add(class))
	fmt.Println(r.Add(class))
	fmt.Println(r.Remove("Plugin"), r.Remove("Plugin"))
	// Output:
	// <nil>
	// nodebus: class "Plugin": the name is taken by a class made at run time; set Info.Name to another, or remove that class first
	// true false
}

// A schema can be read from the description that a server gives of a class.
func ExampleSchema_UnmarshalJSON() {
	entry := `{"name": "Resize", "input": {"required": {
		"image": ["IMAGE"], "width": ["INT", {"default": 512, "min": 16}], "mode": [["fit", "fill"], {}]}},
		"output": ["IMAGE"]}`
	var schema flow.Schema
	if err := json.Unmarshal([]byte(entry), &schema); err != nil {
		panic(err)
	}
	for _, p := range schema.Inputs {
		choices, _ := p.ListChoices()
		fmt.Println(p.Name, p.Type, p.Default, p.Min, choices)
	}
	// Output:
	// image IMAGE <nil> <nil> []
	// width INT 512 16 []
	// mode COMBO <nil> <nil> [fit fill]
}
