package flow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// Execution semantics, section 12: the outcome of a prompt.

func shown(id string) nodebus.Nodes {
	g := nodebus.NewGraph()
	g.AddAs("o", "Show", in{"in": id})
	return g.Nodes()
}

// TestSection12AnyExecutorIsFramedRight checks that a prompt has its start events
// and exactly one end event, whatever the executor does.
func TestSection12AnyExecutorIsFramedRight(t *testing.T) {
	ui := nodebus.Report{Outputs: []nodebus.NodeOutput{{Place: nodebus.Place{UniqueID: "o"}, UI: nodebus.Text("x")}}}
	var kept nodebus.Publisher
	for _, c := range []struct {
		name string
		run  executorFunc
		want []string
	}{
		{"does nothing", func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			return ui, nil
		}, []string{"start", "cached", "success", "executing "}},
		{"fails", func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			return ui, errors.New("boom")
		}, []string{"start", "cached", "error ", "executing "}},
		{"panics", func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			panic("at the disco")
		}, []string{"start", "cached", "panic ", "executing "}},
		{"interrupts itself", func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			return ui, fmt.Errorf("enough: %w", nodebus.ErrInterrupted)
		}, []string{"start", "cached", "interrupted ", "executing "}},
		{"names the node", func(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
			return ui, &nodebus.NodeError{Place: nodebus.Place{UniqueID: "o.1", RealID: "o"}, Class: "Inner", RealClass: "Show", Err: errors.New("boom")}
		}, []string{"start", "cached", "error o", "executing "}},
		{"tells without addressing", func(_ context.Context, _ nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
			_ = pub.Publish(nodebus.Event{Payload: nodebus.Executing{UniqueID: "o"}})
			_ = pub.Publish(nodebus.Event{Payload: nodebus.ExecutionCached{Nodes: []string{"late"}}})
			_ = pub.Publish(nodebus.Event{Payload: nodebus.Executed{Place: nodebus.Place{UniqueID: "o"}, Output: nodebus.Text("x")}})
			return nodebus.Report{}, nil
		}, []string{"start", "cached", "executing o", "executed o", "success", "executing "}},
		{"tells after its end", func(_ context.Context, _ nodebus.Job, pub nodebus.Publisher) (nodebus.Report, error) {
			kept = pub
			return ui, pub.Publish(nodebus.Event{Payload: nodebus.ExecutionCached{Nodes: []string{"o"}}})
		}, []string{"start", "cached o", "success", "executing "}},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, nil, &flow.EngineOptions{Executor: c.run}, func(r *rig) {
				o := r.run(shown("x"))
				require.Equal(t, c.want, o.types())
				if o.record.State == nodebus.Succeeded {
					require.Equal(t, []any{"x"}, o.text("o"), "the record has the output, from an event or from the report")
				}
				if kept != nil {
					require.ErrorIs(t, kept.Publish(nodebus.Event{Payload: nodebus.Custom{Type: "late"}}), nodebus.ErrClosed)
				}
			})
		})
	}
}

// TestSection12RecordIsThereBeforeTheLastWord checks that the record is in the store
// when a client receives the end event.
func TestSection12RecordIsThereBeforeTheLastWord(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Fail", func(*nodebus.Context, any, any) (any, error) { return nil, errors.New("boom") })
		checked := 0
		for i, nodes := range []nodebus.Nodes{shown("x"), two("Fail")} {
			id := fmt.Sprint("p", i)
			events := r.hub.Subscribe(r.ctx)
			_, err := submit(r.engine, r.ctx, &nodebus.Prompt{ID: id, Nodes: nodes})
			require.NoError(t, err)
			for ev, err := range events {
				require.NoError(t, err)
				switch ev.Payload.(type) {
				case nodebus.ExecutionSuccess, nodebus.ExecutionError:
					rec, err := r.engine.Store().Get(r.ctx, id)
					require.NoError(t, err)
					require.NotZero(t, rec.Ended)
					require.Empty(t, r.running(), "a prompt with a record does not run")
					checked++
				}
				if e, ok := ev.Payload.(nodebus.Executing); ok && e.UniqueID == "" {
					break
				}
			}
		}
		require.Equal(t, 2, checked)
	})
}

func TestSection12Record(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		p := &nodebus.Prompt{ID: "p", ClientID: "c", Nodes: shown("x"), Extra: map[string]any{"k": "v"}}
		o := r.startWith(p, &flow.SubmitOptions{Secrets: map[string]string{"API_KEY_COMFY_ORG": "secret"}})()
		rec := o.record
		require.Equal(t, "p", rec.Start.PromptID)
		require.Equal(t, []string{}, rec.Cached.Nodes)
		require.Equal(t, rec.Ended.UnixMilli(), rec.Success.Timestamp)
		require.Nil(t, rec.Error)
		require.Nil(t, rec.Interrupted)
		require.Equal(t, []string{"o"}, rec.Prompt.Outputs)
		require.Equal(t, []nodebus.NodeOutput{{Place: nodebus.Place{UniqueID: "o", DisplayID: "o", RealID: "o"}, UI: nodebus.Text("x")}}, rec.Outputs)
		enc, err := nodebus.JSON.Encode(nodebus.Event{Payload: nodebus.Custom{Type: "record", Data: rec}})
		require.NoError(t, err)
		require.NotContains(t, string(enc.Data), "secret")
	})
}
