package embed_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"

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
	fmt.Println(bus.Log() != nil, bus.Close(), server.Close())
	// Output: true <nil> <nil>
}

// Three servers are a cluster. Here all are in one program; usually each is in a process of
// its own, on a machine of its own. The first time, each waits for the others.
func ExampleStart_cluster() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	addresses := freeAddresses(3)
	servers := make([]*embed.Server, len(addresses))
	var starting sync.WaitGroup
	for i, own := range addresses {
		starting.Go(func() {
			name := fmt.Sprint("node", i+1)
			s, err := embed.Start(ctx, &embed.Options{
				Dir: filepath.Join(dir, name), Name: name, Listen: own, Routes: addresses, Logger: slog.New(slog.DiscardHandler),
			})
			if err != nil {
				panic(err)
			}
			servers[i] = s
		})
	}
	starting.Wait()
	bus, err := nats.Open(ctx, servers[0].Conn(), &nats.Options{Node: "node1", Replicas: 3, LogBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	fmt.Println(bus.Log() != nil, bus.Close())
	var ending sync.WaitGroup
	for _, s := range servers { // at the same time: the last one alone could store nothing
		ending.Go(func() { s.Close() })
	}
	ending.Wait()
	// Output: true <nil>
}

// freeAddresses returns addresses at which nobody listens now.
func freeAddresses(n int) (addresses []string) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		defer l.Close() // not earlier: the next one must be another
		addresses = append(addresses, l.Addr().String())
	}
	return addresses
}
