// Restart is a program that may be killed at any moment. It keeps everything in one file and one
// folder: what waits and runs, events, answers, results of nodes, and the history. Run it in
// the folder contrib/bolt, open the page, choose the template, and run it:
//
//	go run ./examples/restart
//
// Then kill the program, as a crash would, and start it again: the page goes on by itself. The
// run has begun anew, as attempt 2, but a verse that was finished is not written again. After
// Ctrl-C or SIGTERM, what runs has five seconds to end; otherwise it goes on after the next start.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/diskcache"
)

//go:embed verses.json
var files embed.FS

// Recite writes a text word by word.
type Recite struct {
	Text  string `multiline:"true"`
	After string `in:"after,optional" tip:"comes before the text"`
	Pause int    `default:"1000" min:"0" tip:"milliseconds between two words"`
}

func (n Recite) Run(ctx *nodebus.Context) (string, error) {
	words, out := strings.SplitAfter(n.After+n.Text, " "), ctx.Text("")
	for i, word := range words {
		time.Sleep(time.Duration(n.Pause) * time.Millisecond)
		if _, err := out.WriteString(word); err != nil {
			return "", err
		}
		ctx.Progress(float64(i+1), float64(len(words)))
	}
	return out.String(), nil
}

// Sign asks who has written the text, and shows both.
type Sign struct{ Text string }

func (n Sign) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	name, err := nodebus.Await[string](ctx, "name", nil)
	return nodebus.Text(n.Text, name), err
}

func main() {
	listen, file := flag.String("listen", "127.0.0.1:8188", "the `address`"), flag.String("file", "restart.db", "the `file`; FILE.results is the folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *listen, *file); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// lockTimeout is longer than the program before may take to end.
var lockTimeout = time.Minute

func run(ctx context.Context, listen, file string) error {
	db, err := bolt.Open(file, &bolt.Options{LockTimeout: lockTimeout})
	if err != nil {
		return err
	}
	results, err := diskcache.Open(file+".results", nil)
	if err != nil {
		return errors.Join(err, db.Close())
	}
	registry, hub := flow.NewRegistry(), nodebus.NewHub(&nodebus.HubOptions{Log: db.Log()})
	flow.Register(registry, Recite{}, nodebus.Info{Async: true})
	flow.Register(registry, Sign{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{
		Queue: db.Queue(), Store: db.Store(), Signals: db.Signals(), Drain: 5 * time.Second, HandOver: true,
		Executor: flow.NewLocal(registry, &flow.LocalOptions{Cache: results}),
	})
	page := comfy.New(engine, &comfy.Options{Templates: map[string]fs.FS{"restart": files}})
	server := &http.Server{Handler: page, ReadHeaderTimeout: time.Minute}
	listener, err := net.Listen("tcp", listen)
	if err == nil {
		go func() { _ = server.Serve(listener) }()
		fmt.Printf("Open http://%s in a browser; kill -9 %d\n", listener.Addr(), os.Getpid())
		// Run returns when a signal has come, and what runs has ended or is handed over.
		if err = engine.Run(ctx); errors.Is(err, context.Canceled) {
			err = nil // the errors of Close count
		}
	}
	return errors.Join(err, hub.Close(), page.Close(), server.Close(), db.Close())
}
