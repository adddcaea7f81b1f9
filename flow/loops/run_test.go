package loops_test

import (
	"strconv"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/loops"
	"github.com/stretchr/testify/require"
)

// simple is a loop that adds the index to the carried value.
const simple = `
	"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":3,"cache_iterations":false,"initial_iteration_value":["ten",0]}},
	"ten":{"class_type":"Add","inputs":{"a":10}},
	"b":{"class_type":"Add","inputs":{"a":["s",0],"b":["s",4]}},
	"e":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"next_iteration_value":["b",0],"accumulate":false}},
	"o":{"class_type":"Show","inputs":{"in":["e",0]}}`

// TestNewest7_LoopRuns: the start expands the body once for each iteration; the copies are shown
// on the nodes of the body, which do not run themselves, and the texts on the start.
func TestNewest7_LoopRuns(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		o := r.run(`{` + simple + `}`)
		require.NoError(t, o.Err())
		require.Equal(t, "[13]", o.shown("o"))
		require.Equal(t, []string{
			"ten@ten", "s@s",
			"s.0.0.iteration_0@s", "s.0.0.0_b@b", "s.0.0.progress_0@s",
			"s.0.0.iteration_1@s", "s.0.0.1_b@b", "s.0.0.progress_1@s",
			"s.0.0.iteration_2@s", "s.0.0.2_b@b", "s.0.0.progress_2@s", "s.0.0.result@s",
			"e@e", "o@o",
		}, o.executing())
		require.Equal(t, []string{"s: Iteration 0 / 3", "s: Iteration 1 / 3", "s: Iteration 2 / 3", "s: Iteration 3 / 3"}, o.texts())
		require.Equal(t, map[string]int{"ten": 1, "b": 3}, r.calls)
		for _, ev := range o.events {
			p, _ := ev.Payload.(nodebus.ProgressState)
			for _, n := range p.Nodes() {
				if n.DisplayID == "b" {
					require.Equal(t, "s", n.ParentID)
					require.Equal(t, "s", n.RealID)
				}
			}
		}
	})
}

// TestNewest7_LoopStored: the stored start node has _loop_body and _loop_end; nothing else of the
// graph changes.
func TestNewest7_LoopStored(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		o := r.run(`{` + simple + `}`)
		require.JSONEq(t, `{
			"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":3,"cache_iterations":false,"initial_iteration_value":["ten",0]},"_loop_body":["b"],"_loop_end":"e"},
			"ten":{"class_type":"Add","inputs":{"a":10}},
			"b":{"class_type":"Add","inputs":{"a":["s",0],"b":["s",4]}},
			"e":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"next_iteration_value":["b",0],"accumulate":false}},
			"o":{"class_type":"Show","inputs":{"in":["e",0]}}}`, asJSON(t, o.record.Prompt.Nodes))
		require.Equal(t, []string{"o"}, o.record.Prompt.Outputs)
	})
}

