//go:build e2e

package e2e

import (
	"context"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/refpack"
)

// server is a program with nodes for ComfyUI clients.
type server struct {
	address string // host and port
	output  string // the folder for saved pictures
}

// serve starts a server that ends with the test. Like ComfyUI, it runs one prompt at a
// time. serve sets the folders in opts to temporary folders; all other empty options
// have their default. The route POST /step is not a route of ComfyUI: see [steps].
func serve(t *testing.T, cache flow.Cache, opts comfy.Options) *server {
	t.Helper()
	opts.Input, opts.Output, opts.Temp = t.TempDir(), t.TempDir(), t.TempDir()
	hub, registry := nodebus.NewHub(nil), flow.NewRegistry()
	refpack.Register(registry, &refpack.Options{Temp: opts.Temp, Output: opts.Output, Hub: hub})
	next := make(steps)
	flow.Register(registry, Fractal{}, fractal)
	if err := registry.AddReplacement(juliaSet); err != nil {
		t.Fatal(err)
	}
	flow.Register(registry, Gate{steps: next}, nodebus.Info{Category: "e2e", Async: true})
	flow.Register(registry, Develop{steps: next}, nodebus.Info{Category: "e2e", Async: true})
	flow.Register(registry, Batch{}, nodebus.Info{Category: "e2e"})
	flow.Register(registry, Sketch{steps: next}, nodebus.Info{Category: "e2e", Async: true})
	flow.Register(registry, Tell{steps: next}, nodebus.Info{Category: "e2e", Async: true})
	flow.Register(registry, Approve{}, nodebus.Info{Category: "e2e"})
	flow.Register(registry, Collect{}, nodebus.Info{Category: "e2e"})
	flow.Register(registry, Vector{folder: opts.Output}, nodebus.Info{Category: "e2e"})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{
		Executor: flow.NewLocal(registry, &flow.LocalOptions{Cache: cache}),
		Parallel: 1,
	})

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	routes := http.NewServeMux()
	routes.Handle("POST /step", next)
	comfyServer := comfy.New(engine, &opts)
	routes.Handle("/", comfyServer)
	web := httptest.NewServer(routes)
	t.Cleanup(func() {
		cancel()
		_ = hub.Close()
		_ = comfyServer.Close()
		web.CloseClientConnections()
		web.Close()
		running.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return &server{web.Listener.Addr().String(), opts.Output}
}
