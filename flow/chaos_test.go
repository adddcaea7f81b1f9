package flow_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestChaos has three engines over one queue whose calls fail, whose leases lapse, and
// whose Runs pause, drain, end and begin again, while prompts are interrupted, deleted and
// moved. Each prompt ends exactly once, and nothing waits for ever.
func TestChaos(t *testing.T) {
	prompts, seeds := 100, 4
	if *long {
		prompts, seeds = 500, 20
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				c := &chaos{fleet: f, dice: newDice(uint64(seed)), calm: &atomic.Bool{}, ids: map[string]*fate{}}
				c.run(prompts)
			})
		})
	}
}

// chaos is one run of the test.
type chaos struct {
	*fleet
	*dice
	calm    *atomic.Bool
	engines []*flow.Engine
	queues  []*chaosQueue

	mu  sync.Mutex
	ids map[string]*fate
	all []string
}

// fate is what is known about a prompt.
type fate struct {
	s       *flow.Submission // nil if Submit did not succeed
	deleted bool             // by Delete
}

func (c *chaos) run(prompts int) {
	c.fn("Chaos", chaosNode(c.dice))
	tape := c.record()
	stop := make(chan struct{})
	var all sync.WaitGroup
	for range 3 {
		q := &chaosQueue{Queue: c.queue, dice: c.dice, calm: c.calm}
		e := c.engine(&flow.EngineOptions{Queue: q, Parallel: 2, PerClient: 2})
		c.engines, c.queues = append(c.engines, e), append(c.queues, q)
		all.Go(func() { c.keepRunning(e, stop) })
	}
	var makers sync.WaitGroup
	for range 2 {
		makers.Go(func() { c.meddle(stop) })
	}
	for i := range prompts {
		c.submitOne(fmt.Sprint(i))
		time.Sleep(c.upTo(time.Second))
	}
	time.Sleep(time.Minute)
	close(stop)
	makers.Wait()
	c.calm.Store(true)
	all.Wait()
	for _, e := range c.engines {
		e.Resume()
		c.fleet.run(e)
	}
	c.waitForAll()
	time.Sleep(longer) // leases that nobody knows lapse
	c.judge(tape)
}

// keepRunning runs an engine again and again.
func (c *chaos) keepRunning(e *flow.Engine, stop <-chan struct{}) {
	for {
		ctx, cancel := context.WithCancel(c.ctx)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_ = e.Run(ctx)
		}()
		select {
		case <-time.After(30*time.Second + c.upTo(5*time.Minute)):
			if c.chance(70) { // otherwise what runs is interrupted
				short, over := context.WithTimeout(c.ctx, c.upTo(time.Minute))
				_ = e.Drain(short)
				over()
			}
		case <-ended:
		case <-stop:
			cancel()
			<-ended
			return
		}
		cancel()
		<-ended
	}
}

