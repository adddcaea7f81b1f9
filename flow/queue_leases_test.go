package flow_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// TestQueueBoundsRestingPrompts: prompts that wait for an answer, or for their next
// attempt, are leased. They count for the limits of the queue, and a client that has filled
// its share leaves room for others.
func TestQueueBoundsRestingPrompts(t *testing.T) {
	inBubble(t, nil, &flow.EngineOptions{Parallel: 1, Queue: flow.NewQueue(&flow.QueueOptions{Len: 4, PerClient: 2})}, func(r *rig) {
		asksFor[bool](r, "Ask", "q", nil)
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("again") })
		later := nodebus.Policy{Retries: 5, RetryAfter: time.Hour}
		for i, c := range []struct {
			client, class string
			full          bool
		}{
			{"a", "Ask", false},
			{"a", "Fail", false},
			{"a", "Ask", true},
			{"b", "Fail", false},
			{"b", "Ask", false},
			{"c", "Ask", true},
		} {
			id := fmt.Sprint("p", i)
			_, err := submit(r.engine, r.ctx, &nodebus.Prompt{ID: id, ClientID: c.client, Policy: later, Nodes: two(c.class)})
			if c.full {
				require.ErrorIs(t, err, flow.ErrFull, id)
			} else {
				require.NoError(t, err, id)
			}
			synctest.Wait()
		}
		require.Equal(t, 4, r.engine.Remaining())
		require.True(t, interrupt(r.engine, "p0"))
		synctest.Wait()
		require.Equal(t, []any{"x"}, r.submit(&nodebus.Prompt{ClientID: "a", Nodes: shown("x")}).text("o"), "there is room again")
	})
}

// manyLeases returns a queue with n leased prompts.
func manyLeases(t testing.TB, n int) (flow.Queue, []flow.Lease) {
	q := flow.NewQueue(&flow.QueueOptions{Len: n, PerClient: n})
	var leases []flow.Lease
	for i := range n {
		require.NoError(t, q.Push(t.Context(), &nodebus.Prompt{ID: fmt.Sprint(i)}, nil))
		l, err := q.Take(t.Context(), func(string) bool { return false })
		require.NoError(t, err)
		leases = append(leases, l)
	}
	return q, leases
}

// TestQueueExtendWakesNobody: an extension that does not make the first lapse earlier costs
// no channel, which means that no waiting Take searches again.
func TestQueueExtendWakesNobody(t *testing.T) {
	_, leases := manyLeases(t, 100)
	next := 0
	require.Zero(t, testing.AllocsPerRun(1000, func() {
		if err := leases[next%100].Extend(t.Context(), time.Hour); err != nil {
			t.Error(err)
		}
		next++
	}))
}

// TestQueueLapsesInAnyOrder: leases lapse at their own times, in whatever order they were
// taken, extended and made shorter, and a Take that waits sees each lapse.
func TestQueueLapsesInAnyOrder(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		const n = 7
		q, leases := manyLeases(t, n)
		began := time.Now()
		got := make(chan string, n)
		go func() {
			for range n {
				l, err := q.Take(t.Context(), func(string) bool { return false })
				if err != nil {
					break
				}
				got <- fmt.Sprint(l.Job().Prompt.ID, " ", l.Job().Attempt, " ", time.Since(began))
				_ = l.Done(t.Context())
			}
			close(got)
		}()
		synctest.Wait()
		for i, l := range leases {
			seconds := (i*3)%n + 1 // 1 4 7 3 6 2 5
			require.NoError(t, l.Extend(t.Context(), 40*time.Second))
			require.NoError(t, l.Extend(t.Context(), time.Duration(seconds)*time.Second))
		}
		var order []string
		for s := range got {
			order = append(order, s)
		}
		require.Equal(t, []string{"0 2 1s", "5 2 2s", "3 2 3s", "1 2 4s", "6 2 5s", "4 2 6s", "2 2 7s"}, order)
		for _, l := range leases {
			require.ErrorIs(t, l.Extend(t.Context(), time.Hour), flow.ErrLapsed)
		}
	})
}

// BenchmarkQueueExtend measures an extension beside many other leases.
func BenchmarkQueueExtend(b *testing.B) {
	for _, n := range []int{100, 20_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			_, leases := manyLeases(b, n)
			b.ReportAllocs()
			next := 0
			for b.Loop() {
				if err := leases[next%n].Extend(b.Context(), time.Hour); err != nil {
					b.Fatal(err)
				}
				next++
			}
		})
	}
}
