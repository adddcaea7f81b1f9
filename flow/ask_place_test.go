package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests check that a node that waits for an answer holds no worker, and that its
// prompt has no place among the running prompts.

// TestWaitingPromptsHoldNoPlace: with one worker, one place, and one place for each
// client, other prompts run while prompts wait, also prompts of the same client.
func TestWaitingPromptsHoldNoPlace(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, &flow.EngineOptions{Parallel: 1, PerClient: 1}, func(r *rig) {
		asksFor[bool](r, "Ask", "q", nil)
		a := r.start(&nodebus.Prompt{ID: "a", ClientID: "client", Nodes: two("Ask")})
		b := r.start(&nodebus.Prompt{ID: "b", ClientID: "client", Nodes: two("Ask")})
		synctest.Wait()
		other := r.submit(&nodebus.Prompt{ID: "c", ClientID: "client", Nodes: shown("x")})
		require.Equal(t, nodebus.Succeeded, other.record.State)
		synctest.Wait()
		require.Equal(t, 2, r.engine.Remaining())
		require.NoError(t, r.engine.Answer(r.ctx, "b", "x", "q", true))
		require.Equal(t, []any{"true"}, b().text("out"))
		require.NoError(t, r.engine.Answer(r.ctx, "a", "x", "q", false))
		require.Equal(t, []any{"false"}, a().text("out"))
	})
}

// TestTwoApprovalsDoNotStopAServer has two places, two prompts that wait, and a third.
func TestTwoApprovalsDoNotStopAServer(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 2}, &flow.EngineOptions{Parallel: 2}, func(r *rig) {
		asksFor[bool](r, "Ask", "q", nil)
		var waits []func() outcome
		for _, id := range []string{"a", "b"} {
			waits = append(waits, r.start(&nodebus.Prompt{ID: id, ClientID: id, Nodes: two("Ask")}))
		}
		synctest.Wait()
		require.Equal(t, []any{"x"}, r.submit(&nodebus.Prompt{ClientID: "c", Nodes: shown("x")}).text("o"))
		for i, id := range []string{"a", "b"} {
			require.NoError(t, r.engine.Answer(r.ctx, id, "x", "q", true))
			require.Equal(t, []any{"true"}, waits[i]().text("out"))
		}
	})
}

// TestAnsweredNodeWaitsForItsPlace: at most one of the prompts computes, and a prompt
// that resumes comes before prompts from the queue.
func TestAnsweredNodeWaitsForItsPlace(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Cache: flow.NoCache()}, &flow.EngineOptions{Parallel: 1, PerClient: 5}, func(r *rig) {
		busy := &busy{}
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			yes, err := nodebus.Await[bool](ctx, "q", nil)
			busy.work(ctx.PromptID())
			return yes, err
		})
		r.fn("Work", func(ctx *nodebus.Context, _, _ any) (any, error) {
			busy.work(ctx.PromptID())
			return nil, nil
		})
		var waits []func() outcome
		for _, id := range []string{"a", "b"} {
			waits = append(waits, r.start(&nodebus.Prompt{ID: id, Nodes: two("Ask")}))
		}
		synctest.Wait()
		for _, id := range []string{"c", "d"} {
			waits = append(waits, r.start(&nodebus.Prompt{ID: id, Nodes: two("Work")}))
			synctest.Wait()
		}
		for _, id := range []string{"b", "a"} {
			require.NoError(t, r.engine.Answer(r.ctx, id, "x", "q", true))
			synctest.Wait()
		}
		for _, wait := range waits {
			require.Equal(t, nodebus.Succeeded, wait().record.State)
		}
		require.Equal(t, []string{"c", "b", "a", "d"}, busy.order)
		require.Equal(t, 1, busy.most)
	})
}

// busy counts how many nodes work at the same time.
type busy struct {
	mu        sync.Mutex
	now, most int
	order     []string
}

