package flow_test

import (
	"context"
	"strconv"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// fixed50 has as many inputs as grown50 may have.
type fixed50 struct {
	In0, In1, In2, In3, In4, In5, In6, In7, In8, In9           int
	In10, In11, In12, In13, In14, In15, In16, In17, In18, In19 int
	In20, In21, In22, In23, In24, In25, In26, In27, In28, In29 int
	In30, In31, In32, In33, In34, In35, In36, In37, In38, In39 int
	In40, In41, In42, In43, In44, In45, In46, In47, In48, In49 int
}

func (n fixed50) Run(*nodebus.Context) (int, error) { return n.In0 + n.In49, nil }

type grown50 struct {
	In []int `grow:"in,max=50"`
}

func (n grown50) Run(*nodebus.Context) (int, error) { return n.In[0] + n.In[49], nil }

// BenchmarkLive compares a node with 50 inputs in a struct with a node whose input has grown to
// 50: the preparation and the run of a prompt of 100 such nodes.
func BenchmarkLive(b *testing.B) {
	reg := flow.NewRegistry()
	flow.Register(reg, fixed50{}, nodebus.Info{Name: "Fixed"})
	flow.Register(reg, grown50{}, nodebus.Info{Name: "Grown"})
	flow.Register(reg, sink{}, nodebus.Info{Name: "Sink"})
	for _, c := range []struct{ class, prefix string }{{"Fixed", "in"}, {"Grown", "in.in"}} {
		g := nodebus.NewGraph()
		for range 100 {
			in := nodebus.Inputs{}
			for k := range 50 {
				in[c.prefix+strconv.Itoa(k)] = int64(k)
			}
			g.Add("Sink", nodebus.Inputs{"in": g.Add(c.class, in)})
		}
		local := flow.NewLocal(reg, &flow.LocalOptions{Cache: flow.NoCache(), Workers: 1})
		p := &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}
		prepared, err := local.Prepare(context.Background(), p)
		require.NoError(b, err)
		b.Run(c.class+"/Prepare", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := local.Prepare(context.Background(), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()})
				require.NoError(b, err)
			}
		})
		b.Run(c.class+"/Run", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				_, err := local.Execute(context.Background(), nodebus.Job{Prompt: p, Prepared: prepared}, nobody{})
				require.NoError(b, err)
			}
		})
	}
}
