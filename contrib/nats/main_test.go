package nats_test

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

// long makes the random tests run for minutes.
var long = flag.Bool("long", false, "kill more often")

// shared is the server of all tests that do not stop it.
var shared *embed.Server

// quiet receives what the tests provoke.
var quiet = loggerTo(io.Discard)

// children are what another process of the test does. They use a directory, write lines with
// say, and are killed.
var children = map[string]func(dir string, say func(words ...any)){
	"log": writeLog, "server": serveCluster,
}

func TestMain(m *testing.M) {
	nats.SetAwayTime(30 * time.Second) // a server may be slow, because its machine is
	child := children[os.Getenv("NATS_CHILD")]
	if child == nil {
		// Tests in parallel wait: for a lease to lapse, for a server, for an answer that is lost. So more of
		// them run at a time than there are cores. The flag -parallel has the last word.
		if err := flag.Set("test.parallel", "8"); err != nil {
			panic(err)
		}
		os.Exit(leak.Main(withServer{m}))
	}
	var mu sync.Mutex
	child(os.Getenv("NATS_DIR"), func(words ...any) {
		mu.Lock()
		defer mu.Unlock()
		fmt.Println(words...)
	})
}

// withServer runs the tests while the shared server runs.
type withServer struct{ m *testing.M }

// Run runs the tests, and returns the code for os.Exit.
func (w withServer) Run() int {
	dir, err := os.MkdirTemp("", "nodebus-nats")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	// The tests that need synchronized files have servers of their own.
	if shared, err = embed.Start(ctx, &embed.Options{Dir: dir, Unsynced: true, Logger: quiet, Tune: func(o *server.Options) {
		o.JetStreamMaxStore = 1 << 40 // hundreds of logs reserve room, and use little
	}}); err != nil {
		panic(err)
	}
	defer func() { _ = shared.Close() }()
	return w.m.Run()
}

// loggerTo returns a logger that writes text.
func loggerTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// names counts the names that newName has given.
var names atomic.Uint64

// newName returns the name of a bus that no other test has.
func newName() string { return fmt.Sprint("T", names.Add(1)) }

// connect makes a connection of its own to a server.
func connect(t testing.TB, s *embed.Server) *natsgo.Conn {
	t.Helper()
	nc, err := s.Connect()
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	return nc
}

// open opens a bus on a connection of its own, as another process would. opts.Name must be
// given. The bus is closed when the test ends.
func open(t testing.TB, s *embed.Server, opts nats.Options) *nats.Bus {
	t.Helper()
	require.NotEmpty(t, strings.TrimSpace(opts.Name), "newName makes a name")
	if opts.Logger == nil {
		opts.Logger = quiet
	}
	if opts.LogBytes == 0 {
		opts.LogBytes = 64 << 20 // the server reserves it on the disk
	}
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	bus, err := nats.Open(ctx, connect(t, s), &opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bus.Close() })
	return bus
}

// natsMsg returns a message without data.
func natsMsg(subject string) *natsgo.Msg { return natsgo.NewMsg(subject) }
