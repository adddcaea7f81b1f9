//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/sse"
)

// Said is a numbered event.
type Said struct {
	N int `json:"n"`
}

// EventType returns the name of the event.
func (Said) EventType() string { return "e2e.said" }

// Talk is a node that sends numbered events. It asks for an answer if the script wants it.
type Talk struct {
	orders chan order
}

// order is what a POST request tells a node to do. The node closes done when it has done it.
type order struct {
	say  int    // so many events, each with a piece of a text
	ask  string // a question
	done chan struct{}
}

// ServeHTTP waits until a node runs and has done what the request says: POST ?say=100,
// POST ?ask=name, or POST without a query to end the node.
func (n Talk) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	say, _ := strconv.Atoi(r.FormValue("say"))
	o := order{say, r.FormValue("ask"), make(chan struct{})}
	select {
	case n.orders <- o:
	case <-r.Context().Done():
		return
	}
	select {
	case <-o.done:
	case <-r.Context().Done():
	}
}

// Fingerprint returns an error, so that the node is never cached.
func (Talk) Fingerprint(*nodebus.Context) (string, error) {
	return "", fmt.Errorf("e2e: orders are not inputs")
}

// Run does what the orders say, and returns the number of events and the last answer.
func (n Talk) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	said, text, answer := 0, 0, ""
	for {
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case o := <-n.orders:
			for range o.say {
				said++
				piece := fmt.Sprintf("%d ", said)
				if err := ctx.SendSync(Said{said}); err != nil {
					return nil, err
				}
				err := ctx.SendSync(nodebus.TextPiece{Place: ctx.Place(), PromptID: ctx.PromptID(), Offset: text, Piece: piece})
				if err != nil {
					return nil, err
				}
				text += len(piece)
			}
			close(o.done)
			switch {
			case o.ask != "":
				var err error
				if answer, err = nodebus.Await[string](ctx, o.ask, nil); err != nil {
					return nil, err
				}
			case o.say == 0:
				return nodebus.Text(strconv.Itoa(said), answer), nil
			}
		}
	}
}

// moduleServer serves a page that imports the JavaScript module, and the routes that the
// module uses, below /bus/. It returns the address of the server, for the script, and the
// address of the line that leads to it, for the page. Routes for the script: POST /talk
// and POST /line.
func moduleServer(t *testing.T, opts *nodebus.HubOptions) (server, front string) {
	t.Helper()
	hub, registry := nodebus.NewHub(opts), flow.NewRegistry()
	talk := Talk{make(chan order)}
	flow.Register(registry, talk, nodebus.Info{Async: true})
	engine := flow.NewEngine(registry, hub, nil)
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { _ = engine.Run(ctx) })

	bus := comfy.New(engine, nil)
	routes := http.NewServeMux()
	routes.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte(modulePage))
	})
	routes.Handle("/bus/", http.StripPrefix("/bus", bus))
	routes.Handle("GET /bus/events", sse.New(hub, &sse.Options{Retry: 100 * time.Millisecond}))
	routes.Handle("POST /talk", talk)
	web := httptest.NewUnstartedServer(routes)
	l := newLine(t, web.Listener.Addr().String())
	routes.Handle("POST /line", l)
	web.Start()
	t.Cleanup(func() {
		cancel()
		_ = hub.Close()
		_ = bus.Close()
		web.CloseClientConnections()
		web.Close()
		running.Wait()
	})
	return web.Listener.Addr().String(), l.address()
}

// modulePage makes the client of the script's page, and notes what the client receives.
const modulePage = `<!doctype html>
<link rel="icon" href="data:,">
<script type="module" src="/bus/nodebus/nodebus.js"></script>`

// scenarios are the functions of browser/module.mjs.
var scenarios = map[string]*nodebus.HubOptions{
	"background":  nil,
	"busy":        nil,
	"reset":       nil,
	"silent":      nil,
	"stream":      nil,
	"nap":         nil,
	"lid":         {Retain: time.Second},
	"reload":      nil,
	"tabs":        nil,
	"approval":    nil,
	"noWebSocket": nil,
}

// TestModule uses the JavaScript module in a browser, in a page that has a hard life.
func TestModule(t *testing.T) {
	t.Parallel()
	for name, opts := range scenarios {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server, front := moduleServer(t, opts)
			if name == "noWebSocket" { // by default, nginx forwards no WebSockets
				front = strings.TrimPrefix(throughNginx(t, "http://"+server), "http://")
			}
			run(t, "node", "browser/module.mjs", front, server, name)
		})
	}
}
