package loops_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// graph returns a graph in its API format. A node is "id class input=source …", where a source is
// the id of a node, or id:slot. The required inputs of the boundaries are added.
func graph(nodes ...string) string {
	all := make([]string, len(nodes))
	for i, n := range nodes {
		words := strings.Fields(n)
		class := words[1]
		var inputs []string
		for _, w := range words[2:] {
			name, from, _ := strings.Cut(w, "=")
			from, slot, hasSlot := strings.Cut(from, ":")
			if !hasSlot {
				slot = "0"
			}
			inputs = append(inputs, fmt.Sprintf("%q:[%q,%s]", name, from, slot))
		}
		if class == "StartLoop" {
			inputs = append(inputs, `"mode":"simple","mode.num_iterations":2,"cache_iterations":false`)
		}
		if class == "EndLoop" && !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, "accumulate=") }) {
			inputs = append(inputs, `"accumulate":false`)
		}
		all[i] = fmt.Sprintf(`%q:{"class_type":%q,"inputs":{%s}}`, words[0], class, strings.Join(inputs, ","))
	}
	return "{" + strings.Join(all, ",") + "}"
}

// wrong is what a graph is refused for: the type, and the node ids and output ids of extra_info.
type wrong struct {
	kind           string
	nodes, outputs []string
}

var faults = []struct {
	name  string
	nodes []string
	wrong []wrong
	runs  []string // the outputs that run nevertheless
}{
	{
		"end without start",
		[]string{"n Numbers to=a", "a Add", "e EndLoop output_value=n", "o Show in=e"},
		[]wrong{{"loop_end_without_start", []string{"e"}, []string{"o"}}},
		nil,
	},
	{
		"start without end",
		[]string{"s StartLoop", "o Show in=s"},
		[]wrong{{"loop_start_without_end", []string{"s"}, []string{"o"}}},
		nil,
	},
	{
		"starts without end",
		[]string{"s2 StartLoop", "s1 StartLoop", "o Show in=s1 in2=s2"},
		[]wrong{{"loop_start_without_end", []string{"s1", "s2"}, []string{"o"}}},
		nil,
	},
	{
		"two starts",
		[]string{"r StartLoop", "l StartLoop", "b Add a=l b=r", "e EndLoop output_value=b", "o Show in=e"},
		[]wrong{{"ambiguous_loop_nesting", []string{"e", "l", "r"}, []string{"o"}}},
		nil,
	},
	{
		"two ends",
		[]string{"s StartLoop", "b Add a=s", "e1 EndLoop output_value=b", "e2 EndLoop output_value=b", "o1 Show in=e1", "o2 Show in=e2"},
		[]wrong{{"loop_escape", []string{"e1", "e2", "s"}, []string{"o1", "o2"}}},
		nil,
	},
	{
		"around the end",
		[]string{"s StartLoop", "b Add a=s", "e EndLoop output_value=b", "o Show in=e in2=b"},
		[]wrong{{"loop_escape", []string{"e", "o", "s"}, []string{"o"}}},
		nil,
	},
	{
		"around the inner end",
		[]string{"s StartLoop", "i StartLoop parent_iteration=s", "b Add a=i", "ie EndLoop output_value=b", "e EndLoop output_value=ie next_iteration_value=b", "o Show in=e"},
		[]wrong{{"loop_escape", []string{"e", "i", "ie"}, []string{"o"}}},
		nil,
	},
	{
		"an end too many",
		[]string{"s StartLoop", "e1 EndLoop output_value=s", "e2 EndLoop output_value=e1", "o Show in=e2"},
		[]wrong{{"loop_end_without_start", []string{"e2"}, []string{"o"}}},
		nil,
	},
	{
		"accumulate from the body",
		[]string{"s StartLoop", "b Add a=s", "c Pick a=b", "e EndLoop output_value=b accumulate=c", "o Show in=e"},
		[]wrong{{"loop_accumulate_from_body", []string{"c", "e", "s"}, []string{"o"}}},
		nil,
	},
	{
		"accumulate from the start",
		[]string{"s StartLoop", "e EndLoop output_value=s accumulate=s:1", "o Show in=e"},
		[]wrong{{"loop_accumulate_from_body", []string{"e", "s"}, []string{"o"}}},
		nil,
	},
	{
		"another output runs",
		[]string{"l StartLoop", "r StartLoop", "b Add a=l b=r", "e EndLoop output_value=b", "o Show in=e", "n Add", "p Show in=n"},
		[]wrong{{"ambiguous_loop_nesting", []string{"e", "l", "r"}, []string{"o"}}},
		[]string{"p"},
	},
	{
		"another loop runs",
		[]string{"s StartLoop", "o Show in=s", "t StartLoop", "b Add a=t", "e EndLoop output_value=b", "p Show in=e"},
		[]wrong{{"loop_start_without_end", []string{"s"}, []string{"o"}}},
		[]string{"p"},
	},
	{
		"two faults",
		[]string{"s StartLoop", "o Show in=s", "e EndLoop output_value=n", "n Add", "p Show in=e", "q Show in=n"},
		[]wrong{{"loop_end_without_start", []string{"e"}, []string{"p"}}, {"loop_start_without_end", []string{"s"}, []string{"o"}}},
		[]string{"q"},
	},
	{
		"ends that need each other",
		[]string{"s StartLoop", "b Add a=s", "p Preview in=b", "e1 EndLoop output_value=p next_iteration_value=e2", "e2 EndLoop output_value=e1", "o Show in=n", "n Add"},
		[]wrong{{"loop_end_cycle", []string{"e1", "e2"}, []string{"p"}}},
		[]string{"o"},
	},
	{
		"an end behind a cycle",
		[]string{"s StartLoop", "b Add a=s", "p Preview in=b", "e EndLoop output_value=p next_iteration_value=x", "x Add a=y", "y Add a=x", "o Show in=n", "n Add"},
		[]wrong{{"loop_end_cycle", []string{"e"}, []string{"p"}}},
		[]string{"o"},
	},
	{
		"a preview whose loop does not end",
		[]string{"s StartLoop", "b Add a=s", "p Preview in=b", "c Add a=p"},
		[]wrong{{"loop_start_without_end", []string{"s"}, []string{"p"}}},
		nil,
	},
}

