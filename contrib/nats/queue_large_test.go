package nats_test

import (
	"fmt"
	"maps"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func largePrompt(id string) *nodebus.Prompt {
	return &nodebus.Prompt{ID: id, Nodes: nodebus.Nodes{}, Extra: map[string]any{"x": strings.Repeat(id, 3<<20/len(id))}}
}

// kinds counts the messages of the stream by the kind of their subjects.
func kinds(t *testing.T, q flow.Queue) map[string]int {
	t.Helper()
	all := map[string]int{}
	for _, m := range messages(t, q) {
		all[strings.Split(m.Subject, ".")[2]]++
	}
	return all
}

// TestLarge pushes prompts that are larger than a message, and looks for what they leave.
func TestLarge(t *testing.T) {
	opts := nats.Options{Name: newName()}
	bus := open(t, shared, opts)
	q, other := bus.Queue(), open(t, shared, opts).Queue()
	for _, id := range []string{"done", "an id with spaces"} {
		require.NoError(t, q.Push(t.Context(), largePrompt(id), nil))
		require.ErrorIs(t, q.Push(t.Context(), largePrompt(id), nil), flow.ErrDuplicate)
	}
	require.NoError(t, nats.CatchUp(t.Context(), other))
	require.ErrorIs(t, other.Push(t.Context(), largePrompt("done"), nil), flow.ErrDuplicate)
	require.Equal(t, map[string]int{"p": 2, "c": 14}, kinds(t, q))
	l := takeFrom(t, other, "done", 1)
	require.Equal(t, jsonOf(largePrompt("done")), jsonOf(l.Job().Prompt))
	require.NoError(t, l.Done(t.Context()))
	gone, err := other.Delete(patient(t), "an id with spaces", "an id with spaces")
	require.NoError(t, err)
	require.Len(t, gone, 1)
	require.Equal(t, jsonOf(largePrompt("an id with spaces")), jsonOf(gone[0]))
	require.NoError(t, nats.CatchUp(t.Context(), q))
	require.NoError(t, nats.Sweep(t.Context(), q)) // what Done removes in the background
	require.Equal(t, map[string]int{"s": 2}, kinds(t, q))

	opts.Queue = &flow.QueueOptions{Bytes: 4 << 20}
	var invalid *nodebus.ValidationError
	err = open(t, shared, opts).Queue().Push(t.Context(), largePrompt("too large"), nil)
	require.ErrorAs(t, err, &invalid)
	require.Equal(t, "prompt_too_large", invalid.Type)
	require.EqualError(t, err, "nodebus: The prompt needs too much memory: it takes more than 2097152 bytes, which is all that one client may use of the queue; submit a smaller prompt, or raise QueueOptions.Bytes")
}

// put stores a message with a header, as a process does that is killed afterwards.
func put(t *testing.T, q flow.Queue, subject, header string) {
	t.Helper()
	js, err := jetstream.New(shared.Conn())
	require.NoError(t, err)
	m := natsMsg(nats.QueueStream(q).CachedInfo().Config.Name + "." + subject)
	if header != "" {
		m.Header.Set("Nb-Meta", header)
	}
	_, err = js.PublishMsg(t.Context(), m)
	require.NoError(t, err)
}

// TestSweep removes what processes leave that were killed.
func TestSweep(t *testing.T) {
	t.Run("parts without a prompt", func(t *testing.T) {
		q := open(t, shared, nats.Options{Name: newName()}).Queue()
		require.NoError(t, q.Push(t.Context(), largePrompt("stays"), nil))
		put(t, q, "iorphan.c.NAME.0", "")
		put(t, q, "istays.c.OTHER.0", "")
		require.NoError(t, nats.CatchUp(t.Context(), q))
		require.Equal(t, map[string]int{"p": 1, "c": 9}, kinds(t, q))
		for n := 0; kinds(t, q)["c"] > 7; n++ {
			require.LessOrEqual(t, n, nats.Orphans)
			require.NoError(t, nats.Sweep(t.Context(), q))
		}
		require.Equal(t, jsonOf(largePrompt("stays")), jsonOf(takeFrom(t, q, "stays", 1).Job().Prompt))
	})
	t.Run("a prompt that is done", func(t *testing.T) {
		opts := nats.Options{Name: newName()}
		q := open(t, shared, opts).Queue()
		pushAll(t, q, "a", "b")
		put(t, q, "ia.s", fmt.Sprintf(`{"id":"a","born":%d,"gone":true}`, messages(t, q)[0].Sequence))
		other := open(t, shared, opts).Queue()
		require.NoError(t, nats.Sweep(t.Context(), other))
		until(t, func() bool { return maps.Equal(map[string]int{"p": 1, "s": 1}, kinds(t, q)) }) // q sweeps, too
		takeFrom(t, q, "b", 1)
	})
	t.Run("a prompt whose end was not read", func(t *testing.T) {
		q := open(t, shared, nats.Options{Name: newName(), Queue: &flow.QueueOptions{Len: 4, PerClient: 4}}).Queue()
		pushAll(t, q, "a", "b", "c", "d")
		for _, m := range messages(t, q)[:3] {
			require.NoError(t, nats.QueueStream(q).DeleteMsg(t.Context(), m.Sequence))
		}
		pushAll(t, q, "b") // instead of a duplicate
		l := takeFrom(t, q, "d", 1)
		require.NoError(t, l.Release(t.Context()))
		require.NoError(t, nats.Sweep(t.Context(), q))
		waiting, _, err := q.Len(t.Context())
		require.NoError(t, err)
		require.Equal(t, 2, waiting)
	})
}
