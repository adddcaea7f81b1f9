package nats_test

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func init() {
	children["holds"] = onBus(holdsLease)
	children["takes"] = onBus(takesAll)
}

// onBus returns a child that opens a bus: it gets the server, the name of the bus, and the
// node, separated by spaces.
func onBus(f func(bus *nats.Bus, say func(...any))) func(at string, say func(...any)) {
	return func(at string, say func(...any)) {
		words := strings.Fields(at + " none")
		nc, err := nats.Connect(words[0])
		must(err)
		ctx, stop := context.WithTimeout(context.Background(), time.Minute)
		defer stop()
		bus, err := nats.Open(ctx, nc, &nats.Options{Name: words[1], Node: words[2], Logger: quiet})
		must(err)
		f(bus, say)
		_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
	}
}

// freePort returns a port that nobody uses. It is none of those that the system gives to
// connections, so that nobody uses it while its server is away.
func freePort(t *testing.T) int {
	t.Helper()
	for {
		l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", 10_000+rand.IntN(20_000)))
		if err == nil {
			require.NoError(t, l.Close())
			return l.Addr().(*net.TCPAddr).Port
		}
	}
}

// serve starts a server that listens at a port of this machine.
func serve(t *testing.T, dir string, port int) *embed.Server {
	t.Helper()
	ctx, stop := context.WithTimeout(context.Background(), time.Minute)
	defer stop()
	s, err := embed.Start(ctx, &embed.Options{Dir: dir, Unsynced: true, Logger: quiet, Tune: func(o *server.Options) {
		o.DontListen, o.Host, o.Port = false, "127.0.0.1", port
	}})
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

// holdsLease leases the prompt "a" for some seconds, and waits.
func holdsLease(bus *nats.Bus, say func(...any)) {
	ctx := context.Background()
	l, err := bus.Queue().TakeOne(ctx, "a")
	must(err)
	must(l.Extend(ctx, 3*time.Second))
	say("took", l.Job().Attempt)
}

// takesAll takes prompts and ends them, for ever.
func takesAll(bus *nats.Bus, say func(...any)) {
	say("ready")
	for {
		l, err := bus.Queue().Take(context.Background(), nobody)
		must(err)
		say(l.Job().Prompt.ID, l.Job().Attempt)
		must(l.Done(context.Background()))
	}
}

func pushAll(t *testing.T, q flow.Queue, ids ...string) {
	t.Helper()
	for _, id := range ids {
		require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: id}, nil))
	}
}

func takeFrom(t *testing.T, q flow.Queue, id string, attempt int) flow.Lease {
	t.Helper()
	l, err := q.Take(patient(t), nobody)
	require.NoError(t, err)
	require.Equal(t, []any{id, attempt}, []any{l.Job().Prompt.ID, l.Job().Attempt})
	return l
}

// TestQueueKilled kills a process that has a lease. The lease lapses after its time, or at once
// when a process with the name of its node opens the queue; the attempt counts.
func TestQueueKilled(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	t.Run("a process of the same node comes back", func(t *testing.T) {
		opts := nats.Options{Name: newName()}
		q := open(t, s, opts).Queue()
		pushAll(t, q, "a", "b")
		p := start(t, "holds", url+" "+opts.Name+" one")
		require.Equal(t, []string{"took", "1"}, p.line(t))
		p.kill()
		require.NoError(t, nats.CatchUp(t.Context(), q))
		takeFrom(t, q, "b", 1)
		p = start(t, "holds", url+" "+opts.Name+" one")
		require.Equal(t, []string{"took", "2"}, p.line(t))
	})
	t.Run("nobody comes back", func(t *testing.T) {
		opts := nats.Options{Name: newName()}
		q := open(t, s, opts).Queue()
		pushAll(t, q, "a")
		p := start(t, "holds", url+" "+opts.Name)
		require.Equal(t, []string{"took", "1"}, p.line(t))
		p.kill()
		takeFrom(t, q, "a", 2)
	})
}

// TestLeasedOnce takes prompts in two processes at the same time.
func TestLeasedOnce(t *testing.T) {
	const n = 200
	port := freePort(t)
	s := serve(t, t.TempDir(), port)
	opts := nats.Options{Name: newName()}
	q := open(t, s, opts).Queue()
	p := start(t, "takes", fmt.Sprint("nats://127.0.0.1:", port, " ", opts.Name))
	require.Equal(t, []string{"ready"}, p.line(t))
	taken := make(chan string, 2*n)
	own, stop := context.WithCancel(t.Context())
	defer stop()
	ended := make(chan error, 1)
	go func() {
		for {
			l, err := q.Take(own, nobody)
			if err != nil {
				ended <- err
				return
			}
			taken <- fmt.Sprint(l.Job().Prompt.ID, " ", l.Job().Attempt)
			if err := l.Done(t.Context()); err != nil {
				ended <- err
				return
			}
		}
	}()
	read := make(chan struct{})
	go func() {
		defer close(read)
		for p.lines.Scan() {
			taken <- p.lines.Text()
		}
	}()
	defer func() { _ = p.cmd.Process.Kill(); <-read }()
	want := map[string]bool{}
	for i := range n {
		want[fmt.Sprint("p", i, " 1")] = true
		pushAll(t, q, fmt.Sprint("p", i))
	}
	for range n {
		got := <-taken
		require.True(t, want[got], "%s was taken twice", got)
		delete(want, got)
	}
	stop()
	require.ErrorIs(t, <-ended, context.Canceled)
	require.NoError(t, nats.CatchUp(t.Context(), q))
	waiting, _, err := q.Len(t.Context())
	require.NoError(t, err)
	require.Zero(t, waiting)
}

// TestFenced lets a lease lapse for one process, while its holder is late: the older lease
// can do nothing.
func TestFenced(t *testing.T) {
	opts := nats.Options{Name: newName()}
	a, b := open(t, shared, opts).Queue(), open(t, shared, opts).Queue()
	pushAll(t, a, "a")
	old := takeFrom(t, a, "a", 1)
	require.NoError(t, old.Extend(t.Context(), 0))
	now := takeFrom(t, b, "a", 2)
	for name, call := range map[string]func() error{
		"extend": func() error { return old.Extend(t.Context(), time.Hour) }, "done": func() error { return old.Done(t.Context()) }, "release": func() error { return old.Release(t.Context()) },
	} {
		require.ErrorIs(t, call(), flow.ErrLapsed, name)
	}
	require.NoError(t, now.Done(t.Context()))
	require.NoError(t, nats.CatchUp(t.Context(), a))
	pushAll(t, a, "a")
	takeFrom(t, b, "a", 1)
}
