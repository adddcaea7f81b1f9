// Package nodebus runs graphs of nodes and reports to programs, scripts and
// browsers what happens while a graph runs.
//
// The author of a node writes a struct. Its exported fields are the inputs. Its Run
// method computes the output. The [Context] of the call knows the unique id of the
// node and sends events.
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
// The comment of [Node] lists all tags. docs/nodes.md explains them with examples, and has
// tables for porting nodes from ComfyUI.
//
// A program registers its nodes. It makes a [Hub], which delivers events to clients,
// and an engine of package flow. The engine takes prompts (graphs in ComfyUI's API
// format) from a queue and runs them:
//
//	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
//	flow.Register(r, Blur{}, nodebus.Info{Category: "image"})
//	engine := flow.NewEngine(r, hub, nil)
//	outcome, err := flow.Do(ctx, engine, &nodebus.Prompt{ClientID: "me", Nodes: nodes})
//
// A program reads events in two ways: code in the same process calls
// [Hub.Subscribe] or [On], and a client connects through a transport such as package ws or package sse. The
// events have the names and the JSON of ComfyUI, so that clients of ComfyUI
// understand them.
//
// # How one event travels
//
// Each line is a stage of the code. The file is on the right.
//
//	node.Run       calls ctx.SendSync(payload)
//	  Context      adds the prompt, its client and the attempt    → Event    context.go
//	  Engine       one gate for each prompt: no event passes
//	               before the start or after the end                         flow/gate.go
//	  Hub          encodes a payload that could change                       hub.go message.go
//	  Log          gives the event an ID, keeps it, and passes it
//	               on to each hub that shares the log                        log.go memlog.go
//	  shard        finds the sessions that must receive the event            shard.go round.go
//	  Codec        encodes once for all sessions with the same
//	               codec                                          → Frame    codec.go encoded.go
//	  Session      bounded queue for a client that is behind; a
//	               newer event replaces an older event with the
//	               same key; neighbouring pieces of a text become
//	               one; a session that is far behind, or has
//	               just joined, reads from the log                           session.go writer.go reading.go texts.go
//	  Transport    writes a batch of frames in one call           → bytes    transport.go ws/ sse/
//	client         decodes the frame and calls the listeners of its type     client/ js/
//	               a fold of the events is the state of the run              fold/
//
// An event that the program itself sends with [Hub.SendSync] or [Hub.Broadcast] starts
// at the Hub. [Context.Progress] takes another way to the gate: the executor's
// [Tracker] limits how many progress events it publishes. [Context.Text] joins small writes
// to events (textwriter.go).
//
// Commands travel in the other direction, and not through the hub:
//
//	client → Engine.Submit → Queue → Engine.Run → Executor → Class → node.Run
//	client → Engine.Interrupt, Engine.Answer → Signals → the engine that runs the prompt
//
// Queue, Signals, Log, and the Store of records are in memory. Module contrib/bolt keeps them
// in a file. Module contrib/nats shares them among processes: then the client, the engine
// that accepts its prompt and the engine that runs it may be in three processes.
//
// # What you can rely on
//
// The comment of [Hub] lists the guarantees of delivery. The comment of flow.Engine
// lists the guarantees about the end of a prompt. Options are structs: nil, and every
// zero field, means the default. Methods named Run or Serve block until their context
// ends. The hub holds no lock while it calls foreign code, such as transports, codecs,
// payloads and filters. A panic of foreign code ends one call or one session, not the program.
//
// # Imports
//
// Imports point in one direction only. Each package may import the packages to its
// right:
//
//	examples → comfy → flow, ws, sse, fold, js, picture → nodebus → internal
//
// Package client imports only nodebus and fold. Package js imports nothing. Packages
// nodetest and conform import nodebus and flow. A library of nodes needs only
// nodebus, and perhaps picture. Package nodebus imports the standard library and internal
// packages, and no other module.
package nodebus