// submitOne submits a prompt with a random policy.
func (c *chaos) submitOne(id string) {
	p := &nodebus.Prompt{ID: id, ClientID: fmt.Sprint(c.n(5)), Priority: float64(c.n(3)), Nodes: pipe("x", "Chaos", id)}
	if c.chance(30) {
		p.Policy.Retries, p.Policy.RetryAfter = c.n(4), c.upTo(40*time.Second)
	}
	if c.chance(10) {
		p.Policy.Deadline = time.Now().Add(c.upTo(2 * time.Minute))
	}
	if c.chance(10) {
		p.Policy.Timeout = time.Second + c.upTo(time.Minute)
	}
	opts := &flow.SubmitOptions{}
	if c.chance(20) {
		ready := make(chan struct{})
		opts.Ready = ready
		time.AfterFunc(c.upTo(20*time.Second), func() { close(ready) })
	}
	f := &fate{}
	for range 5 {
		if f.s, _ = c.engines[c.n(3)].Submit(c.ctx, p, opts); f.s != nil {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ids[id] = f
	c.all = append(c.all, id)
}

// meddle does random things to random prompts and engines.
func (c *chaos) meddle(stop <-chan struct{}) {
	for {
		select {
		case <-stop:
			return
		case <-time.After(c.upTo(4 * time.Second)):
		}
		c.mu.Lock()
		id := "nobody"
		if len(c.all) > 0 {
			id = c.all[max(len(c.all)-1-c.n(20), 0)]
		}
		c.mu.Unlock()
		at := c.n(3)
		e := c.engines[at]
		switch c.n(12) {
		case 0, 1:
			_, _ = e.Interrupt(c.ctx, id)
		case 2:
			gone, _ := e.Delete(c.ctx, id)
			c.mu.Lock()
			for _, id := range gone {
				c.ids[id].deleted = true
			}
			c.mu.Unlock()
		case 3:
			e.Pause()
			time.Sleep(c.upTo(10 * time.Second))
			e.Resume()
		case 4:
			_ = e.Prioritize(c.ctx, id, float64(c.n(5)))
		case 5:
			_ = e.Reorder(c.ctx, id)
		case 6, 7:
			c.queues[at].cut.Store(true)
			time.Sleep(20*time.Second + c.upTo(time.Minute))
			c.queues[at].cut.Store(false)
		case 8:
			short, cancel := context.WithTimeout(c.ctx, c.upTo(time.Minute))
			_, err := e.Wait(short, id)
			cancel()
			assert.True(c.t, err == nil || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, flow.ErrNotFound) || errors.Is(err, errChaos), err)
		default:
			_, _ = e.Position(c.ctx, id)
			e.Remaining()
		}
	}
}

// waitForAll waits for all prompts that were accepted, and were not deleted.
func (c *chaos) waitForAll() {
	for _, id := range c.all {
		f := c.ids[id]
		if f.s == nil || f.deleted {
			continue
		}
		o, err := f.s.Wait(c.ctx)
		require.NoError(c.t, err, id)
		rec, err := c.store.Get(c.ctx, id)
		require.NoError(c.t, err, id)
		require.Equal(c.t, rec.State, o.State, id)
	}
}

// story returns the events of a prompt, with their attempts and times.
func (tp *tape) story(id string) (said []string) {
	for _, ev := range tp.events {
		if ev.PromptID == id {
			said = append(said, fmt.Sprintf("%v %s %d", ev.Time.Sub(bubbleStart), ev.Payload.EventType(), ev.Attempt))
		}
	}
	return said
}

// judge checks that each prompt has ended once, and that nothing is left.
func (c *chaos) judge(tp *tape) {
	synctest.Wait()
	begun := map[string]int{} // the newest attempt
	outcomes, closed := map[string]int{}, map[string]int{}
	for _, ev := range tp.events {
		id := ev.PromptID
		if id == "" {
			continue
		}
		require.Zero(c.t, closed[id], "prompt %s: %s after its end: %s", id, ev.Payload.EventType(), tp.story(id))
		switch p := ev.Payload.(type) {
		case nodebus.ExecutionStart:
			require.Greater(c.t, ev.Attempt, begun[id], "prompt %s begins", id)
			begun[id] = ev.Attempt
		case nodebus.ExecutionSuccess, nodebus.ExecutionError, nodebus.ExecutionInterrupted:
			outcomes[id]++
		case nodebus.Executing:
			if p.UniqueID == "" {
				closed[id]++
			}
		default:
			require.Equal(c.t, begun[id], ev.Attempt, "prompt %s: %s", id, ev.Payload.EventType())
		}
	}
	for id, f := range c.ids {
		want := 1
		if (f.s == nil || f.deleted) && begun[id] == 0 {
			want = outcomes[id]
		}
		require.Equal(c.t, want, outcomes[id], "prompt %s", id)
		require.Equal(c.t, want, closed[id], "prompt %s", id)
		require.LessOrEqual(c.t, want, 1)
	}
	require.Empty(c.t, queued(c.t, c.queue.List(c.ctx)))
	for _, e := range c.engines {
		require.Zero(c.t, e.Remaining())
	}
}
