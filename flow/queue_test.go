package flow_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 13: the queue.

func TestSection13Priorities(t *testing.T) {
	inBubble(t, nil, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		hold := make(chan struct{})
		var order []string
		r.fn("Log", func(ctx *nodebus.Context, v, _ any) (any, error) {
			if v == "first" {
				<-hold
			}
			order = append(order, ctx.PromptID())
			return v, nil
		})
		r.start(&nodebus.Prompt{ID: "first", Nodes: pipe("x", "Log", "first")})
		synctest.Wait()
		var last func() outcome
		for i, prio := range []float64{5, 0, 5, -1, 0, 0.5, 7} {
			last = r.start(&nodebus.Prompt{ID: fmt.Sprintf("%d:%v", i, prio), Priority: prio, Nodes: pipe("x", "Log", i)})
		}
		require.Equal(t, 8, r.engine.Remaining())
		var waiting []string
		for p, err := range r.engine.Queue().List(r.ctx) {
			require.NoError(t, err)
			if !p.Leased {
				waiting = append(waiting, p.Prompt.ID)
			}
		}
		want := []string{"3:-1", "1:0", "4:0", "5:0.5", "0:5", "2:5", "6:7"}
		require.Equal(t, want, waiting)
		gone, err := r.engine.Delete(r.ctx, "1:0", "5:0.5", "nobody", "first")
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"1:0", "5:0.5"}, gone, "only waiting prompts can be deleted")
		close(hold)
		last()
		require.Equal(t, []string{"first", "3:-1", "4:0", "0:5", "2:5", "6:7"}, order)
		_, err = r.engine.Store().Get(r.ctx, "1:0")
		require.ErrorIs(t, err, flow.ErrNotFound)
	})
}

func TestSection13OneClientInOrderOthersSideBySide(t *testing.T) {
	for _, c := range []struct {
		parallel, perClient int
		want                time.Duration
	}{
		{4, 1, 3 * time.Second}, {1, 1, 6 * time.Second}, {4, 2, 2 * time.Second}, {8, 8, time.Second},
	} {
		inBubble(t, &flow.LocalOptions{Workers: 8, Cache: flow.NoCache()}, &flow.EngineOptions{Parallel: c.parallel, PerClient: c.perClient}, func(r *rig) {
			r.fn("Work", func(*nodebus.Context, any, any) (any, error) {
				time.Sleep(time.Second)
				return 1, nil
			})
			var waits []func() outcome
			began := time.Now()
			for i := range 6 {
				waits = append(waits, r.start(&nodebus.Prompt{ID: fmt.Sprint(i), ClientID: fmt.Sprint(i % 2), Nodes: pipe("x", "Work", i)}))
			}
			var ended []string
			for i, wait := range waits {
				rec := wait().record
				ended = append(ended, fmt.Sprint(rec.Started.Sub(began)))
				if c.perClient == 1 && c.parallel == 4 {
					require.Equal(t, time.Duration(i/2)*time.Second, rec.Started.Sub(began), "a client's prompts run in order")
				}
			}
			require.Equal(t, c.want, time.Since(began), "%v", ended)
		})
	}
}

func TestSection13DuplicateIDs(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		hold := make(chan struct{})
		r.fn("Hold", func(*nodebus.Context, any, any) (any, error) { <-hold; return 1, nil })
		running := r.start(&nodebus.Prompt{ID: "running", Nodes: two("Hold")})
		synctest.Wait()
		waiting := r.start(&nodebus.Prompt{ID: "waiting", Nodes: shown("x")})
		for _, id := range []string{"running", "waiting"} {
			_, err := submit(r.engine, r.ctx, &nodebus.Prompt{ID: id, Nodes: shown("y")})
			require.ErrorIs(t, err, flow.ErrDuplicate, id)
		}
		close(hold)
		running()
		require.Equal(t, []any{"x"}, waiting().text("o"), "the first prompt with this id does not change")
		_, err := submit(r.engine, r.ctx, &nodebus.Prompt{ID: "waiting", Nodes: shown("y")})
		require.ErrorIs(t, err, flow.ErrDuplicate, "the id has a record")
		require.NoError(t, r.engine.Store().Delete(r.ctx, "waiting"))
		require.Equal(t, []any{"y"}, r.submit(&nodebus.Prompt{ID: "waiting", Nodes: shown("y")}).text("o"), "without a record, the id can be used again")
	})
}