func (b *busy) work(what string) {
	b.mu.Lock()
	b.now++
	b.most = max(b.most, b.now)
	b.order = append(b.order, what)
	b.mu.Unlock()
	time.Sleep(time.Second)
	b.mu.Lock()
	b.now--
	b.mu.Unlock()
}

// TestPromptThatComputesKeepsItsPlace: two nodes wait, and a third computes.
func TestPromptThatComputesKeepsItsPlace(t *testing.T) {
	for _, workers := range []int{1, 4} {
		inBubble(t, &flow.LocalOptions{Workers: workers}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
			asksFor[string](r, "Ask", "q", nil)
			r.pause(nil)
			work := make(chan struct{})
			r.fn("Work", func(*nodebus.Context, any, any) (any, error) { <-work; return "w", nil })
			g := nodebus.NewGraph()
			for _, id := range []string{"a", "b"} {
				g.AddAs("out "+id, "Show", in{"in": g.AddAs(id, "Ask", in{"in": id})})
			}
			g.AddAs("out", "Show", in{"in": g.AddAs("w", "Work", nil)})
			wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: g.Nodes()})
			next := r.start(&nodebus.Prompt{ID: "next", ClientID: "next", Nodes: shown("x")})
			synctest.Wait()
			require.Empty(t, r.ended("next"), "the prompt computes, so it has the only place")
			close(work)
			require.Equal(t, nodebus.Succeeded, next().record.State)
			for _, id := range []string{"b", "a"} {
				require.NoError(t, r.engine.Answer(r.ctx, "p", id, "q", "from "+id))
			}
			o := wait()
			require.Equal(t, []any{"from a"}, o.text("out a"))
			require.Equal(t, []any{"from b"}, o.text("out b"))
		})
	}
}

// ended returns the record of a prompt, if it has ended.
func (r *rig) ended(id string) (records []flow.Record) {
	rec, err := r.engine.Store().Get(r.ctx, id)
	if err == nil {
		records = append(records, rec)
	}
	return records
}

// TestAwaitAsync: asynchronous nodes give up the place, too, and continue without a slot.
func TestAwaitAsync(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		flow.Register(r.reg, fn{f: func(ctx *nodebus.Context, in, _ any) (any, error) {
			return nodebus.Await[string](ctx, "q", nil)
		}}, nodebus.Info{Name: "Ask", Async: true})
		g := nodebus.NewGraph()
		const n = 20
		for i := range n {
			g.AddAs(fmt.Sprint("out", i), "Show", in{"in": g.AddAs(fmt.Sprint(i), "Ask", in{"in": i})})
		}
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: g.Nodes()})
		synctest.Wait()
		r.submit(&nodebus.Prompt{ID: "other", Nodes: shown("x")})
		for i := n - 1; i >= 0; i-- {
			require.NoError(t, r.engine.Answer(r.ctx, "p", fmt.Sprint(i), "q", fmt.Sprint("a", i)))
		}
		o := wait()
		for i := range n {
			require.Equal(t, []any{fmt.Sprint("a", i)}, o.text(fmt.Sprint("out", i)))
		}
	})
}

// TestAwaitInList: a node that is called for each element asks for each, in order.
func TestAwaitInList(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		flow.Register(r.reg, letters{}, nodebus.Info{Name: "Letters"})
		r.fn("Ask", func(ctx *nodebus.Context, in, _ any) (any, error) {
			said, err := nodebus.Await[string](ctx, "q", nil)
			return fmt.Sprint(in, "=", said), err
		})
		flow.Register(r.reg, joined{}, nodebus.Info{Name: "Joined"})
		g := nodebus.NewGraph()
		g.AddAs("out", "Joined", in{"all": g.AddAs("x", "Ask", in{"in": g.Add("Letters", nil)})})
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: g.Nodes()})
		for i := range 3 {
			synctest.Wait()
			r.submit(&nodebus.Prompt{ID: fmt.Sprint("other", i), Nodes: shown("x")})
			require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", fmt.Sprint(i)))
		}
		require.Equal(t, []any{"[a=0 b=1 c=2]"}, wait().text("out"))
	})
}

