package nats_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestIDs checks that each id, and the same text as a secret, is refused, or is the same in
// another process. JSON cannot hold bytes that are not UTF-8.
func TestIDs(t *testing.T) {
	for name, ids := range map[string][]string{
		"empty":       {""},
		"zero bytes":  {"a", "a\x00", "a\x00b", "\x00"},
		"separators":  {"a/b", "a.b", "i", "ia", "*", ">", "\r\n"},
		"not UTF-8":   {"a\xff", "a\xfe", "a\ufffd", "\xed\xa0\x80"},
		"long":        {strings.Repeat("x", 4096), strings.Repeat("x", 4097), strings.Repeat("x", 40_000)},
		"other texts": {"ä", "日本", "<&>", "\u2028", "\\", "\""},
	} {
		t.Run(name, func(t *testing.T) {
			opts := withKey()
			bus, other, ctx := open(t, shared, opts), open(t, shared, opts), t.Context()
			for _, id := range ids {
				p := &nodebus.Prompt{ID: id, ClientID: "ann"}
				err := bus.Queue().Push(ctx, p, map[string]string{"KEY\xff": id + "\xff"})
				put := bus.Store().Put(ctx, flow.Record{Prompt: p, State: nodebus.Succeeded})
				send := bus.Signals().Send(ctx, flow.Signal{PromptID: id, Node: "1"})
				if err != nil {
					var refused *nodebus.ValidationError
					require.ErrorAs(t, err, &refused)
					require.Equal(t, "invalid_id", refused.Type)
					require.Error(t, put)
					require.Error(t, send)
					require.True(t, len(id) > 4096 || strings.ToValidUTF8(id, "") != id, "%q", id)
					_, err = other.Store().Get(ctx, id)
					require.ErrorIs(t, err, flow.ErrNotFound)
					require.NoError(t, other.Store().Delete(ctx, id))
					require.NoError(t, other.Signals().Drop(ctx, id))
					continue
				}
				require.NoError(t, errors.Join(put, send))
				require.NoError(t, nats.CatchUp(ctx, other.Queue()))
				l := takeFrom(t, other.Queue(), id, 1)
				require.Equal(t, map[string]string{"KEY\xff": id + "\xff"}, l.Job().Secrets)
				r, err := other.Store().Get(ctx, id)
				require.NoError(t, err)
				require.Equal(t, id, r.Prompt.ID)
				var signal flow.Signal
				stop, err := other.Signals().Receive(id, func(s flow.Signal) error { signal = s; return nil })
				require.NoError(t, err)
				stop()
				require.Equal(t, flow.Signal{PromptID: id, Node: "1"}, signal)
				require.NoError(t, l.Done(ctx))
			}
			var refused *nodebus.ValidationError
			require.ErrorAs(t, bus.Queue().Push(ctx, &nodebus.Prompt{ID: "client", ClientID: "\xff"}, nil), &refused)
		})
	}
}
