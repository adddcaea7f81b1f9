package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// Execution semantics, sections 12 to 14: outcome, queue, interrupts.

// execute is an Executor that is a function.
type execute func(ctx context.Context, p *nodebus.Prompt, pub nodebus.Publisher) (map[string]nodebus.UI, error)

func (f execute) Execute(ctx context.Context, p *nodebus.Prompt, pub nodebus.Publisher) (map[string]nodebus.UI, error) {
	return f(ctx, p, pub)
}

func shown(id string) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.AddAs("o", "Show", in{"in": id})
	return g.Nodes()
}

// TestSection12AnyExecutorIsFramedRight: whatever an executor does, the prompt
// has its first words and one last.
func TestSection12AnyExecutorIsFramedRight(t *testing.T) {
	ui := map[string]nodebus.UI{"o": nodebus.Text("x")}
	var kept nodebus.Publisher
	for _, c := range []struct {
		name string
		run  execute
		want []string
	}{
		{"does nothing", func(context.Context, *nodebus.Prompt, nodebus.Publisher) (map[string]nodebus.UI, error) {
			return ui, nil
		}, []string{"start", "cached", "success", "executing "}},
		{"fails", func(context.Context, *nodebus.Prompt, nodebus.Publisher) (map[string]nodebus.UI, error) {
			return ui, errors.New("boom")
		}, []string{"start", "cached", "errors.errorString ", "executing "}},
		{"panics", func(context.Context, *nodebus.Prompt, nodebus.Publisher) (map[string]nodebus.UI, error) {
			panic("at the disco")
		}, []string{"start", "cached", "panic ", "executing "}},
		{"interrupts itself", func(context.Context, *nodebus.Prompt, nodebus.Publisher) (map[string]nodebus.UI, error) {
			return ui, fmt.Errorf("enough: %w", nodebus.ErrInterrupted)
		}, []string{"start", "cached", "interrupted ", "executing "}},
		{"names the node", func(context.Context, *nodebus.Prompt, nodebus.Publisher) (map[string]nodebus.UI, error) {
			return ui, &nodebus.NodeError{NodeID: "o.1", Class: "Inner", RealID: "o", RealClass: "Show", Err: errors.New("boom")}
		}, []string{"start", "cached", "errors.errorString o", "executing "}},
		{"tells without addressing", func(_ context.Context, _ *nodebus.Prompt, pub nodebus.Publisher) (map[string]nodebus.UI, error) {
			_ = pub.Publish(nodebus.Event{Payload: nodebus.Executing{Node: "o"}})
			_ = pub.Publish(nodebus.Event{Payload: nodebus.ExecutionCached{Nodes: []string{"late"}}})
			_ = pub.Publish(nodebus.Event{Payload: nodebus.Executed{Node: "o", Output: nodebus.Text("x")}})
			return nil, nil
		}, []string{"start", "cached", "executing o", "executed o", "success", "executing "}},
		{"tells after its end", func(_ context.Context, _ *nodebus.Prompt, pub nodebus.Publisher) (map[string]nodebus.UI, error) {
			kept = pub
			return ui, pub.Publish(nodebus.Event{Payload: nodebus.ExecutionCached{Nodes: []string{"o"}}})
		}, []string{"start", "cached o", "success", "executing "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, &nodebus.EngineOptions{Executor: c.run}, func(r *rig) {
				o := r.run(shown("x"))
				require.Equal(t, c.want, o.types())
				if o.record.State == nodebus.Succeeded {
					require.Equal(t, []any{"x"}, o.text("o"), "what it showed is recorded, told or not")
				}
				if kept != nil {
					require.ErrorIs(t, kept.Publish(nodebus.Event{Payload: nodebus.Custom{Type: "late"}}), nodebus.ErrClosed)
				}
			})
		})
	}
}

// TestSection12RecordIsThereBeforeTheLastWord reads the record from within the
// delivery of the last word.
func TestSection12RecordIsThereBeforeTheLastWord(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("boom") })
		for i, nodes := range []nodebus.Nodes{shown("x"), two("Fail")} {
			id := fmt.Sprint("p", i)
			events := r.hub.Subscribe(r.ctx)
			_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: id, Nodes: nodes})
			require.NoError(t, err)
			for ev, err := range events {
				require.NoError(t, err)
				switch ev.Payload.(type) {
				case nodebus.ExecutionSuccess, nodebus.ExecutionError:
					rec, err := r.engine.Store().Get(r.ctx, id)
					require.NoError(t, err)
					require.NotZero(t, rec.Ended)
					require.Empty(t, r.engine.Running(), "it is in one place or the other")
				case nodebus.Executing:
					if ev.Payload.(nodebus.Executing).Node == "" {
						return
					}
				}
			}
		}
	})
}

