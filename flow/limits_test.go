package flow_test

import (
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestNegativeLimits checks that a negative limit selects the default, as 0 does.
func TestNegativeLimits(t *testing.T) {
	const many = 10_000 // the default of both Len options
	inBubble(t, nil, nil, func(r *rig) {
		for _, n := range []int{0, -1, math.MinInt} {
			store := flow.NewStore(&flow.StoreOptions{Len: n, Bytes: n, RecordBytes: n})
			queue := flow.NewQueue(&flow.QueueOptions{Len: n, Bytes: n, PerClient: n})
			for i := range many {
				p := &nodebus.Prompt{ID: fmt.Sprint(i), ClientID: fmt.Sprint(i % 2)} // each client has half
				require.NoError(t, store.Put(r.ctx, flow.Record{Prompt: p}))
				require.NoError(t, queue.Push(r.ctx, p, nil))
			}
			more := &nodebus.Prompt{ID: "more"}
			require.ErrorIs(t, queue.Push(r.ctx, more, nil), flow.ErrFull)
			require.NoError(t, store.Put(r.ctx, flow.Record{Prompt: more}))
			_, err := store.Get(r.ctx, "0")
			require.ErrorIs(t, err, flow.ErrNotFound, "the oldest record made room")
		}
	})
}

// TestCacheLimits checks which limits of a cache are the defaults, and that
// math.MaxInt removes a limit.
func TestCacheLimits(t *testing.T) {
	const entries = 100_000 // the default of Entries
	for n, want := range map[int]bool{0: false, -1: false, math.MinInt: false, math.MaxInt: true} {
		few := flow.NewCache(&flow.CacheOptions{Entries: n})
		for i := range entries + 1 {
			few.Put(fmt.Sprint(i), flow.Result{})
		}
		_, kept := few.Get("0")
		require.Equal(t, want, kept, "Entries: %d", n)
		small := flow.NewCache(&flow.CacheOptions{Bytes: n})
		small.Put("a", flow.Result{Outputs: []any{sized(1 << 30)}}) // as large as the default of Bytes
		_, kept = small.Get("a")
		require.Equal(t, want, kept, "Bytes: %d", n)
	}
}

// TestNegativeGrace checks that a negative Grace is the default of 3 seconds.
func TestNegativeGrace(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Grace: -1, Workers: -1}, nil, func(r *rig) {
		r.fn("Late", func(ctx *nodebus.Context, _, _ any) (any, error) {
			<-ctx.Done()
			time.Sleep(2 * time.Second)
			return 1, nil
		})
		wait := r.start(&nodebus.Prompt{ID: "p", Nodes: two("Late")})
		time.Sleep(time.Second)
		begin := time.Now()
		require.True(t, interrupt(r.engine, "p"))
		require.Equal(t, nodebus.Interrupted, wait().record.State)
		require.Equal(t, 2*time.Second, time.Since(begin), "the end of the prompt waits for the node")
	})
}
