package flow_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// crowd runs many prompts whose nodes compute and ask, and knows at each moment which
// prompts compute.
type crowd struct {
	mu    sync.Mutex
	now   map[string]int // prompts that compute: number of nodes
	most  int            // prompts at the same time
	nodes int            // nodes at the same time
	full  int            // nodes that compute now
}

func (c *crowd) compute(prompt string, d time.Duration) {
	c.mu.Lock()
	c.now[prompt]++
	c.full++
	c.most, c.nodes = max(c.most, len(c.now)), max(c.nodes, c.full)
	c.mu.Unlock()
	time.Sleep(d)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.full--
	if c.now[prompt]--; c.now[prompt] == 0 {
		delete(c.now, prompt)
	}
}

// TestRandomQuestions: prompts with random graphs of nodes that compute and ask, random
// answers at random times, and random interrupts. At no time do more prompts or nodes
// compute than allowed. Each prompt ends as it must, and shows what it must.
func TestRandomQuestions(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 2))
			workers, parallel := 1+rnd.IntN(3), 1+rnd.IntN(3)
			local := &flow.LocalOptions{Workers: workers}
			inBubble(t, local, &flow.EngineOptions{Parallel: parallel, PerClient: 1 + rnd.IntN(2)}, func(r *rig) {
				c := &crowd{now: map[string]int{}}
				r.crowd(c)
				var waits []func() outcome
				var all []promptOfCrowd
				for i := range 8 {
					p := promptWithQuestions(rnd, i)
					all = append(all, p)
					waits = append(waits, r.start(&nodebus.Prompt{ID: p.id, ClientID: fmt.Sprint(i % 3), Nodes: p.nodes}))
				}
				var answering sync.WaitGroup
				for i := range all {
					r.answer(rand.New(rand.NewPCG(seed, uint64(i+10))), &all[i], &answering)
				}
				for i, wait := range waits {
					o := wait()
					require.Equal(t, all[i].ends, o.record.State, all[i].id)
					if o.record.State == nodebus.Succeeded {
						require.Equal(t, []any{all[i].shows}, o.text("out"), all[i].id)
					}
				}
				answering.Wait()
				require.LessOrEqual(t, c.most, parallel)
				require.LessOrEqual(t, c.nodes, workers)
			})
		})
	}
}

// crowd registers the nodes: Sum adds its inputs and computes; Ask also asks for a number,
// in its own goroutine or in others; Lazy asks for its input; Make makes an Ask.
func (r *rig) crowd(c *crowd) {
	sum := func(ctx *nodebus.Context, in, in2 any) int {
		c.compute(ctx.PromptID(), 10*time.Millisecond)
		a, _ := in.(int)
		b, _ := in2.(int)
		return a + b
	}
	r.fn("Sum", func(ctx *nodebus.Context, in, in2 any) (any, error) { return sum(ctx, in, in2), nil })
	r.fn("Ask", func(ctx *nodebus.Context, in, in2 any) (any, error) {
		s := sum(ctx, in, in2)
		n, err := nodebus.Await[int](ctx, "q", nil)
		if err != nil { // the end of the prompt: the node has no slot then
			return nil, err
		}
		return s + n + sum(ctx, nil, nil), nil
	})
	r.fn("AskTwice", func(ctx *nodebus.Context, in, in2 any) (any, error) {
		got := make(chan int, 2)
		errs := make(chan error, 2)
		for range 2 {
			go func() {
				n, err := nodebus.Await[int](ctx, "q", nil)
				got <- n
				errs <- err
			}()
		}
		n, err := <-got+<-got, <-errs
		if err = errors.Join(err, <-errs); err != nil {
			return nil, err
		}
		return n + sum(ctx, in, in2), nil
	})
	r.lazy("Lazy", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
		n, err := a.Get(ctx)
		if err != nil {
			return nil, err
		}
		return n + sum(ctx, nil, nil), nil
	})
	r.fn("Make", func(ctx *nodebus.Context, in, _ any) (any, error) {
		g := ctx.NewGraph()
		n, err := nodebus.Eval[any](ctx, g, g.AddAs("made", "Ask", nodebus.Inputs{"in": in}))
		if err != nil {
			return nil, err
		}
		return n.(int) + sum(ctx, nil, nil), nil
	})
}

// promptOfCrowd is a prompt, with what must become of it.
type promptOfCrowd struct {
	id    string
	nodes nodebus.Nodes
	asks  []string // the node of each question
	ends  nodebus.State
	shows string
}

// promptWithQuestions makes a graph in which each node is used once. Each answer is 1000, and each
// source is 1, so that the sum is known.
func promptWithQuestions(rnd *rand.Rand, number int) promptOfCrowd {
	p := promptOfCrowd{id: fmt.Sprint("p", number), ends: nodebus.Succeeded}
	g := nodebus.NewGraph()
	var free []nodebus.Link
	total := 0
	for i := range 3 + rnd.IntN(8) {
		id := fmt.Sprint("n", i)
		class := []string{"Sum", "Ask", "Ask", "AskTwice", "Lazy", "Make"}[rnd.IntN(6)]
		if class == "Lazy" && len(free) == 0 {
			class = "Sum"
		}
		inputs := in{}
		name := map[string]string{"Lazy": "a"}[class]
		if name == "" {
			name = "in"
		}
		if len(free) == 0 || class != "Lazy" && rnd.IntN(2) == 0 {
			inputs[name] = 1
			total++
		} else {
			at := rnd.IntN(len(free))
			inputs[name] = free[at]
			free = append(free[:at:at], free[at+1:]...)
		}
		times := map[string]int{"Ask": 1, "AskTwice": 2, "Make": 1}[class]
		for range times {
			at := id
			if class == "Make" {
				at = id + ".0.0.made"
			}
			p.asks = append(p.asks, at)
			total += 1000
		}
		free = append(free, g.AddAs(id, class, inputs))
	}
	last := free[0]
	for i, other := range free[1:] {
		last = g.AddAs(fmt.Sprint("join", i), "Sum", in{"in": last, "in2": other})
	}
	g.AddAs("out", "Show", in{"in": last})
	p.nodes, p.shows = g.Nodes(), fmt.Sprint(total)
	if len(p.asks) > 0 && rnd.IntN(3) == 0 {
		p.ends = []nodebus.State{nodebus.Interrupted, nodebus.Refused}[rnd.IntN(2)]
	}
	return p
}

// answer answers all questions of a prompt, before or after they are asked. A prompt that
// must not succeed gets an interrupt, or a refusal, instead of the last answer.
func (r *rig) answer(rnd *rand.Rand, p *promptOfCrowd, all *sync.WaitGroup) {
	asks := append([]string(nil), p.asks...)
	rnd.Shuffle(len(asks), func(i, k int) { asks[i], asks[k] = asks[k], asks[i] })
	waits := make([]time.Duration, len(asks))
	for i := range waits {
		waits[i] = time.Duration(rnd.IntN(100)) * time.Millisecond
	}
	ctx := context.Background()
	all.Go(func() {
		for i, node := range asks {
			time.Sleep(waits[i])
			var err error
			switch {
			case i < len(asks)-1 || p.ends == nodebus.Succeeded:
				err = r.engine.Answer(ctx, p.id, node, "q", 1000)
			case p.ends == nodebus.Interrupted:
				_, err = r.engine.Interrupt(ctx, p.id)
			default:
				err = r.engine.Refuse(ctx, p.id, node, "q", "no")
			}
			if err != nil {
				r.t.Errorf("%s: node %s: %v", p.id, node, err)
			}
		}
	})
}
