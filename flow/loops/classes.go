package loops

import (
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

const (
	category = "utilities/looping"
	module   = "comfy_extras.nodes_loop" // the front end shows its classes as part of ComfyUI
)

// planInput is the hidden input with which StartLoop receives its loop, and EndLoop the result.
// It has the name of ComfyUI's hidden input for the same purpose.
const planInput, planKind = "execution_list", "EXECUTION_LIST"

// Outputs of StartLoop and LoopIteration.
const (
	slotFirst = 1
	slotLast  = 2
	slotItem  = 3 // for EndLoop, the StartLoop itself has its *result there
)

func tip(text string) []flow.PortOption { return []flow.PortOption{{Name: "tooltip", Value: text}} }

func match(id string) *flow.Match { return &flow.Match{ID: id} }

var hidden = []flow.Port{
	{Name: planInput, Type: planKind, Kind: flow.PortHidden},
	{Name: "unique_id", Type: "UNIQUE_ID", Kind: flow.PortHidden},
}

func startSchema() flow.Schema {
	return flow.Schema{
		Info: nodebus.Info{
			Name: startClass, Title: "Start Loop", Category: category, Module: module,
			Description: "Begins a loop. What lies between this node and an End Loop runs once for each iteration.",
		},
		Inputs: append([]flow.Port{
			{Name: "mode", Options: tip("What decides how often the loop runs."), Cases: []flow.Case{
				{Key: "simple", Inputs: []flow.Port{
					{Name: "num_iterations", Type: "INT", Default: 4, Min: 0, Options: tip("The number of iterations.")},
				}},
				{Key: "For", Inputs: []flow.Port{
					{Name: "start_iteration_index", Type: "INT", Default: 0, Options: tip("The index of the first iteration.")},
					{Name: "max_iteration", Type: "INT", Default: 4, Max: uint64(1<<64 - 1), Options: tip("The loop ends before the index reaches this number.")},
					{Name: "step", Type: "INT", Default: 1, Min: 1, Options: tip("What is added to the index after each iteration.")},
				}},
				{Key: "List", Inputs: []flow.Port{
					{Name: "list", Match: match("list_item"), List: true, Options: tip("The loop runs once for each element.")},
				}},
			}},
			{Name: "cache_iterations", Type: "BOOLEAN", Default: false, Options: append(
				tip("Take results of earlier runs for what has not changed. Otherwise each iteration runs anew."),
				flow.PortOption{Name: "advanced", Value: true})},
			{Name: "parent_iteration", Type: "INT", Kind: flow.PortOptional, Options: append(
				tip("Link it to the iteration_index of the loop around this loop."),
				flow.PortOption{Name: "forceInput", Value: true})},
			{
				Name: "initial_iteration_value", Match: match("carried_value"), List: true, Kind: flow.PortOptional,
				Options: tip("The current_iteration_value of the first iteration."),
			},
		}, hidden...),
		Outputs: []flow.Port{
			{Name: "iteration_index", Type: "INT", Options: tip("The index of the iteration.")},
			{Name: "is_first", Type: "BOOLEAN", Options: tip("Whether the iteration is the first.")},
			{Name: "is_last", Type: "BOOLEAN", Options: tip("Whether the iteration is the last.")},
			{Name: "list_item", Match: match("list_item"), Options: tip("The element of the list. In the other modes: nothing.")},
			{
				Name: "current_iteration_value", Match: match("carried_value"),
				Options: tip("In the first iteration initial_iteration_value, and then the next_iteration_value of the iteration before."),
			},
		},
	}
}

func endSchema() flow.Schema {
	return flow.Schema{
		Info: nodebus.Info{
			Name: endClass, Title: "End Loop", Category: category, Module: module,
			Description: "Ends the loop that a Start Loop begins.",
		},
		Inputs: append([]flow.Port{
			{Name: "output_value", Match: match("output_value"), List: true, Kind: flow.PortOptional, Options: tip("What the loop returns; see accumulate.")},
			{Name: "next_iteration_value", Match: match("carried_value"), List: true, Kind: flow.PortOptional, Options: tip("The current_iteration_value of the next iteration.")},
			{Name: "accumulate", Type: "BOOLEAN", Default: false, Options: tip("Return output_value of all iterations. Otherwise only of the last.")},
			{Name: "terminations", Kind: flow.PortOptional, Options: tip("What else must run in each iteration."), Grow: &flow.Grow{
				Element: flow.Port{Type: "*", Options: tip("Link it to an output of what must run, for example of a preview. The value is not used.")},
				Prefix:  "termination", Max: 50,
			}},
		}, hidden...),
		Outputs: []flow.Port{
			{Name: "outputs", Match: match("output_value"), List: true, Options: tip("The output_value of the last iteration, or of all.")},
		},
	}
}

// dependencies takes the inputs that only make one node run after another.
var dependencies = flow.Port{Name: "dependencies", Rest: true, List: true}

func iterationSchema() flow.Schema {
	return flow.Schema{
		Info: nodebus.Info{Name: iterationClass, Module: module, DevOnly: true},
		Inputs: []flow.Port{
			{Name: "iteration_index", Type: "INT"},
			{Name: "is_first", Type: "BOOLEAN"},
			{Name: "is_last", Type: "BOOLEAN"},
			{Name: "list_item", Type: "*", Kind: flow.PortOptional},
			{Name: "current_iteration_value", Type: "*", List: true, Kind: flow.PortOptional},
			{Name: "reuse_cache", Type: "BOOLEAN"},
			dependencies,
		},
		Outputs: []flow.Port{{Type: "INT"}, {Type: "BOOLEAN"}, {Type: "BOOLEAN"}, {Type: "*"}, {Type: "*", List: true}},
	}
}

// runIteration passes on its inputs. A value that is an Out itself stays as it is.
func runIteration(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
	item := in["list_item"]
	if e, ok := item.(element); ok {
		item = e.value
	}
	carried, ok := in["current_iteration_value"].([]any)
	if !ok {
		carried = []any{nil}
	}
	round := make([]any, len(carried))
	for i, v := range carried {
		round[i] = nodebus.Out[any]{Value: v}
	}
	return flow.Result{Outputs: []any{in["iteration_index"], in["is_first"], in["is_last"], nodebus.Out[any]{Value: item}, round}}, nil
}

// printIteration lets a cache keep what the iteration passes on, and so the body, if the loop
// asks for it. What the iteration only waits for is part of its key, too: otherwise its body could
// begin before the iteration before has ended, where a cache has the one but not the other. So no
// cache keeps an iteration after an EndLoop of a loop inside of it.
func printIteration(_ *nodebus.Context, in nodebus.Inputs) (string, error) {
	if reuse, _ := in["reuse_cache"].(bool); reuse {
		return "", nil
	}
	return "", errAlways
}

func progressSchema() flow.Schema {
	return flow.Schema{
		Info:    nodebus.Info{Name: progressClass, Module: module, DevOnly: true, Output: true},
		Inputs:  []flow.Port{{Name: "start_id", Type: "STRING"}, {Name: "position", Type: "INT"}, {Name: "total", Type: "INT"}, dependencies},
		Outputs: []flow.Port{{Type: "INT"}},
	}
}

func runProgress(ctx *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
	start, _ := in["start_id"].(string)
	tell(ctx, start, in["position"], in["total"])
	return flow.Result{Outputs: []any{in["position"]}}, nil
}

// tell shows on a StartLoop how many iterations have ended. It is only a hint: a client that
// cannot be told does not end the loop.
func tell(ctx *nodebus.Context, start string, position, total any) {
	_ = ctx.SendSync(nodebus.ProgressText{
		PromptID: ctx.PromptID(), UniqueID: start, Text: fmt.Sprintf("Iteration %v / %v", position, total),
	})
}

func resultSchema() flow.Schema {
	return flow.Schema{
		Info:   nodebus.Info{Name: resultClass, Module: module, DevOnly: true, Output: true},
		Inputs: []flow.Port{{Name: "close_id", Type: "STRING"}, dependencies},
	}
}

// runResult does nothing: the node stands for the end of the last iteration.
func runResult(*nodebus.Context, nodebus.Inputs) (flow.Result, error) { return flow.Result{}, nil }
