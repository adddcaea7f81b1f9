// Package refpack contains the nodes that the recorded scenarios of the reference
// server use. So tests can run the same graphs here and compare the messages. Class
// names, inputs, limits and behaviour are equal to the recordings.
//
// A test registers all nodes and submits a recorded graph:
//
//	r := nodebus.NewRegistry()
//	refpack.Register(r, &refpack.Options{Temp: t.TempDir(), Output: t.TempDir(), Hub: hub})
package refpack

import "github.com/nodebus/nodebus"

// Options holds values that some nodes need. If a node's field is empty, the node
// fails when it runs.
type Options struct {
	Temp   string       // the folder that PreviewImage writes to
	Output string       // the folder that SaveImage writes to
	Hub    *nodebus.Hub // RefSend uses it to reach clients that did not submit the prompt
}

// Register adds all nodes of the package to r. Nil opts means empty Options.
func Register(r *nodebus.Registry, opts *Options) {
	if opts == nil {
		opts = &Options{}
	}
	ref := nodebus.Info{Category: "ref"}
	output := nodebus.Info{Category: "ref", Output: true}
	async := nodebus.Info{Category: "ref", Async: true}

	nodebus.Register(r, RefAdd{}, nodebus.Info{Title: "Ref Add", Category: "ref", Description: "Adds two integers."})
	nodebus.Register(r, RefPass{}, ref)
	nodebus.Register(r, RefOutput{}, output)
	nodebus.Register(r, RefRaise{}, ref)
	nodebus.Register(r, RefTypes{}, ref)
	nodebus.Register(r, RefValidate{}, ref)
	nodebus.Register(r, RefHidden{}, ref)
	nodebus.Register(r, RefSleep{}, ref)
	nodebus.Register(r, RefAsyncSleep{}, async)
	nodebus.Register(r, RefSend{hub: opts.Hub}, ref)
	nodebus.Register(r, RefSendText{}, ref)
	nodebus.Register(r, RefSendBytes{}, ref)
	nodebus.Register(r, RefProgressHook{}, ref)
	nodebus.Register(r, RefProgressApi{}, async)
	nodebus.Register(r, RefProgressApiSync{}, ref)
	nodebus.Register(r, RefLazySwitch{}, ref)
	nodebus.Register(r, RefRange{}, ref)
	nodebus.Register(r, RefListSum{}, ref)
	nodebus.Register(r, RefExpand{}, ref)
	nodebus.Register(r, RefExpandRaise{}, ref)
	nodebus.Register(r, RefImage{}, ref)

	nodebus.Register(r, PreviewImage{folder: opts.Temp}, nodebus.Info{
		Title: "Preview Image", Category: "image", Description: "Shows pictures without keeping them.",
	})
	nodebus.Register(r, SaveImage{folder: opts.Output}, nodebus.Info{
		Title: "Save Image", Category: "image", Description: "Keeps pictures as files.",
	})

	stub := nodebus.Info{Category: "Testing/Stub Nodes"}
	stub.Title = "Stub Int"
	nodebus.Register(r, StubInt{}, stub)
	stub.Title = "Stub Mask"
	nodebus.Register(r, StubMask{}, stub)
	nodebus.Register(r, TestExecutionBlocker{}, nodebus.Info{Title: "Execution Blocker", Category: "Testing/Flow"})
	nodebus.Register(r, TestDynamicDependencyCycle{}, nodebus.Info{Title: "Dynamic Dependency Cycle", Category: "Testing/Nodes"})
	nodebus.Register(r, TestLazyMixImages{}, nodebus.Info{Title: "Lazy Mix Images", Category: "Testing/Nodes"})
}
