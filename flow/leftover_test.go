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

// These tests check that goroutines that a node leaves behind cannot make the node
// active again.

// TestLeftoverWaiterIsNotExecutingAgain checks that a finished node does not become
// active again when a goroutine of the node gets the value that it waits for.
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

// TestLeftoverProgressIsNotTold checks that no progress of a node is sent after the
// output of the node, however late its goroutines report progress.
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
				require.False(t, shown[p.UniqueID], "progress of node %s after its output", p.UniqueID)
			case nodebus.ProgressState:
				for _, s := range p.Nodes() {
					require.False(t, s.State == "finished" && s.Value != s.Max, "%+v", s)
				}
			}
		}
	}
	all.Wait()
}

// chatty leaves goroutines behind that report progress.
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

// recorder is a publisher that records the payloads.
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
