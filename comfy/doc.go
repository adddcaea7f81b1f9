// Package comfy serves an engine, its hub and its classes the way ComfyUI does:
// front ends, scripts and SDKs written for ComfyUI work with a Go program that
// has nothing of ComfyUI in it.
//
//	server := comfy.New(engine, hub, registry, &comfy.Options{Output: "output"})
//	http.ListenAndServe("127.0.0.1:8188", server)
//
// Routes exist with and without the prefix /api. What is served beyond the
// engine itself (files, settings, models, the front end) is named in [Options];
// what is not named is empty or kept in memory.
//
// Where ComfyUI has faults that clients cannot tell from right behaviour, this
// does the better thing: an interrupt reaches the prompt it names and no other,
// a client that comes back is sent what is kept of its running prompts, nobody
// is told of the prompts of others, and malformed requests are answered with
// status 400.
package comfy
