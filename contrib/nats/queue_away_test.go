package nats_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// forget makes the stream of a queue forget which messages it has seen.
func forget(t *testing.T, nc *natsgo.Conn, q flow.Queue) {
	t.Helper()
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	cfg := nats.QueueStream(q).CachedInfo().Config
	cfg.Duplicates = 100 * time.Millisecond
	_, err = js.UpdateStream(t.Context(), cfg)
	require.NoError(t, err)
}

// TestLostAnswers loses the answers to each change: the change is made once. The stream
// either knows that it has seen the message, or has forgotten it.
func TestLostAnswers(t *testing.T) {
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	for name, c := range map[string]struct {
		call func(q flow.Queue, l flow.Lease) error // on a queue with the leased prompt "leased", and the prompt "waits"
		want []string
	}{
		"push": {func(q flow.Queue, _ flow.Lease) error {
			return q.Push(t.Context(), &nodebus.Prompt{ID: "new"}, nil)
		}, []string{"leased+", "waits", "new"}},
		"take": {func(q flow.Queue, _ flow.Lease) error {
			l, err := q.Take(t.Context(), nobody)
			if err != nil {
				return err
			}
			return l.Extend(t.Context(), time.Hour)
		}, []string{"leased+", "waits+"}},
		"move":   {func(q flow.Queue, _ flow.Lease) error { return q.Move(t.Context(), "waits", 1) }, []string{"leased+", "waits"}},
		"delete": {func(q flow.Queue, _ flow.Lease) error { _, err := q.Delete(t.Context(), "waits"); return err }, []string{"leased+"}},
		"extend": {func(_ flow.Queue, l flow.Lease) error {
			if err := l.Extend(t.Context(), time.Hour); err != nil {
				return err
			}
			return l.Extend(t.Context(), 2*time.Hour)
		}, []string{"leased+", "waits"}},
		"release": {func(_ flow.Queue, l flow.Lease) error { return l.Release(t.Context()) }, []string{"leased", "waits"}},
		"done":    {func(_ flow.Queue, l flow.Lease) error { return l.Done(t.Context()) }, []string{"waits"}},
	} {
		for _, forgets := range []bool{false, true} {
			if !forgets && name != "push" && name != "take" && name != "done" {
				continue
			}
			t.Run(fmt.Sprint(name, " forgets=", forgets), func(t *testing.T) {
				t.Parallel()
				opts := nats.Options{Name: newName()}
				line, other := newLine(), open(t, s, opts).Queue()
				q := openOn(t, line, url, opts).Queue()
				if forgets {
					forget(t, connect(t, s), other)
				}
				pushAll(t, q, "leased", "waits")
				l := takeFrom(t, q, "leased", 1)
				require.NoError(t, l.Extend(t.Context(), time.Hour))
				line.set(true, false)
				hears := time.AfterFunc(1200*time.Millisecond, func() { line.set(false, false) })
				defer hears.Stop()
				require.NoError(t, c.call(q, l))
				require.NoError(t, nats.CatchUp(t.Context(), other))
				for _, q := range []flow.Queue{q, other} {
					var got []string
					for x, err := range q.List(t.Context()) {
						require.NoError(t, err)
						require.Equal(t, 1, x.Attempt)
						id := x.Prompt.ID
						if x.Leased {
							id += "+"
						}
						got = append(got, id)
					}
					require.Equal(t, c.want, got)
				}
			})
		}
	}
}

// TestLostLease ends a Take whose answer is lost: nobody has the lease, and it is given back
// when the network is there again. The attempt does not count.
func TestLostLease(t *testing.T) {
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	opts := nats.Options{Name: newName()}
	line, other := newLine(), open(t, s, opts).Queue()
	q := openOn(t, line, url, opts).Queue()
	pushAll(t, q, "a")
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	taken := make(chan error, 1)
	deaf := line.deafAt("PUB " + opts.Name + "_QUEUE.ia.s")
	go func() { _, err := q.Take(ctx, nobody); taken <- err }()
	<-deaf
	stop()
	require.ErrorIs(t, <-taken, context.Canceled)
	line.set(false, false)
	takeFrom(t, other, "a", 1)
}

// TestQueueAway stops the server, also for ever: calls wait, at most until their contexts end.
func TestQueueAway(t *testing.T) {
	port, dir := freePort(t), t.TempDir()
	url := fmt.Sprint("nats://127.0.0.1:", port)
	nc, err := nats.Connect(url)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	opts := &nats.Options{Name: newName(), Logger: quiet}
	short := func() (context.Context, func()) { return context.WithTimeout(t.Context(), 100*time.Millisecond) }
	ctx, stop := short()
	defer stop()
	_, err = nats.Open(ctx, nc, opts)
	require.ErrorIs(t, err, nats.ErrAway)
	require.ErrorIs(t, err, context.DeadlineExceeded)

	opened := make(chan *nats.Bus, 1)
	go func() {
		bus, err := nats.Open(t.Context(), nc, opts)
		if err != nil {
			t.Error(err)
		}
		opened <- bus
	}()
	s := serve(t, dir, port)
	bus := <-opened
	require.NotNil(t, bus)
	defer func() { _ = bus.Close() }()
	q := bus.Queue()
	pushAll(t, q, "a", "b", "c")
	l := takeFrom(t, q, "a", 1)
	require.NoError(t, l.Extend(t.Context(), time.Hour))
	require.NoError(t, nats.CatchUp(t.Context(), q))
	require.NoError(t, s.Close())

	for name, call := range map[string]func(ctx context.Context) error{
		"push":    func(ctx context.Context) error { return q.Push(ctx, &nodebus.Prompt{ID: "x"}, nil) },
		"take":    func(ctx context.Context) error { _, err := q.Take(ctx, nobody); return err },
		"takeOne": func(ctx context.Context) error { _, err := q.TakeOne(ctx, "b"); return err },
		"move":    func(ctx context.Context) error { return q.Move(ctx, "b", 1) },
		"delete":  func(ctx context.Context) error { _, err := q.Delete(ctx, "b"); return err },
		"list":    func(ctx context.Context) error { _, err := all(q.List(ctx)); return err },
		"extend":  func(ctx context.Context) error { return l.Extend(ctx, time.Hour) },
		"done":    l.Done,
		"release": l.Release,
	} {
		ctx, stop := short()
		err := call(ctx)
		stop()
		require.ErrorIs(t, err, nats.ErrAway, name)
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
	}
	waiting, leased, err := q.Len(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{2, 1}, []int{waiting, leased})

	results := make(chan error, 3)
	go func() { results <- q.Push(t.Context(), &nodebus.Prompt{ID: "d"}, nil) }()
	go func() { results <- l.Done(t.Context()) }()
	go func() {
		b, err := q.Take(t.Context(), nobody)
		if err == nil {
			err = b.Done(t.Context())
		}
		results <- err
	}()
	serve(t, dir, port)
	for range 3 {
		require.NoError(t, <-results)
	}
	takeFrom(t, q, "c", 1)
	takeFrom(t, q, "d", 1)
	waiting, leased, err = q.Len(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{0, 2}, []int{waiting, leased})
}
