package embed_test

import (
	"context"
	"fmt"
	"os"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
)

// A server in the process needs a directory, and no port.
func ExampleStart() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	server, err := embed.Start(ctx, &embed.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	bus, err := nats.Open(ctx, server.Conn(), &nats.Options{LogBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	if err := bus.Queue().Push(ctx, &nodebus.Prompt{ID: "p"}, nil); err != nil {
		panic(err)
	}
	waiting, _, err := bus.Queue().Len(ctx)
	fmt.Println(waiting, err, bus.Close(), server.Close())
	// Output: 1 <nil> <nil> <nil>
}
