package flow_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests have several engines over one queue: what waits and what runs is what the
// queue says, whoever has submitted it.

// TestQueueThatAnotherEngineHasFilled has an engine over a queue whose prompts an earlier
// process has submitted.
func TestQueueThatAnotherEngineHasFilled(t *testing.T) {
	inFleet(t, func(f *fleet) {
		first, second := f.engine(nil), f.engine(&flow.EngineOptions{Parallel: 1})
		for _, id := range []string{"a", "b", "c"} {
			f.submit(first, &nodebus.Prompt{ID: id, ClientID: "me", Nodes: shown(id)})
		}
		tape := f.record()
		require.Equal(t, 3, second.Remaining())
		require.Equal(t, []string{"a", "b", "c"}, queued(t, second.Queued(f.ctx)))
		require.Equal(t, []string{"b"}, queued(t, second.Queued(f.ctx, "b", "nobody")))
		_, err := submit(second, f.ctx, &nodebus.Prompt{ID: "b", Nodes: shown("x")})
		require.ErrorIs(t, err, flow.ErrDuplicate)

		f.submit(second, &nodebus.Prompt{ID: "d", ClientID: "me", Nodes: shown("d")})
		synctest.Wait()
		require.Equal(t, []int{4}, tape.numbers())

		require.True(t, interrupt(second, "a"))
		synctest.Wait()
		types, _ := tape.of("a")
		require.Equal(t, []string{"interrupted ", "executing "}, types)
		o, err := first.Wait(f.ctx, "a")
		require.NoError(t, err, "the engine that has submitted it knows")
		require.Equal(t, nodebus.Interrupted, o.State)
		require.Equal(t, []int{3}, tape.numbers())

		gone, err := second.Delete(f.ctx, "b", "nobody")
		require.NoError(t, err)
		require.Equal(t, []string{"b"}, gone)
		require.Equal(t, 2, first.Remaining())
		require.False(t, interrupt(second, "b"))
		require.False(t, interrupt(first, "b"), "the queue knows better than the engine")

		f.run(second)
		for _, id := range []string{"c", "d"} {
			o, err := first.Wait(f.ctx, id)
			require.NoError(t, err)
			require.Equal(t, nodebus.Succeeded, o.State, id)
		}
		synctest.Wait()
		require.Zero(t, first.Remaining())
		require.Zero(t, second.Remaining())
		_, err = submit(first, f.ctx, &nodebus.Prompt{ID: "c", Nodes: shown("x")})
		require.ErrorIs(t, err, flow.ErrDuplicate, "it has a record")
		require.NoError(t, f.store.Delete(f.ctx, "b"))
		require.Equal(t, nodebus.Succeeded, f.ended(f.submit(first, &nodebus.Prompt{ID: "b", Nodes: shown("x")})))
	})
}

// TestPromptThatAnotherEngineRuns looks from one engine at a prompt that another runs.
func TestPromptThatAnotherEngineRuns(t *testing.T) {
	for name, c := range map[string]struct {
		end  func(e *flow.Engine, g *gateNode) error
		want nodebus.State
	}{
		"it ends": {func(_ *flow.Engine, g *gateNode) error { close(g.open); return nil }, nodebus.Succeeded},
		"it is interrupted": {func(e *flow.Engine, _ *gateNode) error {
			found, err := e.Interrupt(context.Background(), "p")
			if !found {
				return flow.ErrNotFound
			}
			return err
		}, nodebus.Interrupted},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				g := &gateNode{make(chan struct{})}
				f.fn("Gate", g.run)
				runs, looks := f.engine(nil), f.engine(nil)
				f.run(runs)
				s := f.submit(runs, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Gate")})
				synctest.Wait()
				require.Equal(t, 1, looks.Remaining())
				require.Equal(t, []string{"+p"}, queued(t, looks.Queued(f.ctx)))
				_, err := submit(looks, f.ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
				require.ErrorIs(t, err, flow.ErrDuplicate)
				gone, err := looks.Delete(f.ctx, "p")
				require.NoError(t, err)
				require.Empty(t, gone, "only waiting prompts can be deleted")
				waited := make(chan nodebus.Outcome, 1)
				go func() {
					o, _ := looks.Wait(f.ctx, "p")
					waited <- o
				}()
				synctest.Wait()
				require.NoError(t, c.end(looks, g))
				require.Equal(t, c.want, f.ended(s))
				require.Equal(t, c.want, (<-waited).State)
				require.Zero(t, looks.Remaining())
				require.Empty(t, f.sigs.kept, "the signals of an ended prompt are dropped")
			})
		})
	}
}

