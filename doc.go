// Package nodebus tells programs, scripts and browsers what happens while a
// graph of nodes runs.
//
// Whoever writes a node writes a struct: its exported fields are the inputs, its
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
// and an [Engine], which takes prompts (graphs in ComfyUI's API format) from a
// queue and has them executed:
//
//	r := nodebus.NewRegistry()
//	nodebus.Register(r, Blur{}, nodebus.Info{Category: "image"})
//	hub := nodebus.NewHub(nil)
//	engine := nodebus.NewEngine(r, hub, nil)
//	go engine.Run(ctx)
//	id, err := engine.Submit(ctx, &nodebus.Prompt{ClientID: "me", Nodes: nodes})
//
// Whoever watches subscribes to the hub in the same program, or joins it through
// a transport such as package ws. The events are those of ComfyUI's wire, so
// that its clients understand them.
//
// # How one event travels
//
//	node.Run          the author calls ctx.SendSync(payload)
//	  Context         names the sender and the recipients       → Event      context.go
//	  Hub.Publish     gives it the next ID, files it in the log              hub.go log.go
//	  shard           finds the sessions that are due it                     shard.go
//	  Codec.Encode    once per codec in use                     → Frame      codec.go
//	  Session         bounded; a newer keyed frame replaces an older         session.go
//	  Transport       writes, once for a batch                  → bytes      ws/
//	client            decodes, dispatches by type                            client/
//
// Commands travel the other way and never through the hub:
//
//	client → Engine.Submit → Queue → Engine.Run → Executor → Class → node.Run
//
// # What can be relied on
//
// The promises of delivery are listed at [Hub], those about how prompts end at
// [Engine]. Options are structs; nil, and every zero field, is the default.
// Run and Serve methods block until their context ends. Only [Register] panics.
//
// # Imports
//
// They point one way: examples → comfy → ws → nodebus → internal; client, nodetest
// and conform import nodebus and none of the others. Nothing but the standard
// library is imported here.
package nodebus