type letters struct{}

func (letters) Run(*nodebus.Context) (nodebus.List[string], error) {
	return nodebus.List[string]{"a", "b", "c"}, nil
}

// joined is an output node that shows a list.
type joined struct{ All nodebus.List[any] }

func (n joined) Run(*nodebus.Context) (nodebus.UI, error) {
	return nodebus.Text(fmt.Sprint(n.All.Values())), nil
}

// TestAwaitOfNodesMadeAtRunTime: the node that made the node waits for it, and holds
// nothing either. The place of the question names both.
func TestAwaitOfNodesMadeAtRunTime(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		asksFor[string](r, "Ask", "q", nil)
		r.fn("Maker", func(ctx *nodebus.Context, _, _ any) (any, error) {
			g := ctx.NewGraph()
			return nodebus.Eval[any](ctx, g, g.AddAs("made", "Ask", nil))
		})
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: two("Maker")})
		synctest.Wait()
		r.submit(&nodebus.Prompt{ID: "other", Nodes: shown("x")})
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x.0.0.made", "q", "yes"))
		o := wait()
		require.Equal(t, []any{"yes"}, o.text("out"))
		at := nodebus.Place{UniqueID: "x.0.0.made", DisplayID: "x", ParentID: "x", RealID: "x"}
		require.Equal(t, at, o.questions()[0].(nodebus.Waiting).Place)
		require.Equal(t, at, o.questions()[1].(nodebus.Answered).Place)
	})
}

// TestQuestionOfALeftoverIsWithdrawn: a node returns while a goroutine of the node waits
// for an answer. The question ends with the node.
func TestQuestionOfALeftoverIsWithdrawn(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		got := make(chan error, 2)
		r.fn("Leak", func(ctx *nodebus.Context, _, _ any) (any, error) {
			go func() {
				_, err := nodebus.Await[bool](ctx, "q", nil)
				got <- err
				_, err = nodebus.Await[bool](ctx, "q", nil)
				got <- err
			}()
			time.Sleep(time.Second)
			return 1, nil
		})
		asksFor[string](r, "Ask", "other", nil)
		g := nodebus.NewGraph()
		g.AddAs("out", "Show", in{"in": g.AddAs("y", "Ask", in{"in": g.AddAs("x", "Leak", nil)})})
		wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: g.Nodes()})
		require.ErrorIs(t, <-got, nodebus.ErrClosed)
		require.ErrorIs(t, <-got, nodebus.ErrClosed)
		synctest.Wait()
		require.NoError(t, r.engine.Answer(r.ctx, "p", "y", "other", "done"))
		o := wait()
		require.Equal(t, []any{"done"}, o.text("out"))
		require.ElementsMatch(t, []nodebus.Payload{
			waiting("x", "q"), answered("x", "q", "expired"), waiting("y", "other"), answered("y", "other", "answered"),
		}, o.questions(), "the goroutine that the node left behind goes on at its own pace")
	})
}

// TestAwaitWithAContextOfItsOwn: the node gives up its question and goes on.
func TestAwaitWithAContextOfItsOwn(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		boom := errors.New("boom")
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			own, cancel := context.WithTimeoutCause(context.Background(), time.Minute, boom)
			defer cancel()
			q := nodebus.Waiting{Place: ctx.Place(), Name: "q"}
			_, err := ctx.Runtime().Await(own, q, nil)
			if errors.Is(err, boom) {
				return "gave up", nil
			}
			return nil, err
		})
		o := r.ask("Ask")()
		require.Equal(t, []any{"gave up"}, o.text("out"))
		require.Equal(t, []nodebus.Payload{waiting("x", "q"), answered("x", "q", "expired")}, o.questions())

		wait := r.start(&nodebus.Prompt{ID: "ends", ClientID: "client", Nodes: changed(two("Ask"))})
		synctest.Wait()
		require.True(t, interrupt(r.engine, "ends"))
		require.Equal(t, nodebus.Interrupted, wait().record.State)
	})
}

