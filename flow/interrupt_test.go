package flow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 14: interrupts and the end of the program.

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
		for i := range 4 { // two prompts run and two wait
			waits = append(waits, r.start(&nodebus.Prompt{ID: fmt.Sprint(i), ClientID: fmt.Sprint(i % 2), Nodes: pipe("x", "Work", i)}))
		}
		synctest.Wait()
		require.True(t, interrupt(r.engine, "0"), "prompt 0 runs")
		require.True(t, interrupt(r.engine, "3"), "prompt 3 waits")
		require.False(t, interrupt(r.engine, "nobody"))
		require.Equal(t, []string{"start", "cached", "executing x", "interrupted x", "executing "}, waits[0]().types())
		require.Equal(t, []string{"interrupted ", "executing "}, waits[3]().types())
		for _, i := range []int{1, 2} {
			require.Equal(t, []any{fmt.Sprint(i)}, waits[i]().text("xo"))
		}
		require.False(t, interrupt(r.engine, "1"), "prompt 1 has ended")
		for id, want := range map[string]nodebus.State{"0": nodebus.Interrupted, "1": nodebus.Succeeded, "2": nodebus.Succeeded, "3": nodebus.Interrupted} {
			rec, err := r.engine.Store().Get(r.ctx, id)
			require.NoError(t, err)
			require.Equal(t, want, rec.State)
		}
	})
}

// TestSection14InterruptAtEveryMoment interrupts a prompt many times while it is
// taken, runs and ends, and checks that the next prompt of the client is never
// interrupted.
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
					interrupt(r.engine, id)
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
		require.Equal(t, "Stop", o.record.Interrupted.Class)
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg := flow.NewRegistry()
		flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
		flow.Register(reg, fn{f: func(ctx *nodebus.Context, _, _ any) (any, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}}, nodebus.Info{Name: "Wait"})
		hub := nodebus.NewHub(nil)
		engine := flow.NewEngine(reg, hub, nil)
		_, err := submit(engine, t.Context(), &nodebus.Prompt{ID: "runs", Nodes: two("Wait")})
		require.NoError(t, err)
		_, err = submit(engine, t.Context(), &nodebus.Prompt{ID: "waits", Nodes: shown("x")})
		require.NoError(t, err)
		why := errors.New("the program ends")
		ctx, cancel := context.WithCancelCause(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- engine.Run(ctx) }()
		synctest.Wait()
		cancel(why)
		require.ErrorIs(t, <-ended, why)
		rec, err := engine.Store().Get(t.Context(), "runs")
		require.NoError(t, err, "Run waits for the running prompt")
		require.Equal(t, nodebus.Interrupted, rec.State)
		require.Equal(t, 1, engine.Remaining(), "the waiting prompt stays in the queue")

		ctx, cancel2 := context.WithCancel(t.Context()) // a second Run takes the waiting prompt
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

// TestAbandonedNodeGivesItsSlotBack checks that the slot of an abandoned node goes
// to a prompt that waits for a slot.
func TestAbandonedNodeGivesItsSlotBack(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, &flow.EngineOptions{Parallel: 2}, func(r *rig) {
		n := unhearing{release: make(chan struct{})}
		flow.Register(r.reg, n, nodebus.Info{Name: "Deaf"})
		deaf := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: two("Deaf")})
		synctest.Wait()
		other := r.start(&nodebus.Prompt{ClientID: "other", Nodes: showing("x")})
		synctest.Wait()
		require.True(t, interrupt(r.engine, "p"))
		require.Equal(t, nodebus.Interrupted, deaf().record.State)
		require.Equal(t, nodebus.Succeeded, other().record.State)
		close(n.release)
	})
}

// TestAbandonedNodeSendsNoMore checks that an abandoned node can send no events,
// even if the publisher would accept them.
func TestAbandonedNodeSendsNoMore(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		reg := flow.NewRegistry()
		release, sent := make(chan struct{}), make(chan error, 2)
		flow.Register(reg, fn{f: func(c *nodebus.Context, _, _ any) (any, error) {
			<-release
			sent <- c.SendSync(nodebus.Custom{Type: "late"})
			c.Progress(1, 2)
			_, err := nodebus.Eval[any](c, c.NewGraph(), nodebus.Link{Node: "x"})
			sent <- err
			return 1, nil
		}}, nodebus.Info{Name: "Deaf", Output: true})
		local := flow.NewLocal(reg, nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		tape := &recorder{}
		_, err := execute(local, ctx, &nodebus.Prompt{ID: "p", Nodes: two("Deaf")[:1]}, tape)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		tape.mu.Lock()
		said := len(tape.payloads)
		tape.mu.Unlock()
		close(release)
		require.ErrorIs(t, <-sent, nodebus.ErrClosed)
		require.ErrorIs(t, <-sent, nodebus.ErrClosed)
		synctest.Wait()
		require.Len(t, tape.payloads, said)
	})
}

