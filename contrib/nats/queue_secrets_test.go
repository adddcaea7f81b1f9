package nats_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// messages returns what the stream of a queue has.
func messages(t *testing.T, q flow.Queue) (all []*jetstream.RawStreamMsg) {
	t.Helper()
	stream, seq := nats.QueueStream(q), uint64(1)
	for {
		m, err := stream.GetMsg(t.Context(), seq, jetstream.WithGetMsgSubject(">"))
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return all
		}
		require.NoError(t, err)
		all, seq = append(all, m), m.Sequence+1
	}
}

// TestSecrets checks that the stream has no secret that can be read, also of a large prompt.
func TestSecrets(t *testing.T) {
	const secret = "s3cret-that-nobody-else-knows"
	opts := withKey()
	q := open(t, shared, opts).Queue()
	large := &nodebus.Prompt{ID: "large", Extra: map[string]any{"x": strings.Repeat("y", 1<<20)}}
	for _, p := range []*nodebus.Prompt{{ID: "small"}, large} {
		require.NoError(t, q.Push(t.Context(), p, map[string]string{"API_KEY": secret}))
	}
	found := messages(t, q)
	require.Greater(t, len(found), 3)
	for _, m := range found {
		require.False(t, bytes.Contains(m.Data, []byte("s3cret")), m.Subject)
		require.NotContains(t, m.Header.Get("Nb-Meta"), "s3cret")
		require.NotContains(t, m.Header.Get("Nb-Meta"), "API_KEY", "a random name has no such text")
	}
	other := open(t, shared, opts).Queue()
	for _, id := range []string{"small", "large"} {
		l := takeFrom(t, other, id, 1)
		require.Equal(t, map[string]string{"API_KEY": secret}, l.Job().Secrets)
	}
}

// TestKeys opens the queue with no key and with another key: prompts with secrets are left to
// processes that can read them, and so are later prompts of their client.
func TestKeys(t *testing.T) {
	opts := withKey()
	q := open(t, shared, opts).Queue()
	require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: "secret", ClientID: "ann"}, map[string]string{"KEY": "x"}))
	require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: "ended", ClientID: "ann"}, map[string]string{"KEY": "x"}))
	require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: "later", ClientID: "ann"}, nil))
	for name, key := range map[string][]byte{"without a key": nil, "with another key": bytes.Repeat([]byte{7}, 32)} {
		t.Run(name, func(t *testing.T) {
			opts := opts
			opts.SecretKey = key
			other := open(t, shared, opts).Queue()
			require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: "free", ClientID: "bob"}, nil))
			require.NoError(t, nats.CatchUp(t.Context(), other))
			require.NoError(t, takeFrom(t, other, "free", 1).Done(t.Context()))
			l, err := other.TakeOne(t.Context(), "ended")
			require.NoError(t, err, "an engine can end the prompt")
			require.Empty(t, l.Job().Secrets)
			require.NoError(t, l.Release(t.Context()))
			require.NoError(t, nats.CatchUp(t.Context(), q))
		})
	}
	opts.SecretKey = nil
	err := open(t, shared, opts).Queue().Push(t.Context(), &nodebus.Prompt{ID: "refused"}, map[string]string{"KEY": "x"})
	require.ErrorIs(t, err, flow.ErrSecrets)
	for _, id := range []string{"secret", "ended", "later"} {
		takeFrom(t, q, id, 1)
	}
}

// TestQueueClosed checks that every call after Close returns ErrClosed, and that a Take that
// waits ends. When the stream is deleted, every call returns ErrOtherStream.
func TestQueueEnds(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(bus *nats.Bus)
		want error
	}{
		"closed": {func(bus *nats.Bus) { require.NoError(t, bus.Close()) }, nodebus.ErrClosed},
		"deleted": {func(bus *nats.Bus) {
			js, err := jetstream.New(shared.Conn())
			require.NoError(t, err)
			cfg := nats.QueueStream(bus.Queue()).CachedInfo().Config
			require.NoError(t, js.DeleteStream(t.Context(), cfg.Name))
			cfg.Metadata["nodebus-epoch"] = "another"
			_, err = js.CreateStream(t.Context(), cfg)
			require.NoError(t, err)
		}, nats.ErrOtherStream},
	} {
		t.Run(name, func(t *testing.T) {
			bus := open(t, shared, nats.Options{Name: newName()})
			q, ctx := bus.Queue(), t.Context()
			pushAll(t, q, "a")
			l := takeFrom(t, q, "a", 1)
			waits := make(chan error)
			go func() { _, err := q.Take(ctx, nobody); waits <- err }()
			c.end(bus)
			require.ErrorIs(t, <-waits, c.want)
			for name, call := range map[string]func() error{
				"push":    func() error { return q.Push(ctx, &nodebus.Prompt{ID: "b"}, nil) },
				"take":    func() error { _, err := q.Take(ctx, nobody); return err },
				"takeOne": func() error { _, err := q.TakeOne(ctx, "a"); return err },
				"move":    func() error { return q.Move(ctx, "a", 1) },
				"delete":  func() error { _, err := q.Delete(ctx, "a"); return err },
				"nothing": func() error { _, err := q.Delete(ctx); return err },
				"len":     func() error { _, _, err := q.Len(ctx); return err },
				"list":    func() error { _, err := all(q.List(ctx)); return err },
				"extend":  func() error { return l.Extend(ctx, 1) },
				"done":    func() error { return l.Done(context.Background()) },
				"release": func() error { return l.Release(ctx) },
			} {
				require.ErrorIs(t, call(), c.want, name)
			}
		})
	}
}
