package flow_test

import (
	"context"
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestReady checks that a prompt that is not ready stays in the queue, together with
// the later prompts of its client. Earlier prompts of the client and other clients
// do not wait.
func TestReady(t *testing.T) {
	for name, q := range map[string]func() flow.Queue{
		"in memory":    func() flow.Queue { return flow.NewQueue(nil) },
		"kept as JSON": func() flow.Queue { return jsonQueue{flow.NewQueue(nil)} },
	} {
		t.Run(name, func(t *testing.T) { testReady(t, q()) })
	}
}

// jsonQueue encodes prompts as JSON and decodes them: data that JSON does not
// contain is lost.
type jsonQueue struct{ flow.Queue }

func (q jsonQueue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	enc, err := json.Marshal(p)
	if err != nil {
		return err
	}
	var kept nodebus.Prompt
	if err := json.Unmarshal(enc, &kept); err != nil {
		return err
	}
	return q.Queue.Push(ctx, &kept, secrets)
}

func testReady(t *testing.T, q flow.Queue) {
	inBubble(t, nil, &flow.EngineOptions{Parallel: 2, Queue: q}, func(r *rig) {
		var order []any
		r.fn("Note", func(_ *nodebus.Context, in, _ any) (any, error) { order = append(order, in); return in, nil })
		graph := func(name string) nodebus.Nodes {
			g := nodebus.NewGraph()
			g.AddAs("o", "Show", in{"in": g.Add("Note", in{"in": name})})
			return g.Nodes()
		}
		ready := make(chan struct{})
		later := r.startWith(&nodebus.Prompt{ID: "later", ClientID: "a", Nodes: graph("later")}, &flow.SubmitOptions{Ready: ready})
		last := r.start(&nodebus.Prompt{ID: "last", ClientID: "a", Nodes: graph("last")})
		r.submit(&nodebus.Prompt{ID: "urgent", ClientID: "a", Priority: -1, Nodes: graph("urgent")})
		r.submit(&nodebus.Prompt{ClientID: "b", Nodes: graph("other")})
		synctest.Wait()
		require.Equal(t, []any{"urgent", "other"}, order)
		require.Empty(t, r.running())
		require.Equal(t, 2, r.engine.Remaining())
		var waiting []string
		for p, err := range r.engine.Queue().List(r.ctx) {
			require.NoError(t, err)
			if !p.Leased {
				waiting = append(waiting, p.Prompt.ID)
			}
		}
		require.Equal(t, []string{"later", "last"}, waiting)
		close(ready)
		later()
		last()
		require.Equal(t, []any{"urgent", "other", "later", "last"}, order)
	})
}

// TestReadyWhileTheFirstIsDeleted checks that the engine returns a prompt to the
// queue if the prompt is not ready. The engine takes this prompt because the
// client's first prompt is deleted while the queue calls skip.
func TestReadyWhileTheFirstIsDeleted(t *testing.T) {
	q := &slowQueue{Queue: flow.NewQueue(nil)}
	inBubble(t, nil, &flow.EngineOptions{Queue: q}, func(r *rig) {
		ready := make(chan struct{})
		var second func() outcome
		q.asked = func(string) {
			q.asked = nil
			second = r.startWith(&nodebus.Prompt{ID: "second", ClientID: "me", Nodes: showing("x")}, &flow.SubmitOptions{Ready: ready})
			require.True(t, interrupt(r.engine, "first"))
		}
		r.start(&nodebus.Prompt{ID: "first", ClientID: "me", Nodes: showing("x")})
		synctest.Wait()
		_, err := r.engine.Store().Get(r.ctx, "second")
		require.ErrorIs(t, err, flow.ErrNotFound)
		require.Equal(t, []any{"x"}, r.submit(&nodebus.Prompt{ClientID: "other", Nodes: showing("x")}).text("1"), "other clients do not wait")
		close(ready)
		rec := second().record
		require.Equal(t, nodebus.Succeeded, rec.State)
		require.Equal(t, 1, rec.Attempt, "a released attempt does not count")
	})
}

// TestReadyNever checks that a prompt that is never ready can be interrupted or
// deleted, and that the engine can end while the prompt is in the queue.
func TestReadyNever(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		opts := &flow.SubmitOptions{Ready: make(chan struct{})}
		wait := r.startWith(&nodebus.Prompt{ID: "a", ClientID: "c", Nodes: showing("x")}, opts)
		synctest.Wait()
		require.True(t, interrupt(r.engine, "a"))
		require.Equal(t, nodebus.Interrupted, wait().record.State)

		s, err := r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "b", ClientID: "c", Nodes: showing("x")}, opts)
		require.NoError(t, err)
		gone, err := r.engine.Delete(r.ctx, "b")
		require.NoError(t, err)
		require.Equal(t, []string{"b"}, gone)
		_, err = s.Wait(r.ctx)
		require.ErrorIs(t, err, flow.ErrNotFound)

		_, err = r.engine.Submit(r.ctx, &nodebus.Prompt{ID: "c", ClientID: "c", Nodes: showing("x")}, opts)
		require.NoError(t, err)
	})
}
