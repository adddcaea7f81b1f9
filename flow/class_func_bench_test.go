package flow_test

import (
	"runtime"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// mixStep has inputs of several types, and two outputs.
type mixStep struct {
	In    int
	Scale float64 `default:"1"`
	Label string  `default:"a"`
	On    bool    `in:"on,optional" default:"true"`
}

type mixOut struct {
	N     int    `out:"n"`
	Label string `out:"label"`
}

func (n mixStep) Run(*nodebus.Context) (mixOut, error) { return mixOut{n.In + 1000, n.Label}, nil }

func mixFunc(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
	return flow.Result{Outputs: []any{in["in"].(int64) + 1000, in["label"]}}, nil
}

func stepFunc(_ *nodebus.Context, in nodebus.Inputs) (flow.Result, error) {
	return flow.Result{Outputs: []any{in["in"].(int64) + 1}}, nil
}

func mixRegistry(b *testing.B, funcs bool) *flow.Registry {
	reg := benchRegistry()
	flow.Register(reg, mixStep{}, nodebus.Info{Name: "Mix"})
	if funcs {
		twin(b, reg, "Step", stepFunc, nil)
		twin(b, reg, "Mix", mixFunc, nil)
	}
	return reg
}

func mixChain(n int) nodebus.Nodes {
	g := nodebus.NewGraph()
	var last any = 0
	for range n - 1 {
		last = g.Add("Mix", nodebus.Inputs{"in": last, "scale": 2.5, "label": "text"})
	}
	g.Add("Sink", nodebus.Inputs{"in": last})
	return g.Nodes()
}

// BenchmarkFuncClass compares nodes whose class was made at run time with the same nodes as
// structs. Both run by turns in each op. It reports how many times as much the function costs:
// in wall time, in CPU time, and in allocations.
func BenchmarkFuncClass(b *testing.B) {
	const n = 1000
	for name, nodes := range map[string]nodebus.Nodes{"one input": chain(n), "four inputs": mixChain(n)} {
		b.Run(name, func(b *testing.B) {
			var rigs [2]*benchRig
			var prompts [2]*nodebus.Prompt
			for i := range rigs {
				rigs[i] = newBenchRig(b, mixRegistry(b, i == 1), flow.NoCache())
				prompts[i] = rigs[i].prompt(nodes)
			}
			runtime.GC()
			var costs [2]cost
			for b.Loop() {
				for i := range costs {
					costs[i].add(func() { rigs[i].run(prompts[i]) })
				}
			}
			reportRatio(b, &costs, n)
		})
	}
	b.Run("Call", func(b *testing.B) {
		var classes [2]*flow.Class
		for i := range classes {
			classes[i], _ = mixRegistry(b, i == 1).Class("Mix")
		}
		ctx := nodebus.NewContext(b.Context(), nodebus.CallInfo{})
		in := nodebus.Inputs{"in": 5000, "scale": 2.5, "label": "text"}
		var costs [2]cost
		for b.Loop() {
			for i := range costs {
				costs[i].add(func() {
					for range n {
						_, err := classes[i].Call(ctx, in)
						require.NoError(b, err)
					}
				})
			}
		}
		reportRatio(b, &costs, n)
	})
}

func reportRatio(b *testing.B, costs *[2]cost, n int) {
	costs[0].report(b, n, "struct")
	b.ReportMetric(costs[1].wall/costs[0].wall, "times-wall")
	b.ReportMetric(costs[1].cpu/costs[0].cpu, "times-cpu")
	b.ReportMetric(costs[1].allocs/costs[0].allocs, "times-allocs")
}
