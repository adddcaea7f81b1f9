package cookbook_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/around"
)

// trace is a function around calls. Package around has more of them.
func trace(next flow.CallFunc) flow.CallFunc {
	return func(ctx *nodebus.Context, call *flow.Call) (flow.Result, error) {
		if call.Cached {
			return next(ctx, call)
		}
		fmt.Println("begin", ctx.UniqueID(), call.Inputs())
		defer fmt.Println("end", ctx.UniqueID())
		return next(ctx, call)
	}
}

func Example_logCalls() {
	registry, hub := classes(func(context.Context, string) (string, error) { return "the page", nil }), nodebus.NewHub(nil)
	logger := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey || a.Key == "duration" {
			return slog.Attr{} // left out here, because each run prints another
		}
		return a
	}}))
	local := flow.NewLocal(registry, &flow.LocalOptions{Around: []flow.Around{around.Log(logger), trace}})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: local})
	for _, id := range []string{"first", "again"} {
		if _, err := flow.Do(context.Background(), engine, page(id, "/")); err != nil {
			panic(err)
		}
	}
	_ = hub.Close()
	// Output:
	// begin fetch map[url:/]
	// end fetch
	// level=INFO msg=node prompt=first node=fetch class=Fetch cached=false
	// begin show map[text:the page]
	// end show
	// level=INFO msg=node prompt=first node=show class=Show cached=false
	// level=INFO msg=node prompt=again node=fetch class=Fetch cached=true
	// level=INFO msg=node prompt=again node=show class=Show cached=true
}
