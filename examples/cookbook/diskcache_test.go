package cookbook_test

import (
	"context"
	"fmt"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/diskcache"
)

func Example_diskCache() {
	folder, err := os.MkdirTemp("", "results") // in a program: a folder that stays
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(folder) }()

	for _, program := range []string{"first", "second"} { // a program is started twice
		cache, err := diskcache.Open(folder, &diskcache.Options{
			Bytes:   10 << 30, // the results used least recently go when the limit is reached
			Version: "1",      // change it when a node computes something else than before
		})
		if err != nil {
			panic(err)
		}
		registry, hub := classes(func(_ context.Context, url string) (string, error) {
			fmt.Println(program, "program: fetching", url)
			return "the page", nil
		}), nodebus.NewHub(nil)
		local := flow.NewLocal(registry, &flow.LocalOptions{Cache: cache})
		engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Executor: local})
		outcome, err := flow.Do(context.Background(), engine, page("p", "/"))
		if err != nil {
			panic(err)
		}
		fmt.Println(outcome.Output("show")["text"], "cached:", outcome.Nodes[0].Cached, outcome.Err())
		_ = hub.Close()
	}
	// Output:
	// first program: fetching /
	// [the page] cached: false <nil>
	// [the page] cached: true <nil>
}
