package flow_test

import (
	"context"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// deaf is a publisher that nobody listens to.
type deaf struct{}

func (deaf) Publish(nodebus.Event) error { return nil }

// BenchmarkAround compares nodes whose calls are not wrapped with nodes whose calls are
// wrapped by a function that does nothing.
func BenchmarkAround(b *testing.B) {
	noop := func(next flow.CallFunc) flow.CallFunc {
		return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) { return next(ctx, call) }
	}
	for _, c := range []struct {
		name   string
		around []flow.Around
	}{{"none", nil}, {"noop", []flow.Around{noop}}, {"three", []flow.Around{noop, noop, noop}}} {
		b.Run(c.name, func(b *testing.B) {
			const nodes = 1000
			reg := benchRegistry()
			local := flow.NewLocal(reg, &flow.LocalOptions{Cache: flow.NoCache(), Workers: 1, Around: c.around})
			p := &nodebus.Prompt{ID: "p", Nodes: chain(nodes)}
			prepared, err := reg.Prepare(context.Background(), p)
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := local.Execute(context.Background(), nodebus.Job{Prompt: p, Attempt: 1, Prepared: prepared}, deaf{}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/nodes, "ns/node")
		})
	}
}
