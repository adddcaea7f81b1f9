// Host is the program that the tests of package chaos kill. It serves the routes of package
// comfy and, at /events, Server-Sent Events, and keeps everything in a file, or on a NATS server
// of its own that belongs to a cluster. It prints "ready ADDRESS" when it serves. SIGTERM
// drains it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/diskcache"
	"github.com/nodebus/nodebus/sse"
)

func main() {
	var from source
	flag.StringVar(&from.file, "file", "", "the `file` of package bolt")
	flag.StringVar(&from.node, "node", "", "the `name` of the server in the cluster, instead of a file")
	flag.StringVar(&from.dir, "dir", "", "the `folder` of the server")
	flag.StringVar(&from.own, "own", "", "the `address` of the server")
	flag.StringVar(&from.routes, "routes", "", "the `addresses` of the other servers")
	cache := flag.String("cache", "", "the `folder` of results")
	listen := flag.String("listen", "127.0.0.1:0", "the `address`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	if err := run(ctx, &from, *cache, *listen); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, from *source, cache, listen string) (err error) {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	kept, err := from.open(ctx, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, kept.close()) }()
	registry, hub := flow.NewRegistry(), nodebus.NewHub(&nodebus.HubOptions{Log: kept.log})
	register(registry)
	results, err := diskcache.Open(cache, nil)
	if err != nil {
		return err
	}
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{
		Executor: executor{flow.NewLocal(registry, &flow.LocalOptions{Cache: results, Logger: log})},
		Queue:    kept.queue, Store: kept.store, Signals: kept.signals,
		Parallel: 32, PerClient: 2, Attempts: 50, Drain: 500 * time.Millisecond, HandOver: true, Logger: log,
	})
	server := comfy.New(engine, &comfy.Options{Logger: log})
	mux := http.NewServeMux()
	mux.Handle("/", server)
	mux.Handle("GET /events", sse.New(hub, &sse.Options{Remaining: engine.Remaining}))
	mux.Handle("GET /records", records(kept.store))
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return err
	}
	web := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	var serving sync.WaitGroup
	serving.Go(func() { _ = web.Serve(listener) })
	fmt.Println("ready", listener.Addr())
	ran := engine.Run(ctx)
	if ctx.Err() != nil {
		ran = nil
	}
	err = errors.Join(ran, hub.Close(), server.Close())
	last, end := context.WithTimeout(context.Background(), 5*time.Second) // for requests that have come already
	defer end()
	if web.Shutdown(last) != nil {
		err = errors.Join(err, web.Close())
	}
	serving.Wait()
	return err
}

// records sends a line for each record, as long as that takes: many thousands may be in a
// store that is elsewhere.
func records(store flow.Store) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for rec, err := range store.List(r.Context()) {
			if err != nil {
				panic(http.ErrAbortHandler) // the client sees that the list is not whole
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"id": rec.Prompt.ID, "state": rec.State, "attempt": rec.Attempt})
		}
	}
}
