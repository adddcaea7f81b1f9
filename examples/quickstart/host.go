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
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/ws"
)

// host holds what every program with nodebus needs: nodes, a hub, an engine, and a
// server for clients.
type host struct {
	engine  *flow.Engine
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
	registry := flow.NewRegistry()
	imagenodes.Register(registry, imagenodes.Folders{In: pictures, Out: results})
	hub := nodebus.NewHub(nil)
	local := flow.NewLocal(registry, nil)
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: local})

	mux := http.NewServeMux()
	mux.Handle("/ws", ws.New(hub, &ws.Options{Remaining: engine.Remaining}))
	mux.Handle("/", page(engine, local, results, workflow))
	server := &http.Server{Handler: http.NewCrossOriginProtection().Handler(mux), ReadHeaderTimeout: 10 * time.Second}

	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })
	running.Go(func() { _ = server.Serve(listener) })
	return &host{engine, reachable(listener.Addr().(*net.TCPAddr)), func() {
		cancel()        // ends all running prompts
		_ = hub.Close() // sends close frames: the program is going away
		_ = server.Close()
		running.Wait()
	}}, nil
}

// reachable returns an address that a client on this machine can use.
func reachable(a *net.TCPAddr) string {
	if a.IP.IsUnspecified() { // the server listens on all addresses
		return net.JoinHostPort("localhost", strconv.Itoa(a.Port))
	}
	return a.String()
}

// page serves everything that the page in a browser needs: the page, the workflow, the
// results, and a route that runs the workflow for the page's client.
func page(engine *flow.Engine, local *flow.Local, results string, workflow []byte) http.Handler {
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
			local.Free() // empty the cache
		}
		nodes, err := nodebus.ParseNodes(workflow)
		if err == nil {
			_, err = engine.Submit(r.Context(), &nodebus.Prompt{ClientID: r.FormValue("client"), Nodes: nodes}, nil)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
		}
	})
	return mux
}
