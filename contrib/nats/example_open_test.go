package nats_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
)

type greet struct{ Name string }

func (g greet) Run(*nodebus.Context) (nodebus.UI, error) { return nodebus.Text("hello " + g.Name), nil }

// openEngine opens a bus, and makes an engine with its four parts, as each process does.
func openEngine(ctx context.Context, nc *natsgo.Conn, name string) (*flow.Engine, func()) {
	bus, err := nats.Open(ctx, nc, &nats.Options{Node: name, LogBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	registry, hub := flow.NewRegistry(), nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
	flow.Register(registry, greet{}, nodebus.Info{Name: "Greet"})
	engine := flow.NewEngine(registry, hub, &flow.EngineOptions{Queue: bus.Queue(), Store: bus.Store(), Signals: bus.Signals()})
	return engine, func() {
		hub.Close()
		bus.Close()
	}
}

// A client submits a prompt at one process, another process runs it, and the first tells the
// client how it ended. Here both are in one program, each with a connection of its own.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	ctx := context.Background()
	s, err := embed.Start(ctx, &embed.Options{Dir: dir})
	if err != nil {
		panic(err)
	}
	defer s.Close()
	nc, err := s.Connect()
	if err != nil {
		panic(err)
	}
	defer nc.Close()

	accepts, end := openEngine(ctx, s.Conn(), "accepts")
	defer end()
	runs, end := openEngine(ctx, nc, "runs")
	defer end()
	running, stop := context.WithCancel(ctx)
	ended := make(chan error)
	go func() { ended <- runs.Run(running) }()

	g := nodebus.NewGraph()
	g.AddAs("greet", "Greet", nodebus.Inputs{"name": "world"})
	submission, err := accepts.Submit(ctx, &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, nil)
	if err != nil {
		panic(err)
	}
	outcome, err := submission.Wait(ctx)
	fmt.Println(outcome.State, outcome.Output("greet")["text"], err)
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		fmt.Println(err)
	}
	// Output: success [hello world] <nil>
}

// A server elsewhere is reached by its address. Open waits until it answers, at most until
// the context ends.
func ExampleConnect() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	port := freeAddress().Port
	ctx := context.Background()
	s, err := embed.Start(ctx, &embed.Options{Dir: dir, Tune: func(o *server.Options) { // the server elsewhere
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", port
		o.Username, o.Password = "nodes", "a secret"
	}})
	if err != nil {
		panic(err)
	}
	defer s.Close()

	nc, err := nats.Connect(fmt.Sprintf("nats://127.0.0.1:%d", port), natsgo.UserInfo("nodes", "a secret"))
	if err != nil {
		panic(err)
	}
	defer nc.Close()
	bus, err := nats.Open(ctx, nc, &nats.Options{Node: "one", LogBytes: 64 << 20})
	fmt.Println(bus != nil, err)
	bus.Close()
	// Output: true <nil>
}

// freeAddress returns an address at which nobody listens now.
func freeAddress() *net.TCPAddr {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr)
}

// Previews are not in the stream: who is there receives them, and who comes later does not
// miss them.
func ExampleBus_Log_previews() {
	opts := &nats.Options{Name: newName(), LogBytes: 64 << 20}
	ctx := context.Background()
	var hubs []*nodebus.Hub
	for range 2 { // two processes
		nc, err := shared.Connect()
		if err != nil {
			panic(err)
		}
		defer nc.Close()
		bus, err := nats.Open(ctx, nc, opts)
		if err != nil {
			panic(err)
		}
		defer bus.Close()
		hub := nodebus.NewHub(&nodebus.HubOptions{Log: bus.Log()})
		defer hub.Close()
		hubs = append(hubs, hub)
	}
	events := hubs[1].Subscribe(ctx)
	err := hubs[0].Publish(nodebus.Event{PromptID: "p", To: "ann", Payload: nodebus.Preview{
		PromptID: "p", ImageType: "image/png", Image: []byte("an image"),
	}})
	if err != nil {
		fmt.Println(err)
	}
	for ev, err := range events {
		preview, ok := ev.Payload.(nodebus.Preview)
		fmt.Println(ok, string(preview.Image), err)
		break
	}
	// Output: true an image <nil>
}

// If somebody deletes or restores the streams, the bus ends. The program then ends, too, and
// whatever runs it starts it again.
func ExampleBus_Done() {
	bus, err := nats.Open(context.Background(), shared.Conn(), &nats.Options{Name: newName(), LogBytes: 64 << 20})
	if err != nil {
		panic(err)
	}
	running, stop := context.WithCancelCause(context.Background()) // the context of Run of the engine
	watching := make(chan struct{})
	go func() {
		defer close(watching)
		<-bus.Done()
		slog.Debug("the bus has ended", "reason", bus.Err())
		stop(bus.Err())
	}()
	bus.Close() // or ErrOtherStream
	<-watching
	fmt.Println(context.Cause(running))
	// Output: nodebus: closed
}