func TestSection12StoreThatFails(t *testing.T) {
	inBubble(t, nil, &nodebus.EngineOptions{Store: badStore{nodebus.NewStore(0)}}, func(r *rig) {
		events := r.hub.Subscribe(r.ctx)
		_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{Nodes: shown("x")})
		require.NoError(t, err)
		var got []string
		for ev, err := range events {
			require.NoError(t, err)
			if e, ok := ev.Payload.(nodebus.ExecutionError); ok {
				require.Contains(t, e.ExceptionMessage, "the record could not be stored: disk full")
			}
			if ev.PromptID != "" {
				got = append(got, ev.Payload.EventType())
			}
			if e, ok := ev.Payload.(nodebus.Executing); ok && e.Node == "" {
				break
			}
		}
		require.Contains(t, got, "execution_error", "a last word that promises a record is not said")
		require.NotContains(t, got, "execution_success")
	})
}

type badStore struct{ nodebus.Store }

func (badStore) Put(context.Context, nodebus.Record) error { return errors.New("disk full") }

func TestSection12Record(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		p := &nodebus.Prompt{ID: "p", ClientID: "c", Nodes: shown("x"), Extra: map[string]any{"k": "v"}, Secrets: map[string]string{"API_KEY_COMFY_ORG": "secret"}}
		o := r.submit(p)
		rec := o.record
		require.Equal(t, "p", rec.Start.PromptID)
		require.Equal(t, []string{}, rec.Cached.Nodes)
		require.Equal(t, rec.Ended.UnixMilli(), rec.Success.Timestamp)
		require.Nil(t, rec.Error)
		require.Nil(t, rec.Interrupted)
		require.Equal(t, []string{"o"}, rec.Prompt.Outputs)
		require.Equal(t, []nodebus.NodeOutput{{NodeID: "o", DisplayID: "o", RealID: "o", UI: nodebus.Text("x")}}, rec.Outputs)
		enc, err := nodebus.JSON.Encode(nodebus.Event{Payload: nodebus.Custom{Type: "record", Data: rec}})
		require.NoError(t, err)
		require.NotContains(t, string(enc.Data), "secret")
	})
}

func TestSection13Priorities(t *testing.T) {
	inBubble(t, nil, &nodebus.EngineOptions{Parallel: 1}, func(r *rig) {
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
			waiting = append(waiting, p.ID)
		}
		want := []string{"3:-1", "1:0", "4:0", "5:0.5", "0:5", "2:5", "6:7"}
		require.Equal(t, want, waiting)
		gone, err := r.engine.Delete(r.ctx, "1:0", "5:0.5", "nobody", "first")
		require.NoError(t, err)
		require.ElementsMatch(t, []string{"1:0", "5:0.5"}, gone, "only what waits can be deleted")
		close(hold)
		last()
		require.Equal(t, []string{"first", "3:-1", "4:0", "0:5", "2:5", "6:7"}, order)
		_, err = r.engine.Store().Get(r.ctx, "1:0")
		require.ErrorIs(t, err, nodebus.ErrNotFound)
	})
}

func TestSection13OneClientInOrderOthersSideBySide(t *testing.T) {
	for _, c := range []struct {
		parallel, perClient int
		want                time.Duration
	}{
		{4, 1, 3 * time.Second}, {1, 1, 6 * time.Second}, {4, 2, 2 * time.Second}, {8, 8, time.Second},
	} {
		inBubble(t, &nodebus.LocalOptions{Workers: 8, Cache: nodebus.NoCache()}, &nodebus.EngineOptions{Parallel: c.parallel, PerClient: c.perClient}, func(r *rig) {
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
			_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: id, Nodes: shown("y")})
			require.ErrorIs(t, err, nodebus.ErrDuplicate, id)
		}
		close(hold)
		running()
		require.Equal(t, []any{"x"}, waiting().text("o"), "the first of that id is untouched")
		_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "waiting", Nodes: shown("y")})
		require.ErrorIs(t, err, nodebus.ErrDuplicate, "it has a record")
		require.NoError(t, r.engine.Store().Delete(r.ctx, "waiting"))
		require.Equal(t, []any{"y"}, r.submit(&nodebus.Prompt{ID: "waiting", Nodes: shown("y")}).text("o"), "an id that is forgotten can be used again")
	})
}

