// Package comfy is an HTTP and WebSocket server with the API of ComfyUI for an engine. Front
// ends, scripts and SDKs that are written for ComfyUI work with the Go program; ComfyUI
// itself is not needed. The server accepts prompts, and Engine.Run runs them: without it,
// each prompt waits for ever.
//
//	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Parallel: 1})
//	go engine.Run(ctx)
//	server := comfy.New(engine, &comfy.Options{Output: "output"})
//	http.ListenAndServe("127.0.0.1:8188", server)
//
// Run one prompt at a time for such clients, as ComfyUI does: set Parallel of
// [flow.EngineOptions] to 1. Some clients treat every message as one about the prompt that
// they know to run, and an interrupt without an id ends the prompt that has run longest,
// which is the wrong prompt if two run. The default of the engine is several prompts at
// once, of different clients.
//
// Each WebSocket has one goroutine, which belongs to the [Server] and not to
// net/http: a handler that runs for the life of a WebSocket would hold 24 KiB more
// for each client. So [net/http.Server.Shutdown] does not wait for WebSockets, but
// [Server.Close] does. A program ends in this order: it ends Engine.Run, then it calls
// Hub.Close, which sends all that was published, then Server.Close, then
// [net/http.Server.Shutdown].
//
// Most routes exist with and without the prefix /api. [Options] names the other
// things that the server can serve: files, settings, models and the front end.
// By default there are no files and no models, settings are kept in memory, and
// a built-in page is the front end.
//
// The server corrects some faults of ComfyUI. Correct clients do not notice the
// difference:
//
//   - An interrupt ends only the prompt that it names. Without a name, it ends the prompt
//     that has run longest.
//   - A client that reconnects receives the kept events of its running prompts.
//   - A client does not receive events of other clients' prompts.
//   - The answer to a malformed request has status 400. POST /interrupt is an exception: a
//     body that is not JSON counts as empty, as in ComfyUI, because some clients send no JSON.
//     So the request ends the prompt that has run longest.
//   - NaN and Infinity in a submitted prompt are refused where a node uses them, and null
//     everywhere else; what the server sends never contains them.
package comfy
