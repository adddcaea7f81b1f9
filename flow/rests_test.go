package flow_test

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestQueuedSaysWhatRests: the list tells prompts that compute from prompts that wait for
// an answer and from prompts that pause before their next attempt, and the estimate of a
// waiting prompt does not count what rests.
func TestQueuedSaysWhatRests(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Cache: flow.NoCache()}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		asksFor[bool](r, "Ask", "q", nil)
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("again") })
		r.fn("Sleep", func(*nodebus.Context, any, any) (any, error) {
			time.Sleep(time.Minute)
			return 1, nil
		})
		list := func() (lines []string) {
			synctest.Wait()
			for q, err := range r.engine.Queued(r.ctx) {
				require.NoError(t, err)
				says := "waits"
				switch {
				case q.Rests:
					says = "rests"
				case q.Leased:
					says = "computes"
				case q.Pauses:
					says = "pauses"
				}
				require.False(t, q.Rests && !q.Leased, "a prompt that rests is leased")
				lines = append(lines, q.Prompt.ID+" "+says)
			}
			return lines
		}
		r.submit(&nodebus.Prompt{ID: "first", Nodes: two("Sleep")}) // from now on, a prompt takes a minute
		var asks []func() outcome
		for i := range 5 {
			asks = append(asks, r.start(&nodebus.Prompt{ID: fmt.Sprint("ask", i), ClientID: "same", Nodes: two("Ask")}))
			synctest.Wait()
		}
		r.start(&nodebus.Prompt{ID: "fail", ClientID: "f", Nodes: two("Fail"), Policy: nodebus.Policy{Retries: 1, RetryAfter: time.Hour}})
		synctest.Wait()
		busy := r.start(&nodebus.Prompt{ID: "busy", ClientID: "same", Nodes: two("Sleep")})
		synctest.Wait()
		last := r.start(&nodebus.Prompt{ID: "last", ClientID: "same", Nodes: two("Sleep")})
		require.Equal(t, []string{"ask0 rests", "ask1 rests", "ask2 rests", "ask3 rests", "ask4 rests", "busy computes", "fail pauses", "last waits"}, list())
		at, err := r.engine.Position(r.ctx, "last")
		require.NoError(t, err)
		require.Equal(t, time.Minute, at.Estimate, "one place, and one prompt that computes")
		at, err = r.engine.Position(r.ctx, "ask0")
		require.NoError(t, err)
		require.Equal(t, flow.Position{Running: true}, at)

		require.NoError(t, r.engine.Answer(r.ctx, "ask0", "x", "q", true))
		require.Contains(t, list(), "ask0 rests", "it waits for a place")
		busy()
		asks[0]()
		last()
		require.Equal(t, []string{"ask1 rests", "ask2 rests", "ask3 rests", "ask4 rests", "fail pauses"}, list())
		for _, q := range list() {
			require.True(t, interrupt(r.engine, q[:4]))
		}
		for _, wait := range asks[1:] {
			require.Equal(t, nodebus.Interrupted, wait().record.State)
		}
		require.Empty(t, list())
	})
}