func TestSection13FullQueue(t *testing.T) {
	inBubble(t, nil, &nodebus.EngineOptions{Queue: nodebus.NewQueue(2), Parallel: 1}, func(r *rig) {
		hold := make(chan struct{})
		r.fn("Hold", func(*nodebus.Context, any, any) (any, error) { <-hold; return 1, nil })
		r.start(&nodebus.Prompt{Nodes: two("Hold")})
		synctest.Wait()
		r.start(&nodebus.Prompt{Nodes: shown("a")})
		last := r.start(&nodebus.Prompt{Nodes: shown("b")})
		_, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "c", Nodes: shown("c")})
		require.ErrorIs(t, err, nodebus.ErrFull)
		require.Equal(t, 3, r.engine.Remaining())
		require.False(t, r.engine.Interrupt("c"), "it was not taken")
		close(hold)
		last()
		require.Equal(t, []any{"c"}, r.submit(&nodebus.Prompt{ID: "c", Nodes: shown("c")}).text("o"))
	})
}

func TestSection13Hold(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		answered := make(chan struct{})
		held := r.start(&nodebus.Prompt{ID: "held", ClientID: "a", Hold: answered, Nodes: shown("held")})
		require.Equal(t, []any{"free"}, r.submit(&nodebus.Prompt{ClientID: "b", Nodes: shown("free")}).text("o"), "no other is held up")
		synctest.Wait()
		require.Empty(t, r.engine.Running())
		close(answered)
		require.Equal(t, []any{"held"}, held().text("o"))

		r.start(&nodebus.Prompt{ID: "never", Hold: make(chan struct{}), Nodes: shown("x")})
		require.True(t, r.engine.Interrupt("never"))
	})
}

func TestSection13StatusTellsEveryone(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		events := r.hub.Subscribe(r.ctx)
		r.submit(&nodebus.Prompt{ID: "p", Nodes: shown("x")})
		_, err := r.engine.Delete(r.ctx)
		require.NoError(t, err)
		_, err = r.engine.Submit(r.ctx, &nodebus.Prompt{Nodes: two("None")})
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
				got = append(got, "executing "+p.Node)
			}
			if len(got) == 7 {
				break
			}
		}
		require.Equal(t, []any{1, 1, "executing o", "success", 0, "executing ", 0}, got)
	})
}

func TestSection14InterruptHitsOnePromptAlone(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Work", func(ctx *nodebus.Context, v, _ any) (any, error) {
			select {
			case <-ctx.Done():
				return nil, context.Cause(ctx)
			case <-time.After(time.Second):
				return v, nil
			}
		})
		var waits []func() outcome
		for i := range 4 { // two run, two wait
			waits = append(waits, r.start(&nodebus.Prompt{ID: fmt.Sprint(i), ClientID: fmt.Sprint(i % 2), Nodes: pipe("x", "Work", i)}))
		}
		synctest.Wait()
		require.True(t, r.engine.Interrupt("0"), "it runs")
		require.True(t, r.engine.Interrupt("3"), "it waits")
		require.False(t, r.engine.Interrupt("nobody"))
		require.Equal(t, []string{"start", "cached", "executing x", "interrupted x", "executing "}, waits[0]().types())
		require.Equal(t, []string{"interrupted ", "executing "}, waits[3]().types())
		for _, i := range []int{1, 2} {
			require.Equal(t, []any{fmt.Sprint(i)}, waits[i]().text("xo"))
		}
		require.False(t, r.engine.Interrupt("1"), "it has ended")
		for id, want := range map[string]nodebus.State{"0": nodebus.Stopped, "1": nodebus.Succeeded, "2": nodebus.Succeeded, "3": nodebus.Stopped} {
			rec, err := r.engine.Store().Get(r.ctx, id)
			require.NoError(t, err)
			require.Equal(t, want, rec.State)
		}
	})
}

// TestSection14InterruptAtEveryMoment interrupts a prompt again and again while
// it is taken, run and ended, and the next is never hit.
func TestSection14InterruptAtEveryMoment(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Id", func(_ *nodebus.Context, v, _ any) (any, error) { return v, nil })
		for i := range 300 {
			id, next := fmt.Sprint("p", i), fmt.Sprint("n", i)
			wait := r.start(&nodebus.Prompt{ID: id, ClientID: "c", Nodes: pipe("x", "Id", i)})
			after := r.start(&nodebus.Prompt{ID: next, ClientID: "c", Nodes: pipe("x", "Id", -i)})
			stop := make(chan struct{})
			go func() {
				for range i {
					r.engine.Interrupt(id)
				}
				close(stop)
			}()
			require.Equal(t, 1, count_(wait().types(), "executing "))
			<-stop
			require.Equal(t, nodebus.Succeeded, after().record.State)
		}
	})
}

