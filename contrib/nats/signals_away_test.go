package nats_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func init() { children["receives"] = onBus(receives) }

// receives receives the signals of prompt p, and says their names.
func receives(bus *nats.Bus, say func(...any)) {
	_, err := bus.Signals().Receive("p", func(x flow.Signal) error { say(x.Name); return nil })
	must(err)
	say("ready")
}

// briefly returns a context that ends soon.
func briefly(t *testing.T) context.Context {
	ctx, stop := context.WithTimeout(t.Context(), 1500*time.Millisecond)
	t.Cleanup(stop)
	return ctx
}

// stored returns the number of messages of a stream.
func stored(t *testing.T, s *embed.Server, stream string) uint64 { return state(t, s, stream).Msgs }

func state(t *testing.T, s *embed.Server, stream string) jetstream.StreamState {
	t.Helper()
	js, err := jetstream.New(s.Conn())
	require.NoError(t, err)
	x, err := js.Stream(t.Context(), stream)
	require.NoError(t, err)
	return x.CachedInfo().State
}

// TestReceiverIsKilled kills the process of a receiver again and again: what it has said
// is kept, and the process that follows gets all of it.
func TestReceiverIsKilled(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	opts := nats.Options{Name: newName()}
	sender := open(t, s, opts).Signals()
	var sent []string
	for n := range 3 {
		p := start(t, "receives", fmt.Sprint(url, " ", opts.Name, " node", n))
		for _, name := range append(append([]string{}, sent...), "ready") {
			require.Equal(t, []string{name}, p.line(t))
		}
		sent = append(sent, fmt.Sprint("live", n), fmt.Sprint("dead", n))
		require.NoError(t, sender.Send(t.Context(), named(sent[len(sent)-2])))
		require.Equal(t, sent[len(sent)-2:len(sent)-1], p.line(t))
		p.kill()
		require.NoError(t, sender.Send(t.Context(), named(sent[len(sent)-1])))
	}
	require.Equal(t, sent, keeps(t, sender))
}

// TestReceiverIsCutOff: the process of the receiver lives, but hears nothing. Send fails,
// and the signal does not come when the process hears again. The receiver then works on.
func TestReceiverIsCutOff(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	opts := nats.Options{Name: newName()}
	sender, l := open(t, s, opts).Signals(), newLine()
	away, box := openOn(t, l, url, opts), &inbox{}
	_, err := away.Signals().Receive("p", box.receive)
	require.NoError(t, err)
	require.NoError(t, sender.Send(t.Context(), named("one")))
	l.set(true, false)
	require.ErrorIs(t, sender.Send(briefly(t), named("two")), context.DeadlineExceeded)
	l.set(false, false)
	require.NoError(t, sender.Send(t.Context(), named("three")))
	box.comes(t, "one", "three")
	require.Equal(t, []string{"one", "three"}, keeps(t, sender))
}

// TestAnswersAreLost loses what the server says to the process of the receiver just when it
// stores a signal: the sender learns from the stream that the signal is kept.
func TestAnswersAreLost(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	for _, direction := range []string{"in the process of the receiver", "in the process of the sender"} {
		t.Run(direction, func(t *testing.T) {
			opts := nats.Options{Name: newName()}
			l, box := newLine(), &inbox{}
			sender, receiver := open(t, s, opts).Signals(), openOn(t, l, url, opts).Signals()
			if direction == "in the process of the sender" {
				sender, receiver = receiver, sender
			}
			_, err := receiver.Receive("p", box.receive)
			require.NoError(t, err)
			require.NoError(t, sender.Send(t.Context(), named("one")))
			text := ".kept.ip"
			if direction == "in the process of the sender" {
				text = ".ask.ip"
			}
			heard := l.deafAt(text)
			sent := make(chan error, 1)
			ctx, stop := context.WithCancel(t.Context())
			go func() { sent <- sender.Send(ctx, named("two")) }()
			if <-heard; direction == "in the process of the sender" {
				l.set(false, false)
			} else {
				for stored(t, s, opts.Name+"_SIGNALS") < 2 {
					time.Sleep(time.Millisecond)
				}
				stop()
			}
			require.NoError(t, <-sent)
			stop()
			l.set(false, false)
			require.NoError(t, sender.Send(t.Context(), named("three")))
			box.comes(t, "one", "two", "three")
			for _, x := range []flow.Signals{sender, receiver} {
				require.Equal(t, []string{"one", "two", "three"}, keeps(t, x))
			}
		})
	}
}

