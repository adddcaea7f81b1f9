package nats_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestCoalescersOfCallers publishes a payload of a caller that replaces earlier ones. It does
// so in all processes, not only in the one that publishes.
func TestCoalescersOfCallers(t *testing.T) {
	opts := nats.Options{Name: newName()}
	a, b := open(t, shared, opts).Log(), open(t, shared, opts).Log()
	for n := range 100 {
		require.NoError(t, a.Append(about("1", ownKey{"k", n})))
	}
	flush(t, a)
	_, stop, err := b.Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	for name, l := range map[string]nodebus.Log{"own": a, "other": b, "later": open(t, shared, opts).Log()} {
		page, err := l.Read(nodebus.LogQuery{Prompts: []string{"1"}, UpTo: 1 << 62})
		require.NoError(t, err)
		if len(page.Events) != 1 {
			t.Errorf("%s: %d events", name, len(page.Events))
		}
		require.JSONEq(t, `{"type":"progress","data":{"key":"k","data":99}}`, frame(t, page.Events[len(page.Events)-1]))
	}
}

// TestStrangeIDs uses ids that subjects and headers cannot have.
func TestStrangeIDs(t *testing.T) {
	opts := nats.Options{Name: newName(), SecretKey: make([]byte, 32)}
	a, b := open(t, shared, opts), open(t, shared, opts)
	for _, id := range []string{
		"", ".", "*", ">", " ", "\r\n", "a\r\nNats-Rollup: all", "\x7f", "\u0085", "\u2028", "é", "$JS.API", strings.Repeat("\x01", 4096), strings.Repeat("é", 2048),
		"i", "x", "ia", " a ", "\ufeff", strings.Repeat("a", 64), strings.Repeat("a", 65), "A", "a",
	} {
		ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
		p := &nodebus.Prompt{ID: id, ClientID: id}
		require.NoError(t, a.Queue().Push(ctx, p, map[string]string{id: id}), "%q", id)
		require.ErrorIs(t, b.Queue().Push(ctx, p, nil), flow.ErrDuplicate)
		require.NoError(t, a.Signals().Send(ctx, flow.Signal{PromptID: id, Node: id, Name: id, Answer: json.RawMessage(`1`)}))
		l, err := b.Queue().Take(ctx, nobody)
		require.NoError(t, err)
		require.Equal(t, id, l.Job().Prompt.ID)
		require.Equal(t, map[string]string{id: id}, l.Job().Secrets)
		got := make(chan flow.Signal, 1)
		end, err := b.Signals().Receive(id, func(s flow.Signal) error { got <- s; return nil })
		require.NoError(t, err)
		require.Equal(t, id, (<-got).Name)
		end()
		require.NoError(t, b.Log().Append(nodebus.Event{PromptID: id, To: id, Broadcast: id == "", Payload: said(1)}))
		require.NoError(t, b.Store().Put(ctx, flow.Record{Prompt: p, State: nodebus.Succeeded}))
		r, err := a.Store().Get(ctx, id)
		require.NoError(t, err)
		require.Equal(t, id, r.Prompt.ID)
		require.NoError(t, l.Done(ctx))
		require.NoError(t, b.Signals().Drop(ctx, id))
		stop()
	}
}