// TestNewest7_LoopModes: the modes of StartLoop, and what the body receives.
func TestNewest7_LoopModes(t *testing.T) {
	for _, c := range []struct{ name, mode, slot, want string }{
		{"simple", `"mode":"simple","mode.num_iterations":4`, "0", "[0 1 2 3]"},
		{"none", `"mode":"simple","mode.num_iterations":0`, "0", "[]"},
		{"for", `"mode":"For","mode.start_iteration_index":3,"mode.max_iteration":10,"mode.step":3`, "0", "[3 6 9]"},
		{"for, exactly", `"mode":"For","mode.start_iteration_index":-2,"mode.max_iteration":2,"mode.step":2`, "0", "[-2 0]"},
		{"for, nothing", `"mode":"For","mode.start_iteration_index":5,"mode.max_iteration":5,"mode.step":1`, "0", "[]"},
		{"for, backwards", `"mode":"For","mode.start_iteration_index":5,"mode.max_iteration":-5,"mode.step":1`, "0", "[]"},
		{"for, large", `"mode":"For","mode.start_iteration_index":9223372036854775806,"mode.max_iteration":9223372036854775809,"mode.step":1`, "0", "[9223372036854775806 9223372036854775807 9223372036854775808]"},
		{"list", `"mode":"List","mode.list":["n",0]`, "3", "[1 2 3]"},
		{"index of a list", `"mode":"List","mode.list":["n",0]`, "0", "[0 1 2]"},
		{"first", `"mode":"simple","mode.num_iterations":3`, "1", "[true false false]"},
		{"last", `"mode":"simple","mode.num_iterations":3`, "2", "[false false true]"},
		{"first and last", `"mode":"simple","mode.num_iterations":1`, "2", "[true]"},
		{"no item", `"mode":"simple","mode.num_iterations":2`, "3", "[<nil> <nil>]"},
		{"no carried value", `"mode":"simple","mode.num_iterations":2`, "4", "[<nil> <nil>]"},
		{"linked", `"mode":"simple","mode.num_iterations":["two",0]`, "0", "[0 1]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, r *rig) {
				o := r.run(`{"n":{"class_type":"Numbers","inputs":{"to":3}},"two":{"class_type":"Add","inputs":{"a":2}},
					"s":{"class_type":"StartLoop","inputs":{` + c.mode + `,"cache_iterations":false}},
					"b":{"class_type":"Pick","inputs":{"a":["s",` + c.slot + `]}},
					"e":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"accumulate":true}},
					"o":{"class_type":"Show","inputs":{"in":["e",0]}}}`)
				require.NoError(t, o.Err())
				require.Equal(t, c.want, o.shown("o"))
			})
		})
	}
}

// TestNewest7_LoopValues: what goes round, and what comes out.
func TestNewest7_LoopValues(t *testing.T) {
	const start = `"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":3,"cache_iterations":false,"initial_iteration_value":["n",0]}}`
	for _, c := range []struct{ name, nodes, end, want string }{
		{"a list goes round", `"b":{"class_type":"Add","inputs":{"a":["s",4],"b":1}}`, `"output_value":["b",0],"next_iteration_value":["b",0],"accumulate":false`, "[4 5 6]"},
		{"lists are joined", `"b":{"class_type":"Add","inputs":{"a":["s",4],"b":["s",0]}}`, `"output_value":["b",0],"accumulate":true`, "[1 2 3 2 3 4 3 4 5]"},
		{"the end takes the start itself", `"b":{"class_type":"Add","inputs":{"a":["s",0]}}`, `"output_value":["s",0],"terminations.termination0":["b",0],"accumulate":true`, "[0 1 2]"},
		{"nothing comes out", `"b":{"class_type":"Add","inputs":{"a":["s",0]}}`, `"next_iteration_value":["b",0],"accumulate":true`, "[]"},
		{"a literal comes out", `"b":{"class_type":"Add","inputs":{"a":["s",0]}}`, `"output_value":5,"terminations.termination0":["b",0],"accumulate":true`, "[]"},
		{"accumulate is linked", `"b":{"class_type":"Add","inputs":{"a":["s",0]}},"yes":{"class_type":"Pick","inputs":{"a":{"__value__":true}}}`, `"output_value":["b",0],"accumulate":["yes",0]`, "[0 1 2]"},
		{"accumulate is linked and false", `"b":{"class_type":"Add","inputs":{"a":["s",0]}},"no":{"class_type":"Pick","inputs":{"b":false}}`, `"output_value":["b",0],"accumulate":["no",0]`, "[2]"},
		{"a client cannot set the hidden input", `"b":{"class_type":"Add","inputs":{"a":["s",0]}}`, `"output_value":["b",0],"accumulate":false,"execution_list":["n",0]`, "[2]"},
		{"literal lists", `"b":{"class_type":"Pick","inputs":{"a":{"__value__":[1,2]},"b":["s",0]}}`, `"output_value":["b",0],"accumulate":true`, "[[1 2] [1 2] [1 2]]"},
		{"one literal list", `"b":{"class_type":"Pick","inputs":{"a":{"__value__":[1,2.5]},"b":["s",0]}}`, `"output_value":["b",0],"accumulate":false`, "[[1 2.5]]"},
		{"the body takes values from outside", `"x":{"class_type":"Add","inputs":{"a":1}},"b":{"class_type":"Add","inputs":{"a":["s",0],"b":["x",0]}}`, `"output_value":["b",0],"accumulate":true`, "[1 2 3]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, r *rig) {
				o := r.run(`{"n":{"class_type":"Numbers","inputs":{"to":3}},` + start + `,` + c.nodes + `,
					"e":{"class_type":"EndLoop","inputs":{` + c.end + `}},"o":{"class_type":"Show","inputs":{"in":["e",0]}}}`)
				require.NoError(t, o.Err())
				require.Equal(t, c.want, o.shown("o"))
			})
		})
	}
}