// TestNewest2_LoopFaults: each of the types of loop errors, on which nodes it is, and which
// outputs run.
func TestNewest2_LoopFaults(t *testing.T) {
	for _, c := range faults {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, r *rig) {
				ve, runs := r.refused(graph(c.nodes...))
				require.NotNil(t, ve)
				require.Equal(t, "prompt_outputs_failed_validation", ve.Type)
				require.Equal(t, c.runs, runs)
				met := map[string]bool{}
				for _, w := range c.wrong {
					for _, id := range w.nodes {
						met[id] = true
						require.Contains(t, ve.Nodes, id)
						n := ve.Nodes[id]
						require.Len(t, n.Errors, 1, id)
						p := n.Errors[0]
						require.Equal(t, "custom_validation_failed", p.Type)
						require.Equal(t, map[string]any{
							"input_name": "loop boundary", "loop_error_type": w.kind, "node_ids": w.nodes, "output_ids": w.outputs,
						}, p.Extra)
						require.NotEmpty(t, p.Message)
						require.Equal(t, w.outputs, n.DependentOutputs, id)
						require.Equal(t, 1, strings.Count(ve.Details, p.Message+": "+p.Details), ve.Details)
					}
				}
				for id := range ve.Nodes {
					require.True(t, met[id], id)
				}
			})
		})
	}
}

// TestNewest2_LoopEndCycle: a cycle of links is a dependency_cycle, and nothing about loops.
func TestNewest2_LoopEndCycle(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		ve, runs := r.refused(graph("e1 EndLoop output_value=e2", "e2 EndLoop output_value=e1", "o Show in=e1"))
		require.Empty(t, runs)
		for _, id := range []string{"e1", "e2"} {
			require.Len(t, ve.Nodes[id].Errors, 1)
			require.Equal(t, "dependency_cycle", ve.Nodes[id].Errors[0].Type)
		}
	})
}

// TestNewest2_LoopBesideCycle: a loop runs, and its faults are found, although other nodes are in a
// cycle, also in a cycle that begins in the loop.
func TestNewest2_LoopBesideCycle(t *testing.T) {
	for name, cycle := range map[string][]string{
		"apart":             {"x Add a=y", "y Add a=x", "q Preview in=y"},
		"after the loop":    {"x Add a=y b=e", "y Add a=x", "q Preview in=y"},
		"out of the body":   {"x Add a=y b=b", "y Add a=x", "q Preview in=y"},
		"through the start": {"t StartLoop initial_iteration_value=u", "u EndLoop output_value=t", "q Preview in=u"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, r *rig) {
				o := r.run(graph(append(cycle, "s StartLoop", "b Add a=s", "e EndLoop output_value=b", "o Show in=e")...))
				require.Equal(t, nodebus.Succeeded, o.State)
				require.Equal(t, "[1]", o.shown("o"))
				require.Contains(t, asJSON(t, o.record.Prompt.Rejected), "dependency_cycle")

				ve, runs := r.refused(graph(append(cycle, "s StartLoop", "b Add a=s", "e EndLoop output_value=b", "o Show in=e in2=b")...))
				require.Empty(t, runs)
				require.Equal(t, "loop_escape", ve.Nodes["s"].Errors[0].Extra["loop_error_type"])
			})
		})
	}
}

