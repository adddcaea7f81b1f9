package flow_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestHandOver: the context of Run ends. A prompt that waits for an answer is given back at
// once, a prompt that runs longer than Drain after that time, and a prompt that an interrupt
// hits meanwhile ends as interrupted. Another engine goes on.
func TestHandOver(t *testing.T) {
	inFleet(t, func(f *fleet) {
		took := func(d time.Duration) func(*nodebus.Context, any, any) (any, error) {
			return func(ctx *nodebus.Context, _, _ any) (any, error) {
				select {
				case <-time.After(d):
					return ctx.Attempt(), nil
				case <-ctx.Done():
					return nil, context.Cause(ctx)
				}
			}
		}
		node := func(name string, do func(ctx *nodebus.Context, in, in2 any) (any, error)) {
			flow.Register(f.reg, fn{f: do}, nodebus.Info{Name: name, Async: true})
		}
		node("Quick", took(5*time.Second))
		node("Slow", took(time.Minute))
		node("Late", func(ctx *nodebus.Context, _, _ any) (any, error) { // rests while Run drains
			time.Sleep(2 * time.Second)
			return nodebus.Await[string](ctx, "word", nil)
		})
		node("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) { return nodebus.Await[string](ctx, "word", nil) })
		node("Deaf", func(*nodebus.Context, any, any) (any, error) { time.Sleep(12 * time.Second); return 1, nil })
		tape := f.record()
		old := f.engine(&flow.EngineOptions{Parallel: 8, PerClient: 8, Drain: 10 * time.Second, HandOver: true})
		stop := f.run(old)
		waits := map[string]*flow.Submission{}
		for _, class := range []string{"Quick", "Slow", "Late", "Ask", "Deaf"} {
			waits[class] = f.submit(old, &nodebus.Prompt{ID: class, Nodes: two(class)})
		}
		synctest.Wait()
		began := time.Now()
		stopped := make(chan struct{})
		go func() { stop(); close(stopped) }()
		synctest.Wait()
		require.Equal(t, []string{"+Quick", "+Slow", "+Late", "+Deaf", "Ask"}, queued(t, old.Queued(f.ctx)))
		time.Sleep(11 * time.Second)
		_, err := old.Interrupt(f.ctx, "Deaf") // too late for its context, which has ended
		require.NoError(t, err)
		<-stopped
		require.Less(t, time.Since(began), time.Minute)
		require.Equal(t, nodebus.Succeeded, f.ended(waits["Quick"]))
		require.Equal(t, nodebus.Interrupted, f.ended(waits["Deaf"]))
		require.ElementsMatch(t, []string{"Slow", "Late", "Ask"}, queued(t, old.Queued(f.ctx)))
		require.NoError(t, old.Answer(f.ctx, "Ask", "x", "word", "early"))

		heir := f.engine(&flow.EngineOptions{Parallel: 8, PerClient: 8})
		f.run(heir)
		synctest.Wait()
		require.NoError(t, heir.Answer(f.ctx, "Late", "x", "word", "now"))
		for _, class := range []string{"Slow", "Late", "Ask"} {
			require.Equal(t, nodebus.Succeeded, f.ended(waits[class]), class)
			types, attempts := tape.of(class)
			require.Equal(t, "start", types[0])
			require.Equal(t, []string{"success", "executing "}, types[len(types)-2:])
			require.Equal(t, 1, attempts[0])
			require.Equal(t, 2, attempts[len(attempts)-1], class)
		}
	})
}

// TestHandOverWithoutDrain: what runs is given back at once, and the next Run of the same
// engine goes on.
func TestHandOverWithoutDrain(t *testing.T) {
	inFleet(t, func(f *fleet) {
		f.fn("Slow", waitsForEnd)
		e := f.engine(&flow.EngineOptions{HandOver: true})
		stop := f.run(e)
		s := f.submit(e, &nodebus.Prompt{ID: "p", Nodes: two("Slow")})
		synctest.Wait()
		stop()
		require.Equal(t, []string{"p"}, queued(t, e.Queued(f.ctx)))
		f.run(e)
		synctest.Wait()
		require.Equal(t, []string{"+p"}, queued(t, e.Queued(f.ctx)))
		found, err := e.Interrupt(f.ctx, "p")
		require.NoError(t, err)
		require.True(t, found)
		require.Equal(t, nodebus.Interrupted, f.ended(s))
	})
}