// TestAwaitOfANodeThatIsAbandoned: a node ignores the end of its context after its
// question. The prompt ends, and other prompts go on.
func TestAwaitOfANodeThatIsAbandoned(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1, Grace: time.Second}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		wake := make(chan struct{})
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			_, _ = nodebus.Await[bool](ctx, "q", nil)
			<-wake
			_, err := nodebus.Await[bool](ctx, "q", nil)
			return nil, err
		})
		wait := r.ask("Ask")
		require.True(t, interrupt(r.engine, "p"))
		o := wait()
		require.Equal(t, nodebus.Interrupted, o.record.State)
		require.Equal(t, []any{"x"}, r.run(shown("x")).text("o"))
		close(wake)
	})
}

// TestFailureEndsQuestions: another node fails while a node waits.
func TestFailureEndsQuestions(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 2}, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
		asksFor[string](r, "Ask", "q", nil)
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) {
			time.Sleep(time.Second)
			return nil, errors.New("boom")
		})
		g := nodebus.NewGraph()
		g.AddAs("out", "Show", in{"in": g.AddAs("x", "Ask", nil), "in2": g.AddAs("y", "Fail", nil)})
		o := r.run(g.Nodes())
		require.Equal(t, "boom\n", o.failed(t).ExceptionMessage)
		require.Equal(t, []any{"x"}, r.run(shown("x")).text("o"))
	})
}

// hosted runs a prompt on a Local with a host of the test.
func hosted(t *testing.T, h nodebus.Host) error {
	t.Helper()
	reg := flow.NewRegistry()
	flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
	flow.Register(reg, fn{f: func(ctx *nodebus.Context, _, _ any) (any, error) {
		return nodebus.Await[bool](ctx, "q", nil)
	}}, nodebus.Info{Name: "Ask"})
	job := nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", Nodes: two("Ask")}, Attempt: 1, Host: h}
	_, err := flow.NewLocal(reg, nil).Execute(t.Context(), job, &recorder{})
	return err
}

// testHost answers when the prompt has given its place back.
type testHost struct {
	rested chan struct{}
	rest   func()
	resume func() error
	await  func()
}

func (h *testHost) Await(context.Context, nodebus.Waiting, func(json.RawMessage) error) (json.RawMessage, error) {
	if h.await != nil {
		h.await()
	}
	<-h.rested
	return json.RawMessage("true"), nil
}

func (h *testHost) Rest() {
	defer close(h.rested)
	if h.rest != nil {
		h.rest()
	}
}

func (h *testHost) Resume(context.Context) error {
	if h.resume != nil {
		return h.resume()
	}
	return nil
}

// TestFaultyHosts: an error or a panic of a host ends the prompt, and nothing waits for
// ever.
func TestFaultyHosts(t *testing.T) {
	boom := errors.New("boom")
	for name, c := range map[string]struct {
		host testHost
		err  string
	}{
		"good":           {testHost{}, ""},
		"Resume fails":   {testHost{resume: func() error { return boom }}, "boom"},
		"Resume panics":  {testHost{resume: func() error { panic("oh") }}, "oh"},
		"Rest panics":    {testHost{rest: func() { panic("oh") }}, "oh"},
		"Await panics":   {testHost{rest: nil, await: func() { panic("oh") }}, "oh"},
		"Resume Goexits": {testHost{resume: func() error { runtime.Goexit(); return nil }}, "Goexit"},
		"Rest Goexits":   {testHost{rest: runtime.Goexit}, "Goexit"},
		"Await Goexits":  {testHost{await: runtime.Goexit}, "Goexit"},
	} {
		t.Run(name, func(t *testing.T) {
			c.host.rested = make(chan struct{})
			err := hosted(t, &c.host)
			if c.err == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, c.err)
		})
	}
}
