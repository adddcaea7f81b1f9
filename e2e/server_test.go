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
	"github.com/nodebus/nodebus/internal/refpack"
)

// server is a program that offers its nodes to clients of ComfyUI.
type server struct {
	address string // host and port
	output  string // the folder that pictures are saved to
}

// serve starts a server that ends with the test. Of opts, what a test leaves out
// is the default, and there are folders for pictures.
func serve(t *testing.T, opts comfy.Options) *server {
	t.Helper()
	opts.Input, opts.Output, opts.Temp = t.TempDir(), t.TempDir(), t.TempDir()
	hub, registry := nodebus.NewHub(nil), nodebus.NewRegistry()
	refpack.Register(registry, &refpack.Options{Temp: opts.Temp, Output: opts.Output, Hub: hub})
	engine := nodebus.NewEngine(registry, hub, nil)

	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	web := httptest.NewServer(comfy.New(engine, hub, registry, &opts))
	t.Cleanup(func() {
		cancel()
		_ = hub.Close()
		web.CloseClientConnections()
		web.Close()
		running.Wait()
		http.DefaultClient.CloseIdleConnections()
	})
	return &server{web.Listener.Addr().String(), opts.Output}
}