// TestPromptThatIsRunElsewhere submits to an engine that does not run: the submission ends
// when another engine has run the prompt.
func TestPromptThatIsRunElsewhere(t *testing.T) {
	inFleet(t, func(f *fleet) {
		submits, runs := f.engine(nil), f.engine(nil)
		s := f.submit(submits, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
		f.run(runs)
		require.Equal(t, nodebus.Succeeded, f.ended(s))
		require.Equal(t, "me", s.Prompt.ClientID)
		_, err := submit(submits, f.ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.ErrorIs(t, err, flow.ErrDuplicate)
	})
}

// TestTwoEnginesShareTheWork has two engines that run: each prompt runs once.
func TestTwoEnginesShareTheWork(t *testing.T) {
	inFleet(t, func(f *fleet) {
		runs := map[string]int{}
		most, now := 0, 0
		var mu sync.Mutex
		f.fn("Work", func(ctx *nodebus.Context, in, _ any) (any, error) {
			mu.Lock()
			runs[ctx.PromptID()]++
			now++
			most = max(most, now)
			mu.Unlock()
			time.Sleep(time.Second)
			mu.Lock()
			defer mu.Unlock()
			now--
			return in, nil
		})
		engines := []*flow.Engine{f.engine(&flow.EngineOptions{Parallel: 2, PerClient: 2}), f.engine(&flow.EngineOptions{Parallel: 2, PerClient: 2})}
		tape := f.record()
		var all []*flow.Submission
		for i := range 40 {
			all = append(all, f.submit(engines[i%2], &nodebus.Prompt{ID: fmt.Sprint(i), ClientID: "me", Nodes: pipe("x", "Work", i)}))
		}
		for _, e := range engines {
			f.run(e)
		}
		for _, s := range all {
			require.Equal(t, nodebus.Succeeded, f.ended(s))
		}
		synctest.Wait()
		require.Len(t, runs, 40)
		require.LessOrEqual(t, most, 4)
		for i := range 40 {
			require.Equal(t, 1, runs[fmt.Sprint(i)])
			types, _ := tape.of(fmt.Sprint(i))
			require.Equal(t, 1, strings.Count(strings.Join(types, " "), "success"), types)
		}
		for _, e := range engines {
			require.Zero(t, e.Remaining())
		}
	})
}

// TestIDThatIsUsedAgain deletes a prompt in another engine and uses its id again there:
// the first engine must not take the new prompt for the old one.
func TestIDThatIsUsedAgain(t *testing.T) {
	inFleet(t, func(f *fleet) {
		first, second := f.engine(nil), f.engine(nil)
		old := f.submit(first, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("old")})
		_, err := second.Delete(f.ctx, "p")
		require.NoError(t, err)
		time.Sleep(time.Second) // the prompts have different times
		f.submit(second, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("new")})
		f.run(first)
		o, err := first.Wait(f.ctx, "p")
		if err != nil { // Wait has met the old prompt
			require.ErrorIs(t, err, flow.ErrNotFound)
			synctest.Wait()
			o, err = first.Wait(f.ctx, "p")
		}
		require.NoError(t, err)
		require.Equal(t, nodebus.Text("new"), o.Output("o"))
		_, err = old.Wait(f.ctx)
		require.ErrorIs(t, err, flow.ErrNotFound)
	})
}

// TestQueueThatDoesNotCount checks that Remaining is the last number if the queue fails.
func TestQueueThatDoesNotCount(t *testing.T) {
	inFleet(t, func(f *fleet) {
		q := &uncounted{Queue: f.queue}
		e := f.engine(&flow.EngineOptions{Queue: q})
		f.submit(e, &nodebus.Prompt{Nodes: shown("a")})
		require.Equal(t, 1, e.Remaining())
		q.fails = true
		f.submit(e, &nodebus.Prompt{Nodes: shown("b")})
		require.Equal(t, 1, e.Remaining())
		q.fails = false
		require.Equal(t, 2, e.Remaining())
	})
}

type uncounted struct {
	flow.Queue
	fails bool
}

func (q *uncounted) Len(ctx context.Context) (waiting, leased int, err error) {
	if q.fails {
		panic("the queue cannot count")
	}
	return q.Queue.Len(ctx)
}

// TestEntriesOfOthersAreSwept submits many prompts that end elsewhere, and whose end the
// hub never hears of: the engine does not remember them for ever.
func TestEntriesOfOthersAreSwept(t *testing.T) {
	inFleet(t, func(f *fleet) {
		e := f.engine(nil)
		var all []*flow.Submission
		for i := range 3000 {
			all = append(all, f.submit(e, &nodebus.Prompt{ID: fmt.Sprint(i), Nodes: shown("x")}))
			_, err := f.queue.Delete(f.ctx, fmt.Sprint(i)) // another process without a shared log
			require.NoError(t, err)
		}
		left := 0
		for _, s := range all {
			ctx, cancel := context.WithCancel(f.ctx)
			cancel()
			if _, err := s.Wait(ctx); errors.Is(err, context.Canceled) {
				left++
			}
		}
		require.LessOrEqual(t, left, 2048)
	})
}

// TestSweepListsRarely submits many prompts that wait: the engine does not list the queue,
// which may have to read every prompt, to find out that none has ended.
func TestSweepListsRarely(t *testing.T) {
	inFleet(t, func(f *fleet) {
		q := &listed{Queue: f.queue}
		e := f.engine(&flow.EngineOptions{Queue: q})
		for i := range 3000 {
			f.submit(e, &nodebus.Prompt{ID: fmt.Sprint(i), Nodes: shown("x")})
		}
		require.Zero(t, q.times)
	})
}

// listed counts calls of List.
type listed struct {
	flow.Queue
	times int
}

func (q *listed) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	q.times++
	return q.Queue.List(ctx, ids...)
}

// TestSubmitLooksForRecords: only an id that the caller has chosen may be the id of a record.
func TestSubmitLooksForRecords(t *testing.T) {
	inFleet(t, func(f *fleet) {
		s := &asked{Store: f.store}
		e := f.engine(&flow.EngineOptions{Store: s})
		f.submit(e, &nodebus.Prompt{Nodes: shown("x")})
		require.Empty(t, s.ids)
		f.submit(e, &nodebus.Prompt{ID: "a", Nodes: shown("x")})
		require.Equal(t, []string{"a"}, s.ids)
	})
}

// asked remembers what Get was asked for.
type asked struct {
	flow.Store
	ids []string
}

func (s *asked) Get(ctx context.Context, id string) (flow.Record, error) {
	s.ids = append(s.ids, id)
	return s.Store.Get(ctx, id)
}
