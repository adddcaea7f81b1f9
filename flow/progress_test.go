package flow_test

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests check which progress events clients receive, and how often (quirks Q11
// and Q29).

// snapshots returns the progress_state events, each as a list of "node:state
// value/max".
func (o outcome) snapshots() (all [][]string) {
	for _, ev := range o.events {
		if p, ok := ev.Payload.(nodebus.ProgressState); ok {
			s := []string{}
			for _, n := range p.Nodes() {
				s = append(s, fmt.Sprintf("%s:%s %v/%v", n.UniqueID, n.State, n.Value, n.Max))
			}
			all = append(all, s)
		}
	}
	return all
}

func (o outcome) steps() (steps []float64) {
	for _, ev := range o.events {
		if p, ok := ev.Payload.(nodebus.Progress); ok {
			steps = append(steps, p.Value)
		}
	}
	return steps
}

func TestProgressEveryChangeOfASmallGraphIsTold(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		r.fn("Steps", func(ctx *nodebus.Context, _, _ any) (any, error) {
			for i := range 2 {
				ctx.Progress(float64(i+1), 2)
			}
			ctx.Progress(math.NaN(), 2)
			ctx.Progress(1, math.Inf(1))
			return 1, nil
		})
		o := r.run(two("Steps"))
		require.Equal(t, [][]string{
			{"x:running 0/1"},
			{"x:running 1/2"},
			{"x:running 2/2"},
			{"x:finished 2/2"},
			{"x:finished 2/2", "out:running 0/1"},
			{"x:finished 2/2", "out:finished 1/1"},
		}, o.snapshots())
		require.Equal(t, []float64{1, 2}, o.steps(), "progress that is not a finite number is ignored")
		var order []string
		for _, ev := range o.events[4:6] {
			order = append(order, ev.Payload.EventType())
		}
		require.Equal(t, []string{"progress_state", "progress"}, order)
	})
}

func TestProgressOfAFailedPrompt(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.pause(nil)
		r.fn("Fail", func(ctx *nodebus.Context, v, _ any) (any, error) {
			ctx.Progress(3, 10)
			return nil, fmt.Errorf("boom")
		})
		g := nodebus.NewGraph()
		g.AddAs("o", "Show", in{"in": g.AddAs("p", "Pause", in{"for": 1_000_000}), "in2": g.AddAs("f", "Fail", in{"in": g.AddAs("d", "Pause", in{"for": 1})})})
		o := r.run(g.Nodes())
		all := o.snapshots()
		require.ElementsMatch(t, []string{"d:finished 1/1", "f:error 3/10"}, all[len(all)-1],
			"the last snapshot says which node failed, and of none that it runs")
		last := o.events[len(o.events)-3 : len(o.events)]
		require.IsType(t, nodebus.ProgressState{}, last[0].Payload)
		require.IsType(t, nodebus.ExecutionError{}, last[1].Payload)
	})
}

// TestProgressOfAnInterruptedPrompt checks that an interrupted node does not have
// the state error.
func TestProgressOfAnInterruptedPrompt(t *testing.T) {
	for _, how := range []string{"from outside", "by the node"} {
		inBubble(t, nil, nil, func(r *rig) {
			began := make(chan struct{})
			r.fn("Stop", func(ctx *nodebus.Context, _, _ any) (any, error) {
				ctx.Progress(1, 2)
				if how == "by the node" {
					return nil, fmt.Errorf("enough: %w", nodebus.ErrInterrupted)
				}
				close(began)
				<-ctx.Done()
				return nil, ctx.Err()
			})
			wait := r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: two("Stop")})
			if how == "from outside" {
				<-began
				require.True(t, interrupt(r.engine, "p"))
			}
			o := wait()
			require.Equal(t, nodebus.Interrupted, o.record.State, how)
			all := o.snapshots()
			require.Equal(t, [][]string{{"x:running 1/2"}, {}}, all[len(all)-2:], how)
		})
	}
}

// TestProgressOfALargeGraphIsThrottled checks that the total size of the snapshots
// is linear in the number of nodes and in time, and that the last snapshot is always
// sent.
func TestProgressOfALargeGraphIsThrottled(t *testing.T) {
	const n = 2000
	inBubble(t, &flow.LocalOptions{Workers: 2}, nil, func(r *rig) {
		r.fn("Work", func(_ *nodebus.Context, v, _ any) (any, error) {
			if v == 1000 {
				time.Sleep(10 * time.Second) // nothing changes in this time
			}
			return v, nil
		})
		g := nodebus.NewGraph()
		for i := range n {
			g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.Add("Work", in{"in": i})})
		}
		o := r.run(g.Nodes())
		all := o.snapshots()
		last := all[len(all)-1]
		require.Len(t, last, 2*n)
		for _, s := range last {
			require.Contains(t, s, ":finished ")
		}
		states := 0
		for _, s := range all {
			states += len(s)
		}
		require.Less(t, states, 10*n, "%d snapshots", len(all))
		require.Greater(t, len(all), 20, "every change is sent while the snapshots are small")
	})
}

