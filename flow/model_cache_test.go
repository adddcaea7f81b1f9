package flow_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// mutated returns a copy of a graph in which a few literals are different.
func mutated(r *rand.Rand, nodes nodebus.Nodes) nodebus.Nodes {
	nodes = slices.Clone(nodes)
	for range 1 + r.IntN(3) {
		spec := &nodes[r.IntN(len(nodes))]
		spec.Inputs = maps.Clone(spec.Inputs)
		for _, name := range slices.Sorted(maps.Keys(spec.Inputs)) {
			switch v := spec.Inputs[name].(type) {
			case int:
				spec.Inputs[name] = v + 1
			case int64:
				spec.Inputs[name] = int(v) + 1
			default:
				continue
			}
			break
		}
	}
	return nodes
}

// modelChanges runs changed graphs after the graph that e has evaluated, and compares
// which nodes run. A result of an earlier prompt is not computed again. The classic cache
// forgets some of them: then more nodes may run.
func modelChanges(t *testing.T, r *rand.Rand, e *evaluator, nodes nodebus.Nodes, forgets bool, run func(string, nodebus.Nodes) modelRun) {
	known := maps.Clone(e.ran)
	for k := range 3 {
		id := fmt.Sprint("changed ", k)
		nodes = mutated(r, nodes)
		got := run(id, nodes)
		checkOrder(t, id, got.events)
		now := newEvaluator(nodes)
		if !forgets {
			now.known = known
		}
		ok := now.prompt(got.record.Prompt.Outputs)
		if !ok {
			require.Equal(t, nodebus.Failed, got.record.State)
			return
		}
		if forgets {
			checkValues(t, now, got)
			continue
		}
		checkAgainst(t, now, ok, got, true)
		for _, ev := range got.events { // no made node is an output node
			if p, is := ev.Payload.(nodebus.Executed); is && p.ParentID != "" {
				require.Contains(t, now.specs, p.UniqueID)
				require.NotContains(t, known, now.key(p.UniqueID), "a cached node was visited")
			}
		}
		for key, n := range now.ran {
			known[key] += n
		}
	}
}

// checkValues compares the outputs of a prompt with the model, and that no other nodes
// ran than the model's.
func checkValues(t *testing.T, e *evaluator, run modelRun) {
	require.Equal(t, nodebus.Succeeded, run.record.State, "%+v", run.record.Error)
	require.Equal(t, e.lines(), outputsOf(run.record))
	for _, id := range executing(run.events) {
		require.Contains(t, e.specs, id)
		require.Contains(t, e.ran, e.key(id))
	}
}

// lines returns what the output nodes show.
func (e *evaluator) lines() map[string][]any {
	all := map[string][]any{}
	for id, lines := range e.shown {
		for _, l := range lines {
			all[id] = append(all[id], l)
		}
	}
	return all
}
