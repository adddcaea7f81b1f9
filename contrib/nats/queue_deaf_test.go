package nats_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestPushByADeafProcess pushes an id again at a process that has not read that another
// process has pushed it, and has taken it: no prompt that lives is replaced.
func TestPushByADeafProcess(t *testing.T) {
	for _, large := range []int{0, 700 << 10} {
		opts := nats.Options{Name: newName()}
		bus := open(t, shared, opts)
		deaf, b, c := bus.Queue(), open(t, shared, opts).Queue(), open(t, shared, opts).Queue()
		pushAll(t, deaf, "before")
		require.NoError(t, takeFrom(t, deaf, "before", 1).Done(t.Context()))
		nats.StopReading(bus, "QUEUE")
		require.NoError(t, b.Push(t.Context(), &nodebus.Prompt{ID: "p", ClientID: "first"}, nil))
		again := &nodebus.Prompt{ID: "p", ClientID: "again", Extra: map[string]any{"x": strings.Repeat("x", large)}}
		require.ErrorIs(t, deaf.Push(t.Context(), again, nil), flow.ErrDuplicate, "it waits")
		held := takeFrom(t, b, "p", 1)
		require.ErrorIs(t, deaf.Push(t.Context(), again, nil), flow.ErrDuplicate, "it runs")
		require.NoError(t, nats.CatchUp(t.Context(), c))
		require.Equal(t, []int{0, 1}, lengths(t, c))
		require.NoError(t, held.Extend(t.Context(), time.Minute))
		require.Equal(t, "first", held.Job().Prompt.ClientID)
		require.NoError(t, held.Done(t.Context()))
		require.NoError(t, deaf.Push(t.Context(), again, nil), "it has left the queue")
		require.NoError(t, nats.CatchUp(t.Context(), c))
		require.Equal(t, "again", takeFrom(t, c, "p", 1).Job().Prompt.ClientID)
	}
}

// TestPushOverAnEnd pushes an id whose prompt has left the queue, and is still in the stream.
func TestPushOverAnEnd(t *testing.T) {
	opts := nats.Options{Name: newName()}
	bus := open(t, shared, opts)
	deaf, b := bus.Queue(), open(t, shared, opts).Queue()
	nats.StopReading(bus, "QUEUE")
	pushAll(t, b, "p")
	require.NoError(t, nats.EndAsKilled(t.Context(), takeFrom(t, b, "p", 1)))
	pushAll(t, deaf, "p")
	require.NoError(t, nats.CatchUp(t.Context(), b))
	require.NoError(t, takeFrom(t, b, "p", 1).Done(t.Context()))
}

// TestDeafCallsEnd calls a process that does not read what it has stored: no call waits for ever.
func TestDeafCallsEnd(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName()})
	q := bus.Queue()
	pushAll(t, q, "before")
	held := takeFrom(t, q, "before", 1)
	nats.StopReading(bus, "QUEUE")
	pushAll(t, q, "p")
	require.NoError(t, held.Done(t.Context()))
	for name, call := range map[string]func(context.Context) error{
		"len":  func(ctx context.Context) error { _, _, err := q.Len(ctx); return err },
		"list": func(ctx context.Context) error { _, err := all(q.List(ctx)); return err },
		"take": func(ctx context.Context) error { _, err := q.Take(ctx, nobody); return err },
	} {
		ctx, stop := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := call(ctx)
		stop()
		require.ErrorIs(t, err, nats.ErrAway, name)
		require.ErrorIs(t, err, context.DeadlineExceeded, name)
	}
}

// TestSweepOfAnotherStream makes the stream of a queue again, with new prompts: what a process
// remembers of the stream before removes none of them.
func TestSweepOfAnotherStream(t *testing.T) {
	opts := nats.Options{Name: newName()}
	bus := open(t, shared, opts)
	q := bus.Queue()
	pushAll(t, q, "a", "b", "c")
	for _, id := range []string{"a", "b", "c"} {
		require.NoError(t, nats.EndAsKilled(t.Context(), takeFrom(t, q, id, 1)))
	}
	require.NoError(t, nats.CatchUp(t.Context(), q))
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	require.NoError(t, js.DeleteStream(t.Context(), opts.Name+"_QUEUE"))
	fresh := open(t, shared, opts).Queue()
	pushAll(t, fresh, "c", "b", "a", "d")
	require.ErrorIs(t, nats.Sweep(t.Context(), q), nats.ErrOtherStream)
	require.NoError(t, nats.CatchUp(t.Context(), fresh))
	for _, id := range []string{"c", "b", "a", "d"} {
		takeFrom(t, fresh, id, 1)
	}
}

// TestLenOfADeafProcess counts at a process that has not read what it has stored: what it has
// pushed counts at once, and for other changes Len waits.
func TestLenOfADeafProcess(t *testing.T) {
	opts := nats.Options{Name: newName()}
	bus := open(t, shared, opts)
	deaf, other := bus.Queue(), open(t, shared, opts).Queue()
	pushAll(t, deaf, "before", "waits")
	held := takeFrom(t, deaf, "before", 1)
	require.Equal(t, []int{1, 1}, lengths(t, deaf))
	nats.StopReading(bus, "QUEUE")
	pushAll(t, deaf, "one", "two")
	require.Equal(t, []int{3, 1}, lengths(t, deaf))
	require.NoError(t, nats.CatchUp(t.Context(), other))
	l, err := other.TakeOne(t.Context(), "one")
	require.NoError(t, err)
	require.NoError(t, l.Done(t.Context()))
	require.Equal(t, []int{3, 1}, lengths(t, deaf), "changes of others come later")
	until(t, func() bool { // the prompt leaves the stream
		require.NoError(t, nats.ForgetGone(t.Context(), deaf))
		return slices.Equal([]int{2, 1}, lengths(t, deaf))
	})

	require.NoError(t, held.Done(t.Context()))
	ctx, stop := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer stop()
	_, _, err = deaf.Len(ctx)
	require.ErrorIs(t, err, nats.ErrAway, "it has to read that a prompt has ended")
}
