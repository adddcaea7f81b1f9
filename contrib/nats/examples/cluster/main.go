// Cluster is one program in three processes that share everything: each can accept, run and
// show any prompt, and each can be killed. A NATS server runs in each process, and the three
// are a cluster; the machine needs only Go. Run it in the folder contrib/nats:
//
//	go run ./examples/cluster -kill 20s
//
// Open the page that it names, choose the example “verses”, and press Run. The text says
// which process writes it. The first process, which you started, keeps the three running and
// passes each request on to one of them. It kills one of them at random, as kill -9 does, and
// the next when all three are back.
//
//   - If the page was connected to the killed process, it connects to another one with its
//     cursor, and receives what it has missed.
//   - If the killed process ran the prompt, another one runs it again as attempt 2.
//   - If the killed process led the cluster, events stand still for 4 to 9 seconds, until the
//     other two have chosen a leader. Then all of them come.
//
// Ctrl-C ends all. The next start goes on where this one ended: the history is there, and
// prompts that have not ended run again.
//
// A program needs not do everything. Who runs prompts calls Run of the engine. Who accepts
// prompts or serves clients needs the engine and its node classes, but no Run. The flags say
// which processes do what:
//
//	go run ./examples/cluster -serve 1 -submit 2 -run 3
//
// The function process is what to copy. The file keep.go only starts, kills and ends processes.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/contrib/nats"
	server "github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
)

//go:embed verses.json
var files embed.FS

// Recite writes a text word by word, and says who writes it.
type Recite struct {
	Text  string `multiline:"true"`
	Pause int    `default:"1000" min:"0" tip:"milliseconds before each word"`
}

// Run writes the text.
func (n Recite) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	words, out := strings.SplitAfter(n.Text, " "), ctx.Text("")
	_, _ = fmt.Fprintf(out, "Process %s, attempt %d: ", *node, ctx.Attempt())
	for i, word := range words {
		select {
		case <-time.After(time.Duration(n.Pause) * time.Millisecond):
		case <-ctx.Done():
			return nodebus.UI{}, context.Cause(ctx)
		}
		if _, err := out.WriteString(word); err != nil {
			return nodebus.UI{}, err
		}
		ctx.Progress(float64(i+1), float64(len(words)))
	}
	return nodebus.Text(out.String()), nil
}

// process is one of the three. It begins when two of them run, the first time when all do.
func process(ctx context.Context) error {
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	s, err := server.Start(ctx, &server.Options{
		Dir: filepath.Join(*dir, *node), Name: "process" + *node, Listen: *own, Routes: strings.Split(*routes, ","),
		Logger: slog.New(slog.DiscardHandler), // otherwise it tells who of the others does not answer
	})
	if err != nil {
		return err
	}
	bus, err := nats.Open(ctx, s.Conn(), &nats.Options{Node: "process" + *node, Replicas: 3, Logger: log})
	if err != nil {
		return errors.Join(err, s.Close())
	}
	running, end := context.WithCancelCause(ctx)
	defer end(nil)
	go func() { // both can end by themselves, and then the process must
		select {
		case <-bus.Done():
			end(bus.Err())
		case <-s.Done():
			end(s.Err())
		}
	}()
	registry, hub := flow.NewRegistry(), nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
	flow.Register(registry, Recite{}, nodebus.Info{Async: true})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{
		Queue: bus.Queue(), Store: bus.Store(), Signals: bus.Signals(), Drain: time.Second, HandOver: true, Logger: log,
	})
	page := comfy.New(engine, &comfy.Options{Templates: map[string]fs.FS{"cluster": files}, Logger: log})
	web := &http.Server{Handler: page, ReadHeaderTimeout: time.Minute}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		go func() { _ = web.Serve(listener) }()
		fmt.Println(listener.Addr()) // the first process reads it
		if strings.Contains(*run, *node) {
			err = engine.Run(running) // until its context ends, and what runs has ended or is handed over
		} else {
			<-running.Done()
			err = context.Cause(running)
		}
		if ctx.Err() != nil {
			err = nil // the errors of Close count
			rest()    // if all end: while a server ends, the others cannot store what they hand over
		}
	}
	return errors.Join(err, hub.Close(), page.Close(), web.Close(), bus.Close(), s.Close())
}

var (
	listen = flag.String("listen", "127.0.0.1:8188", "the `address` of the page")
	dir    = flag.String("dir", filepath.Join(os.TempDir(), "nodebus-cluster"), "the `folder` with a folder for each process")
	kill   = flag.Duration("kill", 0, "kill a process this `time` after all are ready; 0: never")
	submit = flag.String("submit", "123", "the `processes` that accept prompts")
	run    = flag.String("run", "123", "the `processes` that run prompts")
	serve  = flag.String("serve", "123", "the `processes` that serve the page and its sockets")
	node   = flag.String("node", "", "set by the first process: the `number` of this one")
	own    = flag.String("own", "", "set by the first process: the `address` of this server")
	routes = flag.String("routes", "", "set by the first process: the `addresses` of all servers")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // the second Ctrl-C ends the process at once
	work := first
	if *node != "" {
		work = process
		go obey(stop)
	}
	if err := work(ctx); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