// TestProgressOfALongNodeIsToldInTime checks that a change that was held back is
// sent as soon as the limit permits, without waiting for the next change.
func TestProgressOfALongNodeIsToldInTime(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
		const n = 300
		r.fn("Id", func(_ *nodebus.Context, v, _ any) (any, error) { return v, nil })
		seen := make(chan struct{})
		r.fn("Long", func(ctx *nodebus.Context, _, _ any) (any, error) {
			<-seen
			return 1, nil
		})
		g := nodebus.NewGraph()
		at := g.Add("Id", in{"in": 0})
		for range n {
			at = g.Add("Id", in{"in": at})
		}
		g.AddAs("o", "Show", in{"in": g.AddAs("long", "Long", in{"in": at})})
		events := r.hub.Subscribe(r.ctx)
		wait := r.start(&nodebus.Prompt{Nodes: g.Nodes()})
		began := time.Now()
		for ev, err := range events {
			require.NoError(t, err)
			if p, ok := ev.Payload.(nodebus.ProgressState); ok && p.Nodes()[len(p.Nodes())-1].UniqueID == "long" {
				break
			}
		}
		require.LessOrEqual(t, time.Since(began), time.Second)
		close(seen)
		wait()
	})
}

// TestProgressFloodIsThrottled runs a node that reports a hundred thousand steps at
// once, and a node that reports them over a minute.
func TestProgressFloodIsThrottled(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Flood", func(ctx *nodebus.Context, v, _ any) (any, error) {
			pause := time.Duration(v.(int)) * time.Microsecond
			for i := range 100_000 {
				ctx.Progress(float64(i+1), 100_000)
				if pause > 0 {
					time.Sleep(pause)
				}
			}
			return 1, nil
		})
		for _, pause := range []int{0, 600} {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.AddAs("x", "Flood", in{"in": pause})})
			o := r.run(g.Nodes())
			steps := o.steps()
			require.Less(t, len(steps), 5000, "pause %d", pause)
			require.Greater(t, len(steps), 500)
			require.Equal(t, 100_000.0, steps[len(steps)-1], "the last step is always sent")
			require.Less(t, len(o.snapshots()), 5000)
			require.IsIncreasing(t, steps)
		}
	})
}

// TestProgressHeldBackComesBeforeWhatIsShown checks that the last step of a flood is
// sent before the output of the node.
func TestProgressHeldBackComesBeforeWhatIsShown(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		flow.Register(r.reg, flood{}, nodebus.Info{Name: "Flood"})
		g := nodebus.NewGraph()
		g.AddAs("x", "Flood", in{"n": 2000})
		o := r.run(g.Nodes())
		steps := o.steps()
		require.Equal(t, 2000.0, steps[len(steps)-1])
		types := o.types()
		require.Equal(t, []string{"progress", "executed x", "success", "executing "}, types[len(types)-4:])
	})
}

type flood struct{ N int }

func (n flood) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	for i := range n.N {
		ctx.Progress(float64(i+1), float64(n.N))
	}
	return nodebus.Text("x"), nil
}

func TestProgressRecoversAfterAQuietTime(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Twice", func(ctx *nodebus.Context, _, _ any) (any, error) {
			for range 2 {
				for i := range 3000 {
					ctx.Progress(float64(i), 3000)
				}
				time.Sleep(time.Minute)
			}
			return 1, nil
		})
		steps := r.run(two("Twice")).steps()
		require.Greater(t, len(steps), 2000, "the second burst is sent like the first burst")
	})
}

func TestProgressOfNodesSideBySide(t *testing.T) {
	inBubble(t, &flow.LocalOptions{Workers: 8}, nil, func(r *rig) {
		r.fn("Steps", func(ctx *nodebus.Context, v, _ any) (any, error) {
			for i := range 5 {
				ctx.Progress(float64(i+1), 5)
				time.Sleep(time.Duration(v.(int)) * time.Millisecond)
			}
			return 1, nil
		})
		g := nodebus.NewGraph()
		for i := range 8 {
			g.AddAs(fmt.Sprint("o", i), "Show", in{"in": g.AddAs(fmt.Sprint("s", i), "Steps", in{"in": i})})
		}
		o := r.run(g.Nodes())
		at := map[string]float64{}
		for _, ev := range o.events {
			if p, ok := ev.Payload.(nodebus.Progress); ok {
				require.Equal(t, at[p.UniqueID]+1, p.Value, "each node's steps come in order")
				at[p.UniqueID] = p.Value
			}
		}
		require.Len(t, at, 8)
	})
}

func TestPreview(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Draw", func(ctx *nodebus.Context, v, _ any) (any, error) {
			file := []byte("\x89PNG\r\n\x1a\nrest")
			err := ctx.PreviewFile(file)
			clear(file) // the caller may reuse the buffer
			var bad *nodebus.EncodeError
			if !errors.As(ctx.PreviewFile(nil), &bad) || !errors.As(ctx.Preview(noImage{}), &bad) {
				return nil, errors.New("data that is not an image was sent")
			}
			err = errors.Join(err, ctx.PreviewFile([]byte("\xff\xd8\xffrest")), ctx.Preview(image.NewGray(image.Rect(0, 0, 2, 1))))
			synctest.Wait() // the image is encoded meanwhile
			return 1, err
		})
		o := r.run(two("Draw"))
		require.Equal(t, nodebus.Succeeded, o.record.State)
		var got []nodebus.Preview
		for _, ev := range o.events {
			if p, ok := ev.Payload.(nodebus.Preview); ok {
				got = append(got, p)
			}
		}
		require.Len(t, got, 3)
		require.Equal(t, nodebus.Preview{
			Place: nodebus.Place{UniqueID: "x", DisplayID: "x", RealID: "x"}, PromptID: o.record.Prompt.ID,
			ImageType: "image/png", Image: []byte("\x89PNG\r\n\x1a\nrest"),
		}, got[0])
		require.Equal(t, "image/jpeg", got[1].ImageType)
		img, err := jpeg.Decode(bytes.NewReader(got[2].Image))
		require.NoError(t, err)
		require.Equal(t, image.Pt(2, 1), img.Bounds().Size())
	})
}
