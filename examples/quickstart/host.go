package main

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/examples/imagenodes"
	"github.com/nodebus/nodebus/ws"
)

// host is what every program that embeds nodebus has: nodes, a hub, an engine,
// and a way in for the world.
type host struct {
	engine  *nodebus.Engine
	address string
	stop    func()
}

func start(ctx context.Context, pictures fs.FS, results, address string, workflow []byte) (*host, error) {
	if address == "" {
		address = "127.0.0.1:0"
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	registry := nodebus.NewRegistry()
	imagenodes.Register(registry, imagenodes.Folders{In: pictures, Out: results})
	hub := nodebus.NewHub(nil)
	engine := nodebus.NewEngine(registry, hub, nil)

	mux := http.NewServeMux()
	mux.Handle("/ws", ws.New(hub, &ws.Options{Remaining: engine.Remaining}))
	mux.Handle("/", page(engine, results, workflow))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}

	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	running.Go(func() { _ = server.Serve(listener) })
	return &host{engine, listener.Addr().String(), func() {
		cancel()        // ends what runs
		_ = hub.Close() // tells clients that the program is going away
		_ = server.Close()
		running.Wait()
	}}, nil
}

// page serves what a browser needs: the page, the results, and a way to run the
// workflow as the page's client.
func page(engine *nodebus.Engine, results string, workflow []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "page.html")
	})
	mux.Handle("GET /results/", http.StripPrefix("/results/", http.FileServer(http.Dir(results))))
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, r *http.Request) {
		nodes, err := nodebus.ParseNodes(workflow)
		if err == nil {
			_, err = engine.Submit(r.Context(), &nodebus.Prompt{ClientID: r.FormValue("client"), Nodes: nodes})
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return mux
}
