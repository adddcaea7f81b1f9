package cookbook_test

import (
	"context"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func Example_priority() {
	registry, hub := classes(nil), nodebus.NewHub(nil)
	engine, ctx := flow.NewEngine(registry, hub, nil), context.Background() // nothing runs it: all prompts wait
	for id, priority := range map[string]float64{"late": 5, "normal": 0, "urgent": -5} {
		prompt := page(id, "/")
		prompt.Priority = priority // a smaller number runs first
		if _, err := engine.Submit(ctx, prompt, nil); err != nil {
			panic(err)
		}
	}
	list := func() {
		for q, err := range engine.Queued(ctx) {
			fmt.Print(q.Prompt.ID, " ", q.Prompt.Priority, ", ")
			if err != nil {
				panic(err)
			}
		}
		position, err := engine.Position(ctx, "normal")
		fmt.Println("before normal:", position.Ahead, err)
	}
	list()
	fmt.Println(engine.Prioritize(ctx, "urgent", 1)) // behind normal
	list()
	fmt.Println(engine.Reorder(ctx, "late", "urgent")) // in front of all
	list()
	_ = hub.Close()
	// Output:
	// urgent -5, normal 0, late 5, before normal: 1 <nil>
	// <nil>
	// normal 0, urgent 1, late 5, before normal: 0 <nil>
	// <nil>
	// late -1, urgent -1, normal 0, before normal: 2 <nil>
}
