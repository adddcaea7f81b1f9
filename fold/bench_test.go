package fold_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/fold"
)

// BenchmarkApply applies a report of progress to a run of 1000 nodes.
func BenchmarkApply(b *testing.B) {
	var run fold.Run
	for i := range 1000 {
		run.Apply(nodebus.Event{PromptID: "p", Payload: nodebus.Executing{UniqueID: fmt.Sprint(i), PromptID: "p"}})
	}
	ev := nodebus.Event{ID: 7, Epoch: "life", PromptID: "p", Payload: nodebus.Progress{Value: 1, Max: 2, PromptID: "p", UniqueID: "500"}}
	b.ReportAllocs()
	for b.Loop() {
		run.Apply(ev)
	}
}
