package flow_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// scribe writes a text, and then ends in some way.
type scribe struct {
	Text  string
	How   string
	tries *atomic.Int32
}

func (n scribe) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	out := ctx.Text("t")
	for _, b := range []byte(n.Text) {
		if _, err := out.Write([]byte{b}); err != nil {
			return nil, err
		}
	}
	tries := n.tries.Add(1)
	switch {
	case n.How == "fail", n.How == "fail once" && tries == 1:
		return nil, errors.New("boom")
	case n.How == "panic":
		panic("boom")
	case n.How == "wait":
		<-ctx.Done()
		return nil, ctx.Err()
	case n.How == "stay": // longer than Grace, so the node is abandoned
		time.Sleep(time.Hour)
	case n.How == "ask":
		yes, err := nodebus.Await[bool](ctx, "ok", nil)
		return nodebus.Text(fmt.Sprint(yes)), err
	}
	return nodebus.Text(n.Text), nil
}

// TestTextIsWholeBeforeTheEnd: however a node ends, its text comes before the event that says
// so.
func TestTextIsWholeBeforeTheEnd(t *testing.T) {
	for how, end := range map[string]string{
		"":      "executed",
		"fail":  "execution_error",
		"panic": "execution_error",
		"wait":  "execution_interrupted",
		"stay":  "execution_interrupted",
		"ask":   "nodebus.waiting",
	} {
		t.Run(how, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				pieces, soFar, types := runScribe(t, nil, how, "a töxt")
				require.Contains(t, types, end)
				require.Equal(t, map[string]string{"t": "a töxt"}, pieces[end])
				if how != "ask" {
					require.Equal(t, "a töxt", soFar[end])
				}
			})
		})
	}
}

// TestTextOfTries: another try begins the text anew.
func TestTextOfTries(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		again := func(next flow.CallFunc) flow.CallFunc {
			return func(ctx *nodebus.Context, c *flow.Call) (flow.Result, error) {
				if c.Class.Name() == "Scribe" {
					_, err := next(ctx, c)
					require.ErrorContains(t, err, "boom")
				}
				return next(ctx, c)
			}
		}
		local := &flow.LocalOptions{Around: []flow.Around{again}}
		pieces, soFar, _ := runScribe(t, local, "fail once", "abc")
		require.Equal(t, map[string]string{"t": "abc"}, pieces["executed"])
		require.Equal(t, "abc", soFar["executed"])
	})
}

// TestTextOfLists: each call has a text of its own, also if the calls run side by side.
func TestTextOfLists(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		pieces, _, _ := runScribe(t, nil, "", "one", "two", "three")
		require.Equal(t, map[string]string{"t": "one", "t#1": "two", "t#2": "three"}, pieces["executed"])
	})
}

// runScribe runs a prompt whose node "1" is called for each of the words. It returns the texts
// when the first event of each type came, by name; what stock clients had then; and the types
// of all events.
func runScribe(t *testing.T, opts *flow.LocalOptions, how string, words ...string) (texts map[string]map[string]string, soFar map[string]string, types []string) {
	r, hub := flow.NewRegistry(), nodebus.NewHub(nil)
	flow.Register(r, scribe{tries: &atomic.Int32{}}, nodebus.Info{Name: "Scribe", Async: true, Output: true})
	flow.Register(r, several{words}, nodebus.Info{Name: "Several"})
	engine := flow.NewEngine(r, hub, &flow.EngineOptions{Executor: flow.NewLocal(r, opts)})
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = engine.Run(ctx)
	}()
	g := nodebus.NewGraph()
	g.AddAs("1", "Scribe", nodebus.Inputs{"text": g.AddAs("list", "Several", nil), "how": how})
	events := hub.Subscribe(t.Context())
	_, err := engine.Submit(t.Context(), &nodebus.Prompt{ID: "p", Nodes: g.Nodes()}, nil)
	require.NoError(t, err)
	time.Sleep(10 * time.Millisecond)
	_, _ = engine.Interrupt(t.Context(), "p") // an error if it has ended
	time.Sleep(2 * time.Hour)
	stop()
	<-ended
	require.NoError(t, hub.Close())
	now, shown := map[string]string{}, ""
	texts, soFar = map[string]map[string]string{}, map[string]string{}
	for ev, err := range events {
		require.NoError(t, err)
		switch p := ev.Payload.(type) {
		case nodebus.TextPiece:
			require.LessOrEqual(t, p.Offset, len(now[p.Name]))
			now[p.Name] = now[p.Name][:p.Offset] + p.Piece
		case nodebus.TextSoFar:
			shown = p.Text
		}
		typ := ev.Payload.EventType()
		if _, seen := texts[typ]; !seen {
			texts[typ], soFar[typ] = maps.Clone(now), shown
		}
		types = append(types, typ)
	}
	return texts, soFar, types
}

// several gives a list.
type several struct{ words []string }

func (n several) Run(*nodebus.Context) (nodebus.List[string], error) { return n.words, nil }
