package flow_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// otherStore is a store that the engine does not know.
type otherStore struct{ flow.Store }

// TestRecordsAreWhole checks that a record lists its nodes, whichever store keeps it and
// however a program reads it.
func TestRecordsAreWhole(t *testing.T) {
	for name, store := range map[string]flow.Store{"in memory": flow.NewStore(nil), "another": otherStore{flow.NewStore(nil)}} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, &flow.EngineOptions{Store: store}, func(r *rig) {
				r.value()
				r.fn("Fail", func(*nodebus.Context, any, any) (any, error) {
					time.Sleep(time.Second)
					return nil, errors.New("boom")
				})
				g := nodebus.NewGraph()
				g.AddAs("good", "Show", in{"in": g.AddAs("const", "Const", in{"value": 1})})
				g.AddAs("bad", "Show", in{"in": g.AddAs("fail", "Fail", nil)})
				o := r.outcome(&nodebus.Prompt{ID: "p", Nodes: g.Nodes(), Policy: nodebus.Policy{Continue: true}})
				require.Equal(t, map[string]string{
					"const": "done||", "good": "done||", "fail": "error|boom|", "bad": "skipped||fail",
				}, ends(o))
				for _, n := range o.Nodes {
					took := time.Duration(0)
					if n.UniqueID == "fail" {
						took = time.Second
					}
					require.Equal(t, took, n.Ended.Sub(n.Started).Round(time.Millisecond), n.UniqueID)
					require.Equal(t, n.Result == "skipped", n.Started.IsZero(), n.UniqueID)
				}
				for rec, err := range store.List(t.Context()) {
					require.NoError(t, err)
					require.Equal(t, o.Nodes, rec.Nodes)
				}
				rec, err := store.Get(t.Context(), "p")
				require.NoError(t, err)
				rec.Nodes[0].Class = "changed"
				again, err := store.Get(t.Context(), "p")
				require.NoError(t, err)
				require.Equal(t, name == "another", again.Nodes[0].Class == "changed", "the store in memory keeps a form of its own, but shares what it was given")
			})
		})
	}
}

// TestReportOfLocal checks that a program without an engine can read what Local reports,
// and stop reading.
func TestReportOfLocal(t *testing.T) {
	reg := benchRegistry()
	p := &nodebus.Prompt{ID: "p", Nodes: chain(3)}
	report, err := flow.NewLocal(reg, nil).Execute(t.Context(), nodebus.Job{Prompt: p, Attempt: 1}, deaf{})
	require.NoError(t, err)
	var ids []string
	for n := range report.Nodes.All() {
		require.Equal(t, nodebus.Place{UniqueID: n.UniqueID, DisplayID: n.UniqueID, RealID: n.UniqueID}, n.Place)
		if ids = append(ids, n.UniqueID); len(ids) == 2 {
			break
		}
	}
	require.Equal(t, []string{"1", "2"}, ids)
	require.Len(t, slices.Collect(report.Nodes.All()), 3, "it may be read again")
}

// TestReportOfAnotherExecutorIsBounded checks the record of an executor that reports very
// many nodes, and texts of any length.
func TestReportOfAnotherExecutorIsBounded(t *testing.T) {
	var list nodebus.NodeRunList
	for i := range 10_010 {
		n := nodebus.NodeRun{Place: nodebus.Place{UniqueID: fmt.Sprint(i)}, Class: "C", Result: "done"}
		if i >= 10_000 {
			n.Result, n.Reason = "error", strings.Repeat("x", 2000)
		}
		list = append(list, n)
	}
	exec := executorFunc(func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
		return nodebus.Report{Nodes: list, NodesLeftOut: 5}, nil
	})
	inBubble(t, nil, &flow.EngineOptions{Executor: exec}, func(r *rig) {
		o := r.outcome(&nodebus.Prompt{Nodes: shown("x")})
		require.Len(t, o.Nodes, 10_000)
		require.Equal(t, 15, o.NodesLeftOut)
		last := o.Nodes[9_999]
		require.Equal(t, "10009", last.DisplayID)
		require.Equal(t, "error", last.Result)
		require.Less(t, len(last.Reason), 1010)
	})
}