// TestInterruptOfAPromptThatIsTakenMeanwhile checks that Interrupt has found a prompt that
// begins, and ends, before the queue is asked to delete it.
func TestInterruptOfAPromptThatIsTakenMeanwhile(t *testing.T) {
	q := &hookedQueue{Queue: flow.NewQueue(nil), deletes: func(int64) { synctest.Wait() }}
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "p", Nodes: shown("x")}, &flow.SubmitOptions{Ready: make(chan struct{})})
		require.NoError(t, err)
		synctest.Wait()
		require.True(t, interrupt(r.engine, "p"), "the interrupt lets the engine take the prompt")
		o, err := s.Wait(r.ctx)
		require.NoError(t, err)
		require.Equal(t, nodebus.Interrupted, o.State)
		require.False(t, interrupt(r.engine, "p"), "it has ended")
	})
}

// TestDeleteOfAPromptThatIsTakenMeanwhile checks the same for a prompt that waits for its
// next attempt.
func TestDeleteOfAPromptThatIsTakenMeanwhile(t *testing.T) {
	inFleet(t, func(f *fleet) {
		e := f.engine(&flow.EngineOptions{Queue: &hookedQueue{Queue: f.queue, deletes: func(int64) { synctest.Wait() }}})
		f.run(e)
		s := f.betweenAttempts(e, nodebus.Policy{})
		gone, err := e.Delete(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, []string{"p"}, gone)
		require.Equal(t, nodebus.Interrupted, f.ended(s))
	})
}

// slowPut is a store whose Put takes a minute.
type slowPut struct{ flow.Store }

func (s slowPut) Put(ctx context.Context, r flow.Record) error {
	time.Sleep(time.Minute)
	return s.Store.Put(ctx, r)
}

// TestQueuedWhileAnInterruptedPromptEnds looks at the queue while the record of a prompt is
// stored that was interrupted before its next attempt. It is for the race detector.
func TestQueuedWhileAnInterruptedPromptEnds(t *testing.T) {
	inFleet(t, func(f *fleet) {
		e := f.engine(&flow.EngineOptions{Store: slowPut{f.store}, Queue: &hookedQueue{Queue: f.queue, deletes: func(int64) { time.Sleep(time.Second) }}})
		f.run(e)
		s := f.betweenAttempts(e, nodebus.Policy{})
		require.True(t, interrupt(e, "p"))
		require.Equal(t, []string{"+p"}, queued(t, e.Queued(f.ctx, "p")), "it ends")
		require.Equal(t, nodebus.Interrupted, f.ended(s))
	})
}

// TestDeleteOfAPromptThatComesBackMeanwhile deletes a prompt that runs when it is listed, and waits
// when it is deleted. It ends as interrupted if its attempt has begun.
func TestDeleteOfAPromptThatComesBackMeanwhile(t *testing.T) {
	for name, c := range map[string]struct {
		back    func(ctx context.Context, l flow.Lease) error
		deleted []string
		told    []string
	}{
		"handed over":          {func(ctx context.Context, l flow.Lease) error { return l.Extend(ctx, 0) }, []string{"p"}, []string{"interrupted ", "executing "}},
		"it had not begun":     {func(ctx context.Context, l flow.Lease) error { return l.Release(ctx) }, []string{"p"}, nil},
		"it has ended":         {func(ctx context.Context, l flow.Lease) error { return l.Done(ctx) }, nil, nil},
		"it does not, it runs": {func(context.Context, flow.Lease) error { return nil }, nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				f.submit(f.engine(nil), &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
				lease, err := f.queue.TakeOne(f.ctx, "p")
				require.NoError(t, err)
				e := f.engine(&flow.EngineOptions{Queue: &hookedQueue{Queue: f.queue, deletes: func(n int64) {
					if n == 1 {
						assert.NoError(t, c.back(f.ctx, lease))
					}
				}}})
				tape := f.record()
				deleted, err := e.Delete(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, c.deleted, deleted)
				types, _ := tape.of("p")
				require.Equal(t, c.told, types)
				rec, err := f.store.Get(f.ctx, "p")
				require.Equal(t, c.told != nil, err == nil)
				require.Equal(t, c.told != nil, rec.State == nodebus.Interrupted)
				require.Equal(t, name == "it does not, it runs", len(queued(t, f.queue.List(f.ctx))) == 1)
			})
		})
	}
}

// TestDeleteBesideAHandOver deletes a prompt while another engine hands it over. Clients, who have
// seen its start, hear of its end.
func TestDeleteBesideAHandOver(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.fn("Gate", (&gateNode{make(chan struct{})}).run)
		a := f.engine(&flow.EngineOptions{HandOver: true})
		tape := f.record()
		stop := f.run(a)
		s := f.submit(a, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Gate")})
		synctest.Wait()
		b := f.engine(&flow.EngineOptions{Queue: &hookedQueue{Queue: f.queue, deletes: func(int64) { stop() }}})
		deleted, err := b.Delete(f.ctx, "p")
		require.NoError(t, err)
		require.Equal(t, []string{"p"}, deleted)
		require.Equal(t, nodebus.Interrupted, f.ended(s))
		types, _ := tape.of("p")
		require.Equal(t, []string{"start", "cached", "executing x", "interrupted ", "executing "}, types)
	})
}
