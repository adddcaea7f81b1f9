package nats_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// shared is the server of all tests that do not stop it.
var shared *embed.Server

// quiet receives what the tests provoke.
var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	dir, err := os.MkdirTemp("", "nodebus-nats")
	if err != nil {
		panic(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	// The tests that need synchronized files have servers of their own.
	if shared, err = embed.Start(ctx, &embed.Options{Dir: dir, Unsynced: true, Logger: quiet}); err != nil {
		panic(err)
	}
	defer func() { _ = shared.Close() }()
	return m.Run()
}

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
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	bus, err := nats.Open(ctx, connect(t, s), &opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bus.Close() })
	return bus
}