// TestSignalsAndStoreAway stops the server in the middle: calls fail clearly when their
// context ends, and succeed if the server comes back earlier. A receiver goes on.
func TestSignalsAndStoreAway(t *testing.T) {
	t.Parallel()
	port, dir := freePort(t), t.TempDir()
	s, url := serve(t, dir, port), fmt.Sprint("nats://127.0.0.1:", port)
	opts := nats.Options{Name: newName()}
	a, b := openOn(t, newLine(), url, opts), openOn(t, newLine(), url, opts)
	box := &inbox{}
	_, err := a.Signals().Receive("p", box.receive)
	require.NoError(t, err)
	require.NoError(t, b.Signals().Send(t.Context(), named("before")))
	require.NoError(t, b.Store().Put(t.Context(), ended("before", 1, 10)))
	require.NoError(t, s.Close())

	calls := map[string]func(ctx context.Context) error{
		"put":    func(ctx context.Context) error { return b.Store().Put(ctx, ended("away", 1, 10)) },
		"get":    func(ctx context.Context) error { _, err := b.Store().Get(ctx, "before"); return err },
		"send":   func(ctx context.Context) error { return b.Signals().Send(ctx, named("away")) },
		"here":   func(ctx context.Context) error { return a.Signals().Send(ctx, named("here")) },
		"drop":   func(ctx context.Context) error { return b.Signals().Drop(ctx, "nobody") },
		"delete": func(ctx context.Context) error { return b.Store().Delete(ctx, "nobody") },
		"list": func(ctx context.Context) error {
			for _, err := range b.Store().List(ctx) {
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	t.Run("away", func(t *testing.T) {
		for name, call := range calls {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				err := call(briefly(t))
				require.ErrorIs(t, err, nats.ErrAway)
				require.ErrorIs(t, err, context.DeadlineExceeded)
			})
		}
		t.Run("without a deadline", func(t *testing.T) {
			t.Parallel()
			_, err := b.Signals().Receive("q", box.receive)
			require.ErrorIs(t, err, nats.ErrAway)
		})
	})
	results := make(chan error, len(calls))
	for _, call := range calls {
		go func() { results <- call(t.Context()) }()
	}
	serve(t, dir, port)
	for range calls {
		require.NoError(t, <-results)
	}
	require.ElementsMatch(t, []string{"before", "away", "here"}, box.got())
	require.Equal(t, []string{"away#1", "before#1"}, recordsOf(t, a.Store()))
	require.Equal(t, box.got(), keeps(t, b.Signals()))
}

// TestOpenWaits opens a bus before its server is there.
func TestOpenWaits(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	nc, err := nats.Connect(fmt.Sprint("nats://127.0.0.1:", port))
	require.NoError(t, err)
	defer nc.Close()
	opts := &nats.Options{Name: newName(), Logger: quiet, LogBytes: 64 << 20}
	_, err = nats.Open(briefly(t), nc, opts)
	require.ErrorIs(t, err, nats.ErrAway)
	opened := make(chan error, 1)
	var bus *nats.Bus
	go func() {
		var err error
		bus, err = nats.Open(t.Context(), nc, opts)
		opened <- err
	}()
	serve(t, t.TempDir(), port)
	require.NoError(t, <-opened)
	defer bus.Close()
	require.NoError(t, bus.Store().Put(t.Context(), ended("p", 1, 10)))
	require.Equal(t, []string{"p#1"}, recordsOf(t, bus.Store()))
}
