// Comfyui is a server for front ends, scripts and SDKs that were made for ComfyUI.
// Its nodes are written in Go: they load, paint and save pictures. The node Paint
// sends a custom message with its UNIQUE_ID. A front-end extension of twenty lines
// (files/extension) shows this message on the node. Pages and scripts without a WebSocket
// receive the same events at /events.
//
//	go run ./examples/comfyui    # then open http://127.0.0.1:8188, a page of nodebus
//
// To use ComfyUI's official front end, install it first. It is a Python package of
// static files:
//
//	pip install --no-deps --target /tmp/frontend comfyui-frontend-package
//	go run ./examples/comfyui -frontend /tmp/frontend/comfyui_frontend_package/static
//
// Both front ends list the workflow "painting" among the examples or templates, and the
// official front end shows it at the first visit. A script can submit this workflow from
// this folder:
//
//	curl -d "{\"prompt\": $(cat files/page/painting.json)}" http://127.0.0.1:8188/prompt
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/examples/imagenodes"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/sse"
)

//go:embed files
var files embed.FS

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("comfyui", flag.ContinueOnError)
	listen := flags.String("listen", "127.0.0.1:8188", "the `address` to serve at")
	data := flags.String("data", filepath.Join(os.TempDir(), "nodebus-comfyui"), "the `folder` for pictures, settings and saved workflows")
	frontend := flags.String("frontend", "", "the `folder` of the official front end's static files: comfyui_frontend_package/static in what\n"+
		"pip install --no-deps --target FOLDER comfyui-frontend-package\nleaves in FOLDER")
	parallel := flags.Int("parallel", 1, "how many prompts, of different clients, run at the same `time`")
	if err := flags.Parse(args); err != nil {
		return err
	}
	opts, err := options(*data, *frontend)
	if err != nil {
		return err
	}

	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	imagenodes.Register(registry, imagenodes.Folders{In: os.DirFS(opts.Input), Out: opts.Output})
	flow.Register(registry, Paint{}, nodebus.Info{Category: "picture/filter", Description: "Paints a picture over, with a brush that gets finer."})
	// ComfyUI runs one prompt at a time. Some of its clients rely on that: they take every
	// message for one about their prompt, or interrupt without saying which prompt.
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Parallel: *parallel})

	routes := http.NewServeMux()
	routes.Handle("/", comfy.New(engine, opts))
	routes.Handle("/events", sse.New(hub, &sse.Options{Remaining: engine.Remaining})) // for clients without a WebSocket
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: routes, ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	fmt.Fprintf(out, "Open http://%s in a browser; stop with Ctrl-C\nPictures are in %s\n", listener.Addr(), *data)

	_ = engine.Run(ctx) // returns when ctx ends and all prompts have ended
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(hub.Close(), server.Shutdown(grace)) // clients receive a close frame: the server is going away
	serving.Wait()
	fmt.Fprintln(out, "stopped")
	return err
}
