package nats_test

import (
	"context"
	"errors"
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
	t.Parallel()
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	for name, c := range lostAnswers {
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
				require.NoError(t, c.call(t.Context(), q, l))
				require.NoError(t, nats.CatchUp(t.Context(), other))
				require.Equal(t, c.want, listed(t, q))
				require.Equal(t, c.want, listed(t, other))
			})
		}
	}
}

// lostAnswers are calls for a queue with the leased prompt "leased" and the prompt "waits",
// and what List then yields: a + means that the prompt is leased.
var lostAnswers = map[string]struct {
	call func(ctx context.Context, q flow.Queue, l flow.Lease) error
	want []string
}{
	"push": {func(ctx context.Context, q flow.Queue, _ flow.Lease) error {
		return q.Push(ctx, &nodebus.Prompt{ID: "new"}, nil)
	}, []string{"leased+", "waits", "new"}},
	"take": {func(ctx context.Context, q flow.Queue, _ flow.Lease) error {
		l, err := q.Take(ctx, nobody)
		if err != nil {
			return err
		}
		return l.Extend(ctx, time.Hour)
	}, []string{"leased+", "waits+"}},
	"move": {func(ctx context.Context, q flow.Queue, _ flow.Lease) error {
		return q.Move(ctx, "waits", 1)
	}, []string{"leased+", "waits"}},
	"delete": {func(ctx context.Context, q flow.Queue, _ flow.Lease) error {
		_, err := q.Delete(ctx, "waits")
		return err
	}, []string{"leased+"}},
	"extend": {func(ctx context.Context, _ flow.Queue, l flow.Lease) error {
		return errors.Join(l.Extend(ctx, time.Hour), l.Extend(ctx, 2*time.Hour))
	}, []string{"leased+", "waits"}},
	"release": {func(ctx context.Context, _ flow.Queue, l flow.Lease) error { return l.Release(ctx) }, []string{"leased", "waits"}},
	"done":    {func(ctx context.Context, _ flow.Queue, l flow.Lease) error { return l.Done(ctx) }, []string{"waits"}},
}

// listed returns what List yields. No lease has lapsed.
func listed(t *testing.T, q flow.Queue) (ids []string) {
	t.Helper()
	for x, err := range q.List(t.Context()) {
		require.NoError(t, err)
		require.Equal(t, 1, x.Attempt)
		id := x.Prompt.ID
		if x.Leased {
			id += "+"
		}
		ids = append(ids, id)
	}
	return ids
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

// TestPushUnread deletes a prompt in another process before the process that pushes it has
// read its own message, which never comes then. The id is free again.
func TestPushUnread(t *testing.T) {
	port := freePort(t)
	s, opts := serve(t, t.TempDir(), port), nats.Options{Name: newName(), Queue: &flow.QueueOptions{Len: 1}}
	line, other := newLine(), open(t, s, opts).Queue()
	q := openOn(t, line, fmt.Sprint("nats://127.0.0.1:", port), opts).Queue()
	deaf := line.deafAt("PUB " + opts.Name + "_QUEUE.ia.p")
	pushed := make(chan error, 1)
	go func() { pushed <- q.Push(t.Context(), &nodebus.Prompt{ID: "a"}, nil) }()
	<-deaf
	for {
		gone, err := other.Delete(t.Context(), "a")
		require.NoError(t, err)
		if len(gone) == 1 {
			break
		}
		require.NoError(t, nats.CatchUp(t.Context(), other))
	}
	line.set(false, false)
	require.NoError(t, <-pushed)
	pushAll(t, q, "a")
	require.ErrorIs(t, q.Push(t.Context(), &nodebus.Prompt{ID: "b"}, nil), flow.ErrFull)
	require.NoError(t, takeFrom(t, q, "a", 1).Done(t.Context()))
	pushAll(t, q, "b")
}

// TestQueueAway stops the server: calls wait, at most until their contexts end.
func TestQueueAway(t *testing.T) {
	t.Parallel()
	port, dir := freePort(t), t.TempDir()
	s := serve(t, dir, port)
	q := openOn(t, newLine(), fmt.Sprint("nats://127.0.0.1:", port), nats.Options{Name: newName()}).Queue()
	pushAll(t, q, "a", "b", "c")
	l := takeFrom(t, q, "a", 1)
	require.NoError(t, l.Extend(t.Context(), time.Hour))
	require.NoError(t, nats.CatchUp(t.Context(), q))
	require.NoError(t, s.Close())
	callsEnd(t, q, l)
	require.Equal(t, []int{2, 1}, lengths(t, q))

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
	require.Equal(t, []int{0, 2}, lengths(t, q))
}

func lengths(t *testing.T, q flow.Queue) []int {
	t.Helper()
	waiting, leased, err := q.Len(t.Context())
	require.NoError(t, err)
	return []int{waiting, leased}
}

// callsEnd checks that calls end with their contexts, and tell why.
func callsEnd(t *testing.T, q flow.Queue, l flow.Lease) {
	t.Helper()
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
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := call(ctx)
		stop()
		require.ErrorIs(t, err, nats.ErrAway, name)
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
	}
}
