package nats_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestMoves moves a prompt by two processes in turn: no Move that returns nil is lost,
// although a process may not have read the Move of the other one.
func TestMoves(t *testing.T) {
	opts := nats.Options{Name: newName()}
	both := []flow.Queue{open(t, shared, opts).Queue(), open(t, shared, opts).Queue()}
	pushAll(t, both[0], "p")
	require.NoError(t, nats.CatchUp(t.Context(), both[1]))
	for n := 1; n <= 300; n++ {
		q := both[n%2]
		require.NoError(t, q.Move(t.Context(), "p", float64(n)))
		m := messages(t, q)
		require.Contains(t, m[len(m)-1].Header.Get("Nb-Meta"), fmt.Sprintf(`"priority":%d,`, n))
	}
}

// TestTakeAfterUnreadable checks that a Take goes on when a prompt that it cannot take has
// left the queue: it takes the later prompts of the client.
func TestTakeAfterUnreadable(t *testing.T) {
	opts := withKey()
	bus := open(t, shared, opts)
	opts.SecretKey = nil
	other := open(t, shared, opts)
	push := func(id string, secrets map[string]string) {
		require.NoError(t, bus.Queue().Push(t.Context(), &nodebus.Prompt{ID: id, ClientID: "ann"}, secrets))
	}
	push("secret", map[string]string{"KEY": "x"})
	require.NoError(t, bus.Queue().Push(t.Context(), &nodebus.Prompt{ID: "bob", ClientID: "bob"}, nil))
	require.NoError(t, nats.CatchUp(t.Context(), other.Queue()))
	taken, asked := make(chan string, 1), make(chan struct{})
	go func() {
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		l, err := other.Queue().Take(ctx, func(client string) bool {
			if client == "bob" {
				close(asked) // the secret prompt was looked at before
			}
			return client == "bob"
		})
		if err != nil {
			taken <- err.Error()
			return
		}
		taken <- l.Job().Prompt.ID
	}()
	<-asked
	_, err := bus.Queue().Delete(t.Context(), "secret")
	require.NoError(t, err)
	push("later", nil)
	require.Equal(t, "later", <-taken)
}

// TestQueueMissesPrompts lets a prompt and its end, and a later prompt with the id, be gone
// before this process reads them: the first thing that it reads is the end of the later one.
func TestQueueMissesPrompts(t *testing.T) {
	opts := nats.Options{Name: newName()}
	q := open(t, shared, opts).Queue()
	pushAll(t, q, "p", "other")
	m := natsMsg(opts.Name + "_QUEUE.ip.s")
	m.Header.Set("Nb-Meta", `{"id":"p","born":1000,"gone":true}`)
	nc := connect(t, shared)
	_, err := nc.RequestMsgWithContext(t.Context(), m)
	require.NoError(t, err)
	require.NoError(t, nats.CatchUp(t.Context(), q))
	waiting, leased, err := q.Len(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{waiting, leased}, "the first prompt has left the queue")
}
