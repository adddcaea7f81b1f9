// Owntransport uses a custom transport: a TCP server that writes each event as a line
// of JSON, so that a shell can follow the events. The transport is in ndjson.go; its
// test checks it with conform.Transport.
//
//	go run ./examples/owntransport
package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// serve joins each connection to the hub. The first line of a connection is the
// client's id.
func serve(ctx context.Context, hub *nodebus.Hub, l net.Listener) {
	var sessions sync.WaitGroup
	defer sessions.Wait()
	for {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		sessions.Go(func() {
			client := bufio.NewScanner(conn)
			client.Scan()
			s := hub.Join(client.Text(), &nodebus.SessionOptions{Hello: []nodebus.Payload{nodebus.Status{SID: client.Text()}}})
			ctx, cancel := context.WithCancel(ctx)
			go func() {
				defer cancel() // the client has closed the connection
				_, _ = io.Copy(io.Discard, conn)
			}()
			_ = s.Serve(ctx, &ndjson{conn: conn})
		})
	}
}

// Greet is a node that shows a greeting.
type Greet struct{ Name string }

// Run returns the greeting.
func (n Greet) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text("Hello, " + n.Name), nil
}

func main() {
	if err := run(os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(out io.Writer) error {
	registry, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(registry, Greet{}, nodebus.Info{})
	engine := flow.NewEngine(registry, hub, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { _ = engine.Run(ctx) })
	all.Go(func() { serve(ctx, hub, l) })

	// A client, such as: (echo shell; cat) | nc 127.0.0.1 PORT
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		return err
	}
	fmt.Fprintln(conn, "shell")
	lines := bufio.NewScanner(conn)
	lines.Scan() // the first line confirms the id: from now on the client misses no event
	fmt.Fprintln(out, lines.Text())
	g := nodebus.NewGraph()
	g.Add("Greet", nodebus.Inputs{"name": "world"})
	if _, err := engine.Submit(ctx, &nodebus.Prompt{ID: "hello", ClientID: "shell", Nodes: g.Nodes()}, nil); err != nil {
		return err
	}
	for lines.Scan() {
		fmt.Fprintln(out, lines.Text())
		if lines.Text() == `{"type":"executing","data":{"node":null,"prompt_id":"hello"}}` {
			break
		}
	}
	cancel()
	_ = l.Close()
	_ = conn.Close()
	all.Wait()
	return hub.Close()
}
