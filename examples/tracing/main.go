// Tracing shows where the time of a prompt goes: a span for each prompt, in it a span for each
// node, and in that the spans of the nodes that the node makes. The tracer wraps the executor
// and the calls of nodes. OpenTelemetry fits into the same two places.
package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

type span struct{ id, parent, text string } // parent: the node that made the node, or ""

type trace struct { // of one prompt
	mu    sync.Mutex
	spans []span
}

type traceKey struct{}

// traceCalls is a flow.Around. It makes a span for each call of a node.
func traceCalls(next flow.CallFunc) flow.CallFunc {
	return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
		began := time.Now()
		res, err := next(ctx, call)
		t := ctx.Value(traceKey{}).(*trace)
		t.mu.Lock()
		defer t.mu.Unlock()
		t.spans = append(t.spans, span{ctx.UniqueID(), ctx.Place().ParentID, fmt.Sprintf("%s %v cached=%t err=%v %v",
			call.Class.Name(), call.Inputs(), call.Cached, err, time.Since(began).Round(time.Millisecond))})
		return res, err
	}
}

func (t *trace) print(out io.Writer, parent string, depth int) {
	for _, s := range t.spans {
		if s.parent == parent {
			fmt.Fprintln(out, strings.Repeat("  ", depth)+s.text)
			t.print(out, s.id, depth+1)
		}
	}
}

type tracer struct { // an executor that prints the spans of each prompt
	*flow.Local
	out io.Writer
}

func (x *tracer) Execute(ctx context.Context, job nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
	t, began := &trace{}, time.Now()
	report, err := x.Local.Execute(context.WithValue(ctx, traceKey{}, t), job, pub)
	fmt.Fprintf(x.out, "prompt %s err=%v %v\n", job.Prompt.ID, err, time.Since(began).Round(time.Millisecond))
	slices.SortStableFunc(t.spans, func(a, b span) int { return cmp.Compare(a.id, b.id) })
	t.print(x.out, "", 1)
	return report, err
}

type Crawl struct{ Pages int } // makes a Fetch for each page and waits for all of them

func (n Crawl) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	g, outs := ctx.NewGraph(), make([]nodebus.Link, n.Pages)
	for page := range outs {
		outs[page] = g.Add("Fetch", nodebus.Inputs{"page": page + 1})
	}
	pages, err := nodebus.EvalAll[any](ctx, g, outs...)
	return nodebus.UI{"pages": pages}, err
}

type Fetch struct{ Page int }

func (n Fetch) Run(*nodebus.Context) (int, error) {
	time.Sleep(time.Duration(n.Page) * 10 * time.Millisecond)
	return n.Page, nil
}

func main() { run(os.Stdout) }

func run(out io.Writer) {
	registry, hub, graph := flow.NewRegistry(), nodebus.NewHub(nil), nodebus.NewGraph()
	flow.Register(registry, Crawl{}, nodebus.Info{})
	flow.Register(registry, Fetch{}, nodebus.Info{Async: true})
	local := flow.NewLocal(registry, &flow.LocalOptions{Around: []flow.Around{traceCalls}})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: &tracer{local, out}})
	graph.Add("Crawl", nodebus.Inputs{"pages": 3})
	for _, id := range []string{"first", "again"} {
		_, _ = flow.Do(context.Background(), engine, &nodebus.Prompt{ID: id, Nodes: graph.Nodes()})
	}
	_ = hub.Close()
}
