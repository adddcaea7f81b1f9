// Jsontools makes nodes of tools that a JSON file declares, with a JSON Schema for their
// arguments, as tools of a language model are declared. No Go type describes the nodes.
//
//	go run ./examples/jsontools
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// calls holds the code of the tools. It could also be a request to another server.
var calls = map[string]func(args nodebus.Inputs) (any, error){
	"count_words": func(args nodebus.Inputs) (any, error) {
		n := 0
		for word := range strings.FieldsSeq(args["text"].(string)) {
			if int64(len(word)) >= args["at_least"].(int64) {
				n++
			}
		}
		return n, nil
	},
	"change_case": func(args nodebus.Inputs) (any, error) {
		if args["to"] == "upper" {
			return strings.ToUpper(args["text"].(string)), nil
		}
		return strings.ToLower(args["text"].(string)), nil
	},
	"split": func(args nodebus.Inputs) (any, error) {
		words := strings.Fields(args["text"].(string))
		if args["reverse"] == true {
			slices.Reverse(words)
		}
		return words, nil
	},
}

// Show is a node of the program itself.
type Show struct{ Value any }

// Run shows the value.
func (n Show) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.Value)), nil
}

func main() { run(os.Stdout) }

func run(out io.Writer) {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Show{}, nodebus.Info{})
	if err := addTools(registry); err != nil {
		panic(err)
	}
	for class := range registry.Classes() {
		fmt.Fprintln(out, "class:", class.Name())
	}
	engine := flow.NewEngine(registry, hub, nil)
	graph := nodebus.NewGraph()
	words := graph.Add("split", nodebus.Inputs{"text": "a red wheel barrow", "reverse": true})
	upper := graph.Add("change_case", nodebus.Inputs{"text": words, "to": "upper"})
	graph.AddAs("upper", "Show", nodebus.Inputs{"value": upper})
	graph.AddAs("count", "Show", nodebus.Inputs{"value": graph.Add("count_words", nodebus.Inputs{"text": "a red wheel", "at_least": 2})})
	outcome, err := flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: graph.Nodes()})
	if err != nil {
		panic(err)
	}
	fmt.Fprintln(out, outcome.State, outcome.Output("upper")["text"], outcome.Output("count")["text"])

	wrong := nodebus.NewGraph()
	wrong.AddAs("o", "Show", nodebus.Inputs{"value": wrong.AddAs("c", "change_case", nodebus.Inputs{"text": "a", "to": "title"})})
	_, err = flow.Do(context.Background(), engine, &nodebus.Prompt{Nodes: wrong.Nodes()})
	fmt.Fprintln(out, err)
	_ = hub.Close()
}
