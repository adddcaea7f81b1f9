package nodebus_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
)

// oneByOne is an executor: it "runs" the nodes of a prompt one after the other. The
// tracker publishes everything that clients want to know.
type oneByOne struct{}

func (oneByOne) Execute(_ context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	t := nodebus.NewTracker(&job, pub)
	for n, node := range job.Prompt.Nodes {
		t.Begin(n)
		_ = t.Progress(n, 1, 2)
		if err := t.Executed(n, nodebus.Text("ran "+node.Class)); err != nil {
			t.Close(err)
			return nodebus.Report{}, err
		}
		t.Finish(n)
	}
	t.Close(nil)
	return nodebus.Report{}, nil
}

// printer is a publisher that prints what it receives.
type printer struct{}

func (printer) Publish(ev nodebus.Event) error {
	switch p := ev.Payload.(type) {
	case nodebus.Executing:
		fmt.Println("executing", p.UniqueID)
	case nodebus.Progress:
		fmt.Println("progress", p.UniqueID, p.Value, "of", p.Max)
	case nodebus.Executed:
		fmt.Println("executed", p.UniqueID, p.Output["text"])
	case nodebus.ProgressState:
		for _, n := range p.Nodes() {
			fmt.Println("  state", n.UniqueID, n.State, n.Value)
		}
	}
	return nil
}

// An executor of ten lines: the tracker publishes the events of its nodes.
func ExampleTracker() {
	g := nodebus.NewGraph()
	g.Add("Hello", nil)
	job := nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}}
	_, err := oneByOne{}.Execute(context.Background(), job, printer{})
	fmt.Println(err)
	// Output:
	//   state 1 running 0
	// executing 1
	//   state 1 running 1
	// progress 1 1 of 2
	// executed 1 [ran Hello]
	//   state 1 finished 2
	// <nil>
}