func count_(l []string, s string) (n int) {
	for _, e := range l {
		if e == s {
			n++
		}
	}
	return n
}

func TestSection14NodesMayInterruptThemselves(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Stop", func(*nodebus.Context, any, any) (any, error) {
			return nil, fmt.Errorf("enough: %w", nodebus.ErrInterrupted)
		})
		o := r.run(two("Stop"))
		require.Equal(t, []string{"start", "cached", "executing x", "interrupted x", "executing "}, o.types())
		require.Equal(t, "Stop", o.record.Interrupted.NodeType)
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		reg := nodebus.NewRegistry()
		nodebus.Register(reg, show{}, nodebus.Info{Name: "Show"})
		nodebus.Register(reg, fn{f: func(ctx *nodebus.Context, _, _ any) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, nodebus.Info{Name: "Wait"})
		hub := nodebus.NewHub(nil)
		engine := nodebus.NewEngine(reg, hub, nil)
		_, err := engine.Submit(t.Context(), &nodebus.Prompt{ID: "runs", Nodes: two("Wait")})
		require.NoError(t, err)
		_, err = engine.Submit(t.Context(), &nodebus.Prompt{ID: "waits", Nodes: shown("x")})
		require.NoError(t, err)
		why := errors.New("the program ends")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- engine.Run(ctx) }()
		synctest.Wait()
		cancel(why)
		require.ErrorIs(t, <-ended, why)
		rec, err := engine.Store().Get(t.Context(), "runs")
		require.NoError(t, err, "it was waited for")
		require.Equal(t, nodebus.Stopped, rec.State)
		require.Equal(t, 1, engine.Remaining(), "what waits stays")

		ctx, cancel2 := context.WithCancel(t.Context()) // and can be taken up again
		go func() { ended <- engine.Run(ctx) }()
		synctest.Wait()
		rec, err = engine.Store().Get(t.Context(), "waits")
		require.NoError(t, err)
		require.Equal(t, nodebus.Succeeded, rec.State)
		cancel2()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, hub.Close())
	})
}

func TestQueueThatFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hub := nodebus.NewHub(nil)
		err := nodebus.NewEngine(nodebus.NewRegistry(), hub, &nodebus.EngineOptions{Queue: badQueue{}}).Run(t.Context())
		require.EqualError(t, err, "nodebus: taking a prompt from the queue: no connection")
		require.NoError(t, hub.Close())
	})
}

type badQueue struct{}

var errQueue = errors.New("no connection")

func (badQueue) Push(context.Context, *nodebus.Prompt) error { return errQueue }
func (badQueue) Pop(context.Context, func(*nodebus.Prompt) bool) (*nodebus.Prompt, error) {
	return nil, errQueue
}

func (badQueue) List(context.Context) iter.Seq2[*nodebus.Prompt, error] {
	return func(yield func(*nodebus.Prompt, error) bool) { yield(nil, errQueue) }
}
func (badQueue) Delete(context.Context, ...string) ([]string, error) { return nil, errQueue }

func TestStore(t *testing.T) {
	s := nodebus.NewStore(3)
	for i := range 5 {
		require.NoError(t, s.Put(t.Context(), nodebus.Record{Prompt: &nodebus.Prompt{ID: fmt.Sprint(i)}}))
	}
	ids := func() (ids []string) {
		for r, err := range s.List(t.Context()) {
			require.NoError(t, err)
			ids = append(ids, r.Prompt.ID)
		}
		return ids
	}
	require.Equal(t, []string{"4", "3", "2"}, ids(), "newest first, and no more than it was made for")
	_, err := s.Get(t.Context(), "1")
	require.ErrorIs(t, err, nodebus.ErrNotFound)
	require.NoError(t, s.Put(t.Context(), nodebus.Record{Prompt: &nodebus.Prompt{ID: "3"}, State: nodebus.Failed}))
	rec, err := s.Get(t.Context(), "3")
	require.NoError(t, err)
	require.Equal(t, nodebus.Failed, rec.State)
	require.Equal(t, []string{"4", "3", "2"}, ids(), "an id that is put again keeps its place")
	require.NoError(t, s.Delete(t.Context(), "4", "nobody"))
	require.Equal(t, []string{"3", "2"}, ids())
	for rec, err := range s.List(t.Context()) { // a reader may stop early
		require.NoError(t, err)
		require.Equal(t, "3", rec.Prompt.ID)
		break
	}
}