// TestNewest7_LoopNested: a loop in a loop, whose body also takes values of the outer loop.
func TestNewest7_LoopNested(t *testing.T) {
	const nested = `{
		"so":{"class_type":"StartLoop","inputs":{"mode":"For","mode.start_iteration_index":1,"mode.max_iteration":3,"mode.step":1,"cache_iterations":false}},
		"x":{"class_type":"Add","inputs":{"a":["so",0],"b":100}},
		"si":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":2,"cache_iterations":false,"parent_iteration":["so",0],"initial_iteration_value":["x",0]}},
		"b":{"class_type":"Add","inputs":{"a":["si",4],"b":["so",0]}},
		"ei":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"next_iteration_value":["b",0],"accumulate":true}},
		"t":{"class_type":"Sum","inputs":{"in":["ei",0]}},
		"eo":{"class_type":"EndLoop","inputs":{"output_value":["t",0],"accumulate":true}},
		"o":{"class_type":"Show","inputs":{"in":["eo",0]}}}`
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		o := r.run(nested)
		require.NoError(t, o.Err())
		require.Equal(t, "[205 210]", o.shown("o"), "102+103, 104+106")
		require.Equal(t, map[string]int{"x": 2, "b": 4}, r.calls)
		require.Contains(t, o.executing(), "so.0.0.1_si.0.0.0_b@b")
		require.Contains(t, o.executing(), "so.0.0.1_ei@ei")
		require.Equal(t, []string{
			"so: Iteration 0 / 2", "so.0.0.0_si: Iteration 0 / 2", "so.0.0.0_si: Iteration 1 / 2", "so.0.0.0_si: Iteration 2 / 2", "so: Iteration 1 / 2",
			"so.0.0.1_si: Iteration 0 / 2", "so.0.0.1_si: Iteration 1 / 2", "so.0.0.1_si: Iteration 2 / 2", "so: Iteration 2 / 2",
		}, o.texts())
		for _, n := range o.record.Prompt.Nodes {
			switch n.ID {
			case "so":
				require.JSONEq(t, `["b","ei","si","t","x"]`, string(n.Extra["_loop_body"]))
				require.JSONEq(t, `"eo"`, string(n.Extra["_loop_end"]))
			case "si":
				require.JSONEq(t, `["b"]`, string(n.Extra["_loop_body"]))
				require.JSONEq(t, `"ei"`, string(n.Extra["_loop_end"]))
			default:
				require.Empty(t, n.Extra)
			}
		}
	})
}

// TestNewest7_LoopPreview: an output in the body runs in each iteration, also if it is all that
// the prompt asks for; its original does not run.
func TestNewest7_LoopPreview(t *testing.T) {
	const body = `{
		"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":2,"cache_iterations":false}},
		"c":{"class_type":"Add","inputs":{"a":["s",0],"b":7}},
		"p":{"class_type":"Preview","inputs":{"in":["c",0]}},
		"e":{"class_type":"EndLoop","inputs":{"output_value":["c",0],"terminations.termination0":["p",0],"accumulate":false}}`
	for name, api := range map[string]string{"alone": body + "}", "with another": body + `,"o":{"class_type":"Show","inputs":{"in":["e",0]}}}`} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(t *testing.T, r *rig) {
				o := r.run(api)
				require.NoError(t, o.Err())
				require.Equal(t, "7", o.shown("s.0.0.0_p"))
				require.Equal(t, "8", o.shown("s.0.0.1_p"))
				require.Empty(t, o.shown("p"))
				require.NotContains(t, o.executing(), "p@p")
				require.Contains(t, o.executing(), "s.0.0.1_p@p")
				require.Contains(t, o.record.Prompt.Outputs, "p")
			})
		})
	}
}

