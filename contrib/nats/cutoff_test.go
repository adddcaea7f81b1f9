package nats_test

import (
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// takeLapsed takes a prompt whose lease another process has, and does not extend.
func takeLapsed(t *testing.T, b *nats.Bus, id string) flow.Lease {
	t.Helper()
	for {
		l, err := b.Queue().TakeOne(t.Context(), id)
		if err == nil {
			return l
		}
		require.ErrorIs(t, err, flow.ErrNotFound, "until the lease has lapsed")
		require.NoError(t, nats.CatchUp(t.Context(), b.Queue()))
	}
}

// TestCutOffForLongerThanALease: a process is cut off alone, and its events wait. Another process
// takes its prompt, or deletes it, and tells the end. When the first process is back, nobody
// receives what has waited: clients have each end once, and no start after it.
func TestCutOffForLongerThanALease(t *testing.T) {
	interrupted := []nodebus.Event{about("p", nodebus.ExecutionInterrupted{PromptID: "p"}), ending("p")}
	for i := range interrupted {
		interrupted[i].Attempt = 1
	}
	all := attemptOf("p", 1, 1, true)
	take := func(t *testing.T, b *nats.Bus) {
		l := takeLapsed(t, b, "p")
		require.Equal(t, 2, l.Job().Attempt)
	}
	for name, c := range map[string]struct {
		stored int // of the events of the process before it is cut off
		take   func(*testing.T, *nats.Bus)
		told   []nodebus.Event // by the other process
		want   []string
	}{
		"its end waits, and another process repeats it": {
			2, take, all[2:],
			[]string{"1 execution_start", "1 said 1", "1 execution_success", "1 executing"},
		},
		"its last event waits, and another process repeats it": {
			3, take, all[3:],
			[]string{"1 execution_start", "1 said 1", "1 execution_success", "1 executing"},
		},
		"its start waits, and the prompt is interrupted": {
			0, take, interrupted,
			[]string{"1 execution_interrupted", "1 executing"},
		},
		"its start waits, and the prompt is deleted": {
			0, func(t *testing.T, b *nats.Bus) {
				for n := 0; n == 0; { // until its lease has lapsed
					deleted, err := b.Queue().Delete(t.Context(), "p")
					require.NoError(t, err)
					n = len(deleted)
				}
			}, interrupted,
			[]string{"1 execution_interrupted", "1 executing"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := nats.Options{Name: newName(), Logger: quiet}
			gate, late := openAt(t, opts)
			other := open(t, shared, opts)
			next := follow(t, other.Log())
			pushAll(t, late.Queue(), "p")
			l, err := late.Queue().TakeOne(t.Context(), "p")
			require.NoError(t, err)
			appendAll(t, late.Log(), all[:c.stored])
			flush(t, late.Log())
			require.NoError(t, l.Extend(t.Context(), time.Millisecond))
			gate.set(true)
			appendAll(t, late.Log(), all[c.stored:])
			c.take(t, other)
			appendAll(t, other.Log(), c.told)
			flush(t, other.Log())
			gate.set(false)
			flush(t, late.Log())

			appendAll(t, late.Log(), []nodebus.Event{about("q", said(9))})
			want := append(c.want, "0 said 9")
			for _, w := range want {
				require.Equal(t, w, short(next()))
			}
			flush(t, late.Log()) // another process may have received it before
			require.NoError(t, nats.CatchUpLog(t.Context(), other.Log()))
			for name, log := range map[string]nodebus.Log{"late": late.Log(), "other": other.Log(), "new": open(t, shared, opts).Log()} {
				require.Equal(t, want, shortsOf(t, log), name)
			}

			// Everybody receives a new prompt with the id, whatever process runs it.
			appendAll(t, late.Log(), attemptOf("p", 1, 2, true))
			for _, w := range []string{"1 execution_start", "1 said 2", "1 execution_success", "1 executing"} {
				require.Equal(t, w, short(next()))
			}
		})
	}
}