func TestSection13FullQueue(t *testing.T) {
	inBubble(t, nil, &flow.EngineOptions{Queue: flow.NewQueue(&flow.QueueOptions{Len: 3, PerClient: 3}), Parallel: 1}, func(r *rig) {
		hold := make(chan struct{})
		r.fn("Hold", func(*nodebus.Context, any, any) (any, error) { <-hold; return 1, nil })
		r.start(&nodebus.Prompt{Nodes: two("Hold")})
		synctest.Wait()
		r.start(&nodebus.Prompt{Nodes: shown("a")})
		last := r.start(&nodebus.Prompt{Nodes: shown("b")})
		_, err := submit(r.engine, r.ctx, &nodebus.Prompt{ID: "c", Nodes: shown("c")})
		require.ErrorIs(t, err, flow.ErrFull)
		require.Equal(t, 3, r.engine.Remaining())
		require.False(t, interrupt(r.engine, "c"), "the queue did not accept the prompt")
		close(hold)
		last()
		require.Equal(t, []any{"c"}, r.submit(&nodebus.Prompt{ID: "c", Nodes: shown("c")}).text("o"))
	})
}

func TestSection13StatusTellsEveryone(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		events := r.hub.Subscribe(r.ctx)
		r.submit(&nodebus.Prompt{ID: "p", Nodes: shown("x")})
		_, err := r.engine.Delete(r.ctx)
		require.NoError(t, err)
		_, err = submit(r.engine, r.ctx, &nodebus.Prompt{Nodes: two("None")})
		require.Error(t, err)
		var got []any
		for ev, err := range events {
			require.NoError(t, err)
			switch p := ev.Payload.(type) {
			case nodebus.Status:
				require.Empty(t, ev.To)
				got = append(got, p.QueueRemaining)
			case nodebus.ExecutionSuccess:
				got = append(got, "success")
			case nodebus.Executing:
				got = append(got, "executing "+p.UniqueID)
			}
			if len(got) == 7 {
				break
			}
		}
		require.Equal(t, []any{1, 1, "executing o", "success", 0, "executing ", 0}, got)
	})
}

// TestQueueErrors checks that the errors of the queue in memory name the prompt, the
// limit and a way out.
func TestQueueErrors(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		q := flow.NewQueue(&flow.QueueOptions{Len: 2, PerClient: 2})
		push := func(id string) error { return q.Push(t.Context(), &nodebus.Prompt{ID: id}, nil) }
		require.NoError(t, push("a"))
		_, err := q.Take(t.Context(), func(string) bool { return false })
		require.NoError(t, err)
		err = push("a")
		require.ErrorIs(t, err, flow.ErrDuplicate)
		require.EqualError(t, err, `nodebus: prompt id is in use: the prompt runs; choose another id, or submit again when it has ended: prompt "a"`)
		require.NoError(t, push("b"))
		err = push("d")
		require.ErrorIs(t, err, flow.ErrFull)
		require.EqualError(t, err, `nodebus: queue is full: 2 prompts wait or run; submit again later, or raise QueueOptions.Len: prompt "d"`)
	})
}

func TestQueueThatFails(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		hub := nodebus.NewHub(nil)
		err := flow.NewEngine(flow.NewRegistry(), hub, &flow.EngineOptions{Queue: badQueue{}}).Run(t.Context())
		require.EqualError(t, err, "nodebus: taking a prompt from the queue: no connection")
		require.NoError(t, hub.Close())
	})
}

type badQueue struct{}

var errQueue = errors.New("no connection")

func (badQueue) Push(context.Context, *nodebus.Prompt, map[string]string) error { return errQueue }
func (badQueue) Take(context.Context, func(string) bool) (flow.Lease, error)    { return nil, errQueue }

func (badQueue) TakeOne(context.Context, string) (flow.Lease, error) { return nil, errQueue }

func (badQueue) List(context.Context, ...string) iter.Seq2[flow.Queued, error] {
	return func(yield func(flow.Queued, error) bool) { yield(flow.Queued{}, errQueue) }
}
func (badQueue) Move(context.Context, string, float64) error { return errQueue }
func (badQueue) Len(context.Context) (int, int, error)       { return 0, 0, errQueue }

func (badQueue) Delete(context.Context, ...string) ([]*nodebus.Prompt, error) { return nil, errQueue }