// TestNewest7_LoopPreviewAlone: a loop inside of a loop runs for the sake of its preview, also if
// nothing takes what it returns.
func TestNewest7_LoopPreviewAlone(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		o := r.run(graph("so StartLoop", "si StartLoop parent_iteration=so", "b Add a=si b=so", "p Preview in=b", "ei EndLoop output_value=p", "x Add a=so", "eo EndLoop output_value=x", "o Show in=eo"))
		require.NoError(t, o.Err())
		require.Equal(t, "[1]", o.shown("o"))
		for id, want := range map[string]string{"so.0.0.0_si.0.0.0_p": "0", "so.0.0.0_si.0.0.1_p": "1", "so.0.0.1_si.0.0.0_p": "1", "so.0.0.1_si.0.0.1_p": "2"} {
			require.Equal(t, want, o.shown(id), id)
		}
	})
}

// TestNewest7_LoopCache: loops always run again; the body does, unless cache_iterations lets it
// take earlier results.
func TestNewest7_LoopCache(t *testing.T) {
	for _, reuse := range []bool{false, true} {
		inBubble(t, nil, nil, func(t *testing.T, r *rig) {
			graph := func(n int) string {
				return `{"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":` + strconv.Itoa(n) + `,"cache_iterations":` + strconv.FormatBool(reuse) + `}},
					"b":{"class_type":"Add","inputs":{"a":["s",0],"b":1}},
					"e":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"accumulate":true}},
					"o":{"class_type":"Show","inputs":{"in":["e",0]}}}`
			}
			require.Equal(t, "[1 2 3]", r.run(graph(3)).shown("o"))
			require.Equal(t, 3, r.calls["b"])
			again := r.run(graph(3))
			require.Equal(t, "[1 2 3]", again.shown("o"))
			require.Contains(t, again.executing(), "s@s")
			require.Contains(t, again.executing(), "e@e")
			require.Contains(t, again.executing(), "s.0.0.progress_2@s")
			require.Equal(t, map[bool]int{false: 6, true: 3}[reuse], r.calls["b"])
			require.Equal(t, "[1 2 3 4]", r.run(graph(4)).shown("o"))
			require.Equal(t, map[bool]int{false: 10, true: 4}[reuse], r.calls["b"], "a longer loop takes the results of the shorter one")
		})
	}
}

// TestNewest7_LoopCacheNested: of loops inside of each other, the first iteration of the outer loop
// takes earlier results; the others come after an EndLoop, which always runs.
func TestNewest7_LoopCacheNested(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		const graph = `{"so":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":3,"cache_iterations":true}},
			"si":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":2,"cache_iterations":true,"parent_iteration":["so",0]}},
			"b":{"class_type":"Add","inputs":{"a":["si",0],"b":["so",0]}},
			"ei":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"accumulate":true}},
			"t":{"class_type":"Sum","inputs":{"in":["ei",0]}},
			"eo":{"class_type":"EndLoop","inputs":{"output_value":["t",0],"accumulate":true}},
			"o":{"class_type":"Show","inputs":{"in":["eo",0]}}}`
		for _, calls := range []int{6, 10} {
			require.Equal(t, "[1 3 5]", r.run(graph).shown("o"))
			require.Equal(t, calls, r.calls["b"])
		}
	})
}

// TestNewest7_LoopEnds: a failure and a block in the body.
func TestNewest7_LoopEnds(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		o := r.run(`{"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":3,"cache_iterations":false}},
			"b":{"class_type":"Fail","inputs":{"in":["s",0],"at":1}},
			"e":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"accumulate":true}},
			"o":{"class_type":"Show","inputs":{"in":["e",0]}}}`)
		require.ErrorContains(t, o.Err(), "failed at 1")
		require.Equal(t, "s", o.record.Error.NodeID, "the error is of the node of the prompt that made the copy")
		require.Equal(t, "StartLoop", o.record.Error.Class)
		require.NotContains(t, o.executing(), "s.0.0.2_b@b")

		o = r.run(`{"s":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":3,"cache_iterations":false}},
			"b":{"class_type":"Gate","inputs":{"in":["s",0],"block":1}},
			"e":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"accumulate":true}},
			"a":{"class_type":"Add","inputs":{"a":["e",0]}},
			"p":{"class_type":"Preview","inputs":{"in":["a",0]}}}`)
		require.NoError(t, o.Err())
		require.Equal(t, "0", o.shown("p"), "what comes after a block does not run")
	})
}