// TestNewest2_LoopFaultsBesideOthers: errors of loops and of inputs are listed together.
func TestNewest2_LoopFaultsBesideOthers(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		ve, runs := r.refused(graph("l StartLoop", "r StartLoop", "b Add a=l b=r", "e EndLoop output_value=b", "o Show in2=e"))
		require.Empty(t, runs)
		require.Equal(t, "required_input_missing", ve.Nodes["o"].Errors[0].Type)
		require.Len(t, ve.Nodes["o"].Errors, 1)
		require.Equal(t, "ambiguous_loop_nesting", ve.Nodes["e"].Errors[0].Extra["loop_error_type"])
		require.Contains(t, ve.Details, "Required input is missing")
		require.Contains(t, ve.Details, ve.Nodes["e"].Errors[0].Details)
	})
}

// TestNewest7_LoopPairs: which EndLoop closes which StartLoop.
func TestNewest7_LoopPairs(t *testing.T) {
	for _, c := range []struct {
		name  string
		nodes []string
		want  map[string]string // StartLoop: EndLoop and body
	}{
		{
			"branches",
			[]string{"s StartLoop", "b1 Add a=s", "b2 Add a=s", "e EndLoop output_value=b1 next_iteration_value=b2", "o Show in=e"},
			map[string]string{"s": "e [b1 b2]"},
		},
		{
			"values from outside",
			[]string{"x Add", "s StartLoop", "b Add a=s b=x", "e EndLoop output_value=b", "o Show in=e"},
			map[string]string{"s": "e [b]"},
		},
		{
			"loops one after the other inside of a loop",
			[]string{
				"so StartLoop", "s1 StartLoop parent_iteration=so", "b1 Add a=s1", "e1 EndLoop output_value=b1", "s2 StartLoop initial_iteration_value=e1",
				"b2 Add a=so b=s2", "e2 EndLoop output_value=b2", "eo EndLoop output_value=e2", "o Show in=eo",
			},
			map[string]string{"s1": "e1 [b1]", "s2": "e2 [b2]", "so": "eo [b1 b2 e1 e2 s1 s2]"},
		},
		{
			"two loops",
			[]string{"s1 StartLoop", "e1 EndLoop output_value=s1", "o1 Show in=e1", "s2 StartLoop", "e2 EndLoop output_value=s2", "o2 Show in=e2"},
			map[string]string{"s1": "e1 []", "s2": "e2 []"},
		},
		{
			"boundaries that no output needs",
			[]string{"s StartLoop", "e EndLoop output_value=s", "o Show in=e", "x StartLoop", "y EndLoop output_value=o2", "o2 Add"},
			map[string]string{"s": "e []"},
		},
		{
			"loops that only a dead end needs",
			[]string{
				"s StartLoop", "b Add a=s", "p Preview in=b", "e EndLoop output_value=b terminations.termination0=p", "t Add a=e",
				"x StartLoop", "y StartLoop parent_iteration=x", "c Add a=t b=y", "z EndLoop output_value=c",
			},
			map[string]string{"s": "e [b p]"},
		},
		{
			"previews in loops inside of each other",
			[]string{
				"so StartLoop", "si StartLoop parent_iteration=so", "b Add a=si", "p Preview in=b", "ei EndLoop output_value=p", "eo EndLoop output_value=ei",
			},
			map[string]string{"si": "ei [b p]", "so": "eo [b ei p si]"},
		},
		{
			"faults after an output",
			[]string{"n Add", "p Preview in=n", "e EndLoop output_value=p", "e1 EndLoop output_value=p next_iteration_value=e2", "e2 EndLoop output_value=e1"},
			map[string]string{},
		},
		{
			"an end after an output",
			[]string{"s StartLoop", "b Add a=s", "c Add a=b b=s", "p Preview in=b", "e EndLoop output_value=b next_iteration_value=c terminations.termination0=p"},
			map[string]string{"s": "e [b c p]"},
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, r *rig) {
				o := r.run(graph(c.nodes...))
				require.NoError(t, o.Err())
				got := map[string]string{}
				for _, n := range o.record.Prompt.Nodes {
					if n.Extra["_loop_end"] != nil {
						got[n.ID] = strings.ReplaceAll(strings.ReplaceAll(string(n.Extra["_loop_end"])+" "+string(n.Extra["_loop_body"]), `"`, ""), ",", " ")
					}
				}
				require.Equal(t, c.want, got)
			})
		})
	}
}
