package flow_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// sizedPrompt is a prompt with extra data of n bytes.
func sizedPrompt(id, client string, n int) *nodebus.Prompt {
	return &nodebus.Prompt{ID: id, ClientID: client, Extra: map[string]any{"x": strings.Repeat("x", n)}}
}

// TestQueueShares checks that a client that fills the queue leaves room for others, by
// number and by bytes, and that the errors say which limit it is.
func TestQueueShares(t *testing.T) {
	for name, c := range map[string]struct {
		opts flow.QueueOptions
		size int
		own  int    // prompts of one client that fit
		all  int    // prompts of many clients that fit
		says string // about one more prompt of the client
		full string // about one more prompt of anybody
	}{
		"half of Len": {
			flow.QueueOptions{Len: 10},
			10, 5, 10,
			`5 prompts of this client wait or run; submit again when one of them has ended, or raise QueueOptions.PerClient: prompt "own-5"`,
			`10 prompts wait or run; submit again later, or raise QueueOptions.Len: prompt "last"`,
		},
		"at least one": {
			flow.QueueOptions{Len: 1},
			10, 1, 1,
			`1 prompts wait or run; submit again later, or raise QueueOptions.Len: prompt "own-1"`, `1 prompts wait`,
		},
		"PerClient": {flow.QueueOptions{Len: 10, PerClient: 2}, 10, 2, 10, `2 prompts of this client wait`, `10 prompts wait`},
		"PerClient is at most Len": {
			flow.QueueOptions{Len: 3, PerClient: 20}, 10, 3, 3, `3 prompts wait`, `3 prompts wait`,
		},
		"half of Bytes": {
			flow.QueueOptions{Bytes: 1_000_000},
			98_000, 5, 10,
			"the prompts of this client that wait or run take 49", `take 98`,
		},
		"PerClient of Bytes": {
			flow.QueueOptions{Len: 100, PerClient: 20, Bytes: 1_000_000},
			98_000, 2, 10,
			"of 200000 bytes, and this prompt takes 98", "of 1000000 bytes, and this prompt takes 98",
		},
	} {
		t.Run(name, func(t *testing.T) {
			q := flow.NewQueue(&c.opts)
			push := func(id, client string) error { return q.Push(t.Context(), sizedPrompt(id, client, c.size), nil) }
			for i := range c.own {
				require.NoError(t, push(fmt.Sprint("own-", i), ""))
			}
			err := push(fmt.Sprint("own-", c.own), "")
			require.ErrorIs(t, err, flow.ErrFull)
			require.ErrorContains(t, err, c.says)
			for i := range c.all - c.own {
				require.NoError(t, push(fmt.Sprint("other-", i), fmt.Sprint("client ", i)), "others have room")
			}
			err = push("last", "another client")
			require.ErrorIs(t, err, flow.ErrFull)
			require.ErrorContains(t, err, c.full)

			taken, err := q.Take(t.Context(), func(client string) bool { return client != "" })
			require.NoError(t, err)
			require.ErrorIs(t, push("again", ""), flow.ErrFull, "a prompt that runs counts")
			require.NoError(t, taken.Done(t.Context()))
			require.NoError(t, push("again", ""), "a prompt that is done does not count")
			deleted, err := q.Delete(t.Context(), "again")
			require.NoError(t, err)
			require.Len(t, deleted, 1)
			require.NoError(t, push("again", ""), "a deleted prompt does not count")
		})
	}
}

// TestQueueOnePromptTooLarge checks the error about a prompt for which there will never be room.
func TestQueueOnePromptTooLarge(t *testing.T) {
	q := flow.NewQueue(&flow.QueueOptions{Bytes: 100_000})
	err := q.Push(t.Context(), sizedPrompt("a", "me", 50_000), nil)
	require.NotErrorIs(t, err, flow.ErrFull, "to submit it again does not help")
	require.EqualError(t, err, `nodebus: The prompt needs too much memory: it takes more than 50000 bytes, which is all that one client may use of the queue; submit a smaller prompt, or raise QueueOptions.Bytes`)
	tooLarge := func(err error) {
		var ve *nodebus.ValidationError
		require.ErrorAs(t, err, &ve)
		require.Equal(t, "prompt_too_large", ve.Type)
	}
	tooLarge(err)
	tooLarge(q.Push(t.Context(), sizedPrompt("a", "me", 10), map[string]string{"KEY": strings.Repeat("s", 50_000)})) // secrets count
	nodes := nodebus.Nodes{{ID: "1", Class: "A", Inputs: nodebus.Inputs{"x": []any{strings.Repeat("x", 50_000)}}}}
	tooLarge(q.Push(t.Context(), &nodebus.Prompt{ID: "a", Nodes: nodes}, nil)) // the graph counts
	require.NoError(t, q.Push(t.Context(), sizedPrompt("a", "me", 10), nil))
}

// TestQueueListKeepsNothing lists while the queue changes: prompts that have left the
// queue are not yielded, and prompts that stay are yielded exactly once, wherever they
// are by then.
func TestQueueListKeepsNothing(t *testing.T) {
	q := flow.NewQueue(nil)
	push := func(ids ...string) {
		for _, id := range ids {
			require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: id}, nil))
		}
	}
	take := func(want string) flow.Lease {
		l, err := q.Take(t.Context(), func(string) bool { return false })
		require.NoError(t, err)
		require.Equal(t, want, l.Job().Prompt.ID)
		return l
	}
	push("leased", "done", "gone", "again", "moved", "taken", "last")
	leased, done := take("leased"), take("done")
	var got []string
	for p, err := range q.List(t.Context()) {
		require.NoError(t, err)
		got = append(got, fmt.Sprint(p.Prompt.ID, " ", p.Leased))
		if p.Prompt.ID != "leased" {
			continue
		}
		require.NoError(t, done.Done(t.Context()))
		_, err := q.Delete(t.Context(), "gone", "again")
		require.NoError(t, err)
		push("again", "new")
		require.NoError(t, q.Move(t.Context(), "moved", -5))
		require.NoError(t, leased.Release(t.Context()))
		take("moved")
	}
	require.Equal(t, []string{"leased true", "moved false", "taken false", "last false"}, got)
}
