// Package nodebus tells programs, scripts and browsers what happens while a
// graph of nodes runs.
//
// The author of a node writes a struct: its exported fields are the inputs, its
// Run method turns them into the output, and the [Context] it gets knows the
// node's unique id and can send.
//
//	type Blur struct {
//		Image  Picture
//		Radius int `default:"5" min:"1" max:"100"`
//	}
//
//	func (n Blur) Run(ctx *nodebus.Context) (Picture, error) {
//		for y := range n.Image.Height() {
//			…
//			ctx.Progress(float64(y+1), float64(n.Image.Height()))
//		}
//	}
//
// A program registers its nodes, makes a [Hub], which hands events to clients,
// and an engine of package flow, which takes prompts (graphs in ComfyUI's API
// format) from a queue and has them executed:
//
//	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
//	flow.Register(r, Blur{}, nodebus.Info{Category: "image"})
//	engine := flow.NewEngine(r, hub, nil)
//	outcome, err := flow.Do(ctx, engine, &nodebus.Prompt{ClientID: "me", Nodes: nodes})
//
// Observers subscribe to the hub in the same program, or join it through a
// transport such as package ws. The events have the names and the form of
// ComfyUI's wire, so that its clients understand them.
//
// # How one event travels
//
//	node.Run       the author calls ctx.SendSync(payload)
//	  Context      names the sender and the recipients            → Event    context.go
//	  Engine       one gate per prompt: nothing before its start
//	               or after its end                                          flow/gate.go
//	  Hub          gives it the next ID, files it in the log                 hub.go log.go
//	  shard        finds the sessions that are due it                        shard.go round.go
//	  Codec        once per codec in use                          → Frame    codec.go encoded.go
//	  Session      bounded; a newer keyed frame replaces an older            session.go writer.go
//	  Transport    writes, once for a batch                       → bytes    transport.go ws/
//	client         decodes, dispatches by type                               client/
//
// An event that the program sends by [Hub.SendSync] or [Hub.Broadcast] begins at Hub.
// Commands travel the other way and never through the hub:
//
//	client → Engine.Submit → Queue → Engine.Run → Executor → Class → node.Run
//
// # What can be relied on
//
// [Hub] lists the promises of delivery, flow.Engine the promises about how prompts
// end. Options are structs; nil, and every zero field, is the default. Run and Serve
// methods block until their context ends. Code of others, such as transports, codecs,
// payloads and filters, runs without a lock of the hub, and a panic there ends one call
// and not the program.
//
// # Imports
//
// They point one way: examples → comfy → flow, ws → nodebus → internal; client
// imports nodebus alone; nodetest and conform import nodebus and flow. A library of
// nodes imports nodebus alone. Nothing but the standard library is imported here.
package nodebus
