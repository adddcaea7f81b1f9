// Embed adds nodebus to a program that has its own http.ServeMux and its own shutdown.
// It adds events at /events, and a route to submit prompts beside the program's other
// routes. At shutdown it interrupts the running prompts, and clients receive a close
// frame that says that the server is going away.
//
//	go run ./examples/embed
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/ws"
)

// Wait is a node that waits for some seconds.
type Wait struct {
	Seconds float64 `default:"1" min:"0" max:"3600"`
}

// Run waits. It ends early when the prompt is interrupted.
func (n Wait) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	timer := time.NewTimer(time.Duration(n.Seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nodebus.Text("done"), nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// routes adds the routes of nodebus to the routes of the program.
func routes(mux *http.ServeMux, hub *nodebus.Hub, engine *flow.Engine) {
	mux.Handle("GET /events", ws.New(hub, &ws.Options{Remaining: engine.Remaining}))
	mux.HandleFunc("POST /jobs", func(w http.ResponseWriter, r *http.Request) {
		var p nodebus.Prompt
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<20)).Decode(&p.Nodes); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		p.ClientID = r.URL.Query().Get("client")
		job, err := engine.Submit(r.Context(), &p, nil)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		fmt.Fprintln(w, job.ID)
	})
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, "127.0.0.1:8080", os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, address string, out io.Writer) error {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Wait{}, nodebus.Info{Async: true})
	engine := flow.NewEngine(registry, hub, nil)

	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "the program's own page") })
	routes(mux, hub, engine)
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	var serving sync.WaitGroup
	serving.Go(func() { _ = server.Serve(listener) })
	fmt.Fprintln(out, "listening on", listener.Addr())

	_ = engine.Run(ctx) // returns when ctx ends and all prompts have ended
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	err = errors.Join(hub.Close(), server.Shutdown(grace)) // sends the last events, then close code 1001
	serving.Wait()
	fmt.Fprintln(out, "stopped")
	return err
}