// TestNewest7_LoopLimit: a loop that would make too many nodes fails at once.
func TestNewest7_LoopLimit(t *testing.T) {
	inBubble(t, &loops.Options{Nodes: 30}, nil, func(t *testing.T, r *rig) {
		graph := func(outer, inner string) string {
			return `{"so":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":` + outer + `,"cache_iterations":false}},
				"si":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":` + inner + `,"cache_iterations":false,"parent_iteration":["so",0]}},
				"b":{"class_type":"Add","inputs":{"a":["si",0]}},
				"ei":{"class_type":"EndLoop","inputs":{"output_value":["b",0],"accumulate":false}},
				"eo":{"class_type":"EndLoop","inputs":{"output_value":["ei",0],"accumulate":false}},
				"o":{"class_type":"Show","inputs":{"in":["eo",0]}}}`
		}
		require.NoError(t, r.run(graph("2", "3")).Err())
		require.NoError(t, r.run(graph("3", "2")).Err(), "3 × 4 + 3 × 2 × 3 = 30 nodes")
		for _, c := range [][2]string{{"8", "1"}, {"1", "9"}, {"3", "3"}, {"9223372036854775807", "1"}} {
			o := r.run(graph(c[0], c[1]))
			require.ErrorContains(t, o.Err(), "more than 30 nodes")
			require.ErrorContains(t, o.Err(), "raise Options.Nodes")
		}
	})
}

// TestNewest7_LoopWithoutPair: a boundary that runs although nothing has paired it says so.
func TestNewest7_LoopWithoutPair(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		flow.Register(r.reg, maker{}, nodebus.Info{Name: "Maker"})
		for _, class := range []string{"StartLoop", "EndLoop"} {
			o := r.run(`{"m":{"class_type":"Maker","inputs":{"class":"` + class + `"}},"o":{"class_type":"Show","inputs":{"in":["m",0]}}}`)
			require.ErrorContains(t, o.Err(), "a prompt that was checked with")
		}
	})
}

// maker runs a node that nothing has checked.
type maker struct {
	Class string `in:"class"`
}

func (m maker) Run(ctx *nodebus.Context) (any, error) {
	g := ctx.NewGraph()
	return nodebus.Eval[any](ctx, g, g.Add(m.Class, nodebus.Inputs{"mode": "simple", "mode.num_iterations": 1, "cache_iterations": false, "accumulate": false}))
}

// TestNewest7_LoopContinues: if the prompt goes on after errors, a loop that fails takes only what
// needs it with it.
func TestNewest7_LoopContinues(t *testing.T) {
	inBubble(t, nil, nil, func(t *testing.T, r *rig) {
		nodes, err := nodebus.ParseNodes([]byte(`{` + simple + `,
			"f":{"class_type":"StartLoop","inputs":{"mode":"simple","mode.num_iterations":3,"cache_iterations":false}},
			"x":{"class_type":"Fail","inputs":{"in":["f",0],"at":1}},
			"g":{"class_type":"EndLoop","inputs":{"output_value":["x",0],"accumulate":false}},
			"p":{"class_type":"Show","inputs":{"in":["g",0]}}}`))
		require.NoError(t, err)
		o := r.do(&nodebus.Prompt{Nodes: nodes, ClientID: "client", Policy: nodebus.Policy{Continue: true}})
		require.ErrorContains(t, o.Err(), "failed at 1")
		require.Equal(t, "[13]", o.shown("o"))
		require.Empty(t, o.shown("p"))
		require.NotContains(t, o.executing(), "g@g")
	})
}
