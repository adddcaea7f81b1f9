package flow_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestAcceptedAnswerReachesItsNode: clients were told that the question is settled, so the
// node receives the answer, although its context ends while the prompt waits for its place.
func TestAcceptedAnswerReachesItsNode(t *testing.T) {
	for name, c := range map[string]struct {
		reply  func(r *rig) error
		shows  string
		result string
	}{
		"answer": {func(r *rig) error { return r.engine.Answer(r.ctx, "p", "x", "q", true) }, "true <nil> true", "answered"},
		"refuse": {func(r *rig) error { return r.engine.Refuse(r.ctx, "p", "x", "q", "too dark") }, "false nodebus: refused: too dark true", "refused"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, &flow.EngineOptions{Parallel: 1}, func(r *rig) {
				r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
					limited, cancel := context.WithTimeout(ctx, time.Minute)
					defer cancel()
					yes, err := nodebus.Await[bool](ctx.With(limited), "q", nil)
					return fmt.Sprint(yes, " ", err, " ", limited.Err() != nil), nil
				})
				r.fn("Busy", func(*nodebus.Context, any, any) (any, error) {
					time.Sleep(time.Hour)
					return "", nil
				})
				wait := r.ask("Ask")
				other := r.start(&nodebus.Prompt{ID: "other", ClientID: "b", Nodes: two("Busy")})
				synctest.Wait()
				require.NoError(t, c.reply(r))
				o := wait()
				require.Equal(t, []any{c.shows}, o.text("out"))
				require.Equal(t, []nodebus.Payload{waiting("x", "q"), answered("x", "q", c.result)}, o.questions())
				other()
			})
		})
	}
}

// TestQuestionsEndWithTheirNode: a question that is open when the context of its node ends
// is given up at once. The prompt does not wait for its place before that.
func TestQuestionsEndWithTheirNode(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		began := time.Now()
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			limited, cancel := context.WithTimeout(ctx, time.Minute)
			defer cancel()
			_, err := nodebus.Await[bool](ctx.With(limited), "q", nil)
			return fmt.Sprint(errors.Is(err, context.DeadlineExceeded)), nil
		})
		o := r.ask("Ask")()
		require.Equal(t, []any{"true"}, o.text("out"))
		require.Equal(t, time.Minute, time.Since(began))
		require.Equal(t, []nodebus.Payload{waiting("x", "q"), answered("x", "q", "expired")}, o.questions())
	})
}

// TestNoQuestionAfterAnInterrupt: the questions that queue behind an open question are never
// asked. Each round could fail by chance, so there are many.
func TestNoQuestionAfterAnInterrupt(t *testing.T) {
	for range 100 {
		inBubble(t, nil, nil, func(r *rig) {
			r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
				const n = 8
				done := make(chan error, n)
				for range n {
					go func() {
						_, err := nodebus.Await[bool](ctx, "q", nil)
						done <- err
					}()
				}
				for range n {
					require.ErrorIs(t, <-done, nodebus.ErrInterrupted)
				}
				return nil, nodebus.ErrInterrupted
			})
			wait := r.ask("Ask")
			found, err := r.engine.Interrupt(r.ctx, "p")
			require.NoError(t, err)
			require.True(t, found)
			o := wait()
			require.Equal(t, nodebus.Interrupted, o.record.State)
			require.Equal(t, []nodebus.Payload{waiting("x", "q")}, o.questions())
		})
	}
}
