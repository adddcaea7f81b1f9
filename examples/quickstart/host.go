package main

import (
	"context"
	"io/fs"
	"net"
	"net/http"
	"strconv"
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
	local := nodebus.NewLocal(registry, nil)
	engine := nodebus.NewEngine(registry, hub, &nodebus.EngineOptions{Executor: local})

	mux := http.NewServeMux()
	mux.Handle("/ws", ws.New(hub, &ws.Options{Remaining: engine.Remaining}))
	mux.Handle("/", page(engine, local, results, workflow))
	server := &http.Server{Handler: http.NewCrossOriginProtection().Handler(mux), ReadHeaderTimeout: 10 * time.Second}

	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	running.Go(func() { _ = server.Serve(listener) })
	return &host{engine, reachable(listener.Addr().(*net.TCPAddr)), func() {
		cancel()        // ends what runs
		_ = hub.Close() // tells clients that the program is going away
		_ = server.Close()
		running.Wait()
	}}, nil
}

// reachable is an address that a client on this machine can use.
func reachable(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() { // it listens on all
		return net.JoinHostPort("localhost", strconv.Itoa(a.Port))
	}
	return a.String()
}

// page serves what a browser needs: the page, the workflow, the results, and a
// way to run the workflow as the page's client.
func page(engine *nodebus.Engine, local *nodebus.Local, results string, workflow []byte) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFileFS(w, r, files, "page.html")
	})
	mux.HandleFunc("GET /workflow", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(workflow)
	})
	mux.Handle("GET /results/", http.StripPrefix("/results/", http.FileServer(http.Dir(results))))
	mux.HandleFunc("POST /run", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("fresh") {
			local.Free() // forget what the nodes gave
		}
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
