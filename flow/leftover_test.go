package flow_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// What goroutines that a node leaves behind can do: nothing that brings it back.

// TestLeftoverWaiterIsNotExecutingAgain: the prompt runs on when a goroutine of
// a node that is done is due the value it waits for.
func TestLeftoverWaiterIsNotExecutingAgain(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 4}, nil, func(r *rig) {
		got := make(chan error, 1)
		r.lazy("Leak", func(ctx *nodebus.Context, a, _ nodebus.Lazy[int]) (any, error) {
			go func() {
				_, err := a.Get(ctx)
				got <- err
			}()
			time.Sleep(time.Millisecond)
			return 1, nil
		})
		r.pause(nil)
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("leak", "Leak", in{"a": g.AddAs("short", "Pause", in{"in": 1, "for": 1_000})})})
		g.AddAs("o2", "Show", in{"in": g.AddAs("long", "Pause", in{"for": 5_000})})
		o := r.run(g.Nodes())
		require.ErrorIs(t, <-got, nodebus.ErrClosed)
		require.Equal(t, 1, count_(o.types(), "executing leak"))
		all := o.snapshots()
		for _, s := range all[slices.IndexFunc(all, func(s []string) bool { return slices.Contains(s, "leak:finished 1/1") }):] {
			require.Contains(t, s, "leak:finished 1/1")
		}
	})
}

// TestLeftoverProgressIsNotTold: however late its goroutines are, a node tells
// nothing of itself once it was told what it shows.
func TestLeftoverProgressIsNotTold(t *testing.T) {
	reg := flow.NewRegistry()
	var all sync.WaitGroup
	flow.Register(reg, chatty{all: &all}, nodebus.Info{Name: "Chatty"})
	local := flow.NewLocal(reg, &flow.LocalOptions{Workers: 4, Cache: flow.NoCache()})
	g := nodebus.NewGraph()
	for i := range 4 {
		g.AddAs(fmt.Sprint(i), "Chatty", nil)
	}
	for range 50 {
		tape := &recorder{}
		_, err := execute(local, t.Context(), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, tape)
		require.NoError(t, err)
		shown := map[string]bool{}
		for _, p := range tape.payloads {
			switch p := p.(type) {
			case nodebus.Executed:
				shown[p.UniqueID] = true
			case nodebus.Progress:
				require.False(t, shown[p.UniqueID], "a step of node %s after what it shows", p.UniqueID)
			case nodebus.ProgressState:
				for _, s := range p.Nodes {
					require.False(t, s.State == "finished" && s.Value != s.Max, "%+v", s)
				}
			}
		}
	}
	all.Wait()
}

// chatty leaves goroutines behind that tell how far it is.
type chatty struct{ all *sync.WaitGroup }

func (n chatty) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	began := make(chan struct{}, 8)
	for range cap(began) {
		n.all.Go(func() {
			began <- struct{}{}
			for i := range 50 {
				ctx.Progress(float64(i), 50)
			}
		})
	}
	<-began
	return nodebus.Text("x"), nil
}

// recorder keeps what is published.
type recorder struct {
	mu       sync.Mutex
	payloads []nodebus.Payload
}

func (r *recorder) Publish(ev nodebus.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.payloads = append(r.payloads, ev.Payload)
	return nil
}
