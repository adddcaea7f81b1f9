// Package refpack contains the nodes that the recorded scenarios of the reference
// server use. So tests can run the same graphs here and compare the messages. Class
// names, inputs, limits and behaviour are equal to the recordings.
//
// A test registers all nodes and submits a recorded graph:
//
//	r := flow.NewRegistry()
//	refpack.Register(r, &refpack.Options{Temp: t.TempDir(), Output: t.TempDir(), Hub: hub})
package refpack

import (
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Options holds values that some nodes need. If a node's field is empty, the node
// fails when it runs.
type Options struct {
	Temp   string       // the folder that PreviewImage writes to
	Output string       // the folder that SaveImage writes to
	Hub    *nodebus.Hub // RefSend uses it to reach clients that did not submit the prompt
}

// Register adds all nodes of the package to r. Nil opts means empty Options.
func Register(r *flow.Registry, opts *Options) {
	if opts == nil {
		opts = &Options{}
	}
	ref := nodebus.Info{Category: "ref"}
	output := nodebus.Info{Category: "ref", Output: true}
	async := nodebus.Info{Category: "ref", Async: true}

	flow.Register(r, RefAdd{}, nodebus.Info{Title: "Ref Add", Category: "ref", Description: "Adds two integers."})
	flow.Register(r, RefPass{}, ref)
	flow.Register(r, RefOutput{}, output)
	flow.Register(r, RefRaise{}, ref)
	flow.Register(r, RefTypes{}, ref)
	flow.Register(r, RefValidate{}, ref)
	flow.Register(r, RefHidden{}, ref)
	flow.Register(r, RefSleep{}, ref)
	flow.Register(r, RefAsyncSleep{}, async)
	flow.Register(r, RefSend{hub: opts.Hub}, ref)
	flow.Register(r, RefSendText{}, ref)
	flow.Register(r, RefSendBytes{}, ref)
	flow.Register(r, RefProgressHook{}, ref)
	flow.Register(r, RefProgressApi{}, async)
	flow.Register(r, RefProgressApiSync{}, ref)
	flow.Register(r, RefLazySwitch{}, ref)
	flow.Register(r, RefRange{}, ref)
	flow.Register(r, RefListSum{}, ref)
	flow.Register(r, RefExpand{}, ref)
	flow.Register(r, RefExpandRaise{}, ref)
	flow.Register(r, RefImage{}, ref)

	flow.Register(r, PreviewImage{folder: opts.Temp}, nodebus.Info{
		Title: "Preview Image", Category: "image", Description: "Shows pictures without keeping them.",
	})
	flow.Register(r, SaveImage{folder: opts.Output}, nodebus.Info{
		Title: "Save Image", Category: "image", Description: "Keeps pictures as files.",
	})

	stub := nodebus.Info{Category: "Testing/Stub Nodes"}
	stub.Title = "Stub Int"
	flow.Register(r, StubInt{}, stub)
	stub.Title = "Stub Mask"
	flow.Register(r, StubMask{}, stub)
	flow.Register(r, TestExecutionBlocker{}, nodebus.Info{Title: "Execution Blocker", Category: "Testing/Flow"})
	flow.Register(r, TestDynamicDependencyCycle{}, nodebus.Info{Title: "Dynamic Dependency Cycle", Category: "Testing/Nodes"})
	flow.Register(r, TestLazyMixImages{}, nodebus.Info{Title: "Lazy Mix Images", Category: "Testing/Nodes"})
}
