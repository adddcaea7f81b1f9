package flow_test

import (
	"context"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 11: loops, where each iteration makes the next
// iteration.

// loops registers the class ThenLoop or NowLoop, which counts down to zero.
func (r *rig) loops(kind string) {
	r.makers("Loop", func(_ *nodebus.Context, g *nodebus.Graph, v, _ any) (nodebus.Link, error) {
		if v.(int) == 0 {
			return g.AddAs("e", "End", nil), nil
		}
		return g.AddAs("n", kind+"Loop", in{"in": v.(int) - 1}), nil
	})
	r.fn("End", func(*nodebus.Context, any, any) (any, error) { return "done", nil })
}

func loopOf(kind string, n int) *nodebus.Prompt {
	g := nodebus.NewGraph()
	g.AddAs("o", "Show", in{"in": g.AddAs("x", kind+"Loop", in{"in": n})})
	return &nodebus.Prompt{ID: "p", ClientID: "c", Nodes: g.Nodes()}
}

// TestSection11Loop runs a loop of 10 000 iterations with a client that reads
// without delay. It checks that the number of bytes sent is linear in the number of
// iterations.
func TestSection11Loop(t *testing.T) {
	for _, kind := range []string{"Then", "Now"} {
		t.Run(kind, func(t *testing.T) {
			inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
				const n = 10_000
				r.loops(kind)
				session, sent, ended := r.hub.Join("c", nil), &scale{}, make(chan error, 1)
				go func() { ended <- session.Serve(context.Background(), sent) }()
				shown, err := execute(r.local, r.ctx, loopOf(kind, n), r.hub)
				require.NoError(t, err)
				require.Equal(t, nodebus.UI{"text": {"done"}}, shown["o"])
				require.NoError(t, r.hub.Close())
				require.ErrorIs(t, <-ended, nodebus.ErrClosed)
				require.Greater(t, sent.frames, n)
				require.Less(t, sent.bytes, 3000*n)
			})
		})
	}
}

// scale is a transport that counts frames and bytes.
type scale struct{ frames, bytes int }

func (s *scale) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		s.frames++
		s.bytes += len(f.Data)
	}
	return nil
}

func (*scale) Close(error) error { return nil }

// TestSection11IdsOfALoop checks that ids at any depth are short and unique, and are
// the same in every run.
func TestSection11IdsOfALoop(t *testing.T) {
	ids := func(kind string) (ids []string) {
		inBubble(t, &flow.LocalOptions{Workers: 1}, nil, func(r *rig) {
			r.loops(kind)
			tape, seen := &recorder{}, map[string]bool{}
			_, err := execute(r.local, r.ctx, loopOf(kind, 1000), tape)
			require.NoError(t, err)
			for _, p := range tape.payloads {
				if e, ok := p.(nodebus.Executing); ok && !seen[e.UniqueID] {
					seen[e.UniqueID] = true
					ids = append(ids, e.UniqueID)
				}
			}
		})
		return ids
	}
	for _, kind := range []string{"Then", "Now"} {
		all := ids(kind)
		require.Len(t, all, 1003, "x, a thousand iterations, the end and o")
		require.Equal(t, "x"+strings.Repeat(".0.0.n", 30), all[30])
		for _, id := range all {
			require.Less(t, len(id), 200)
		}
		require.Equal(t, all, ids(kind))
	}
}
