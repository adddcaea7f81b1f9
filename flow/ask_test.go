package flow_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// asksFor registers a node that asks for a T and returns the answer.
func asksFor[T any](r *rig, class, name string, opts *nodebus.AwaitOptions) {
	r.fn(class, func(ctx *nodebus.Context, _, _ any) (any, error) {
		return nodebus.Await[T](ctx, name, opts)
	})
}

// questions returns the events about questions, in order.
func (o outcome) questions() (all []nodebus.Payload) {
	for _, ev := range o.events {
		switch p := ev.Payload.(type) {
		case nodebus.Waiting:
			p.Schema = nil
			all = append(all, p)
		case nodebus.Answered:
			all = append(all, p)
		}
	}
	return all
}

func waiting(node, name string) nodebus.Waiting {
	return nodebus.Waiting{Place: nodebus.Place{UniqueID: node}.WithDefaults(), PromptID: "p", Name: name}
}

func answered(node, name, result string) nodebus.Answered {
	return nodebus.Answered{Place: nodebus.Place{UniqueID: node}.WithDefaults(), PromptID: "p", Name: name, Result: result}
}

// ask starts a prompt "p" with a node x of a class, whose result is shown.
func (r *rig) ask(class string) (wait func() outcome) {
	r.t.Helper()
	wait = r.start(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: two(class)})
	synctest.Wait()
	return wait
}

type address struct {
	Street string `json:"street"`
	No     int    `json:"no"`
}

func TestAwaitAnswers(t *testing.T) {
	for name, c := range map[string]struct {
		class  func(r *rig)
		answer any
		shows  string
		schema string
	}{
		"bool":   {func(r *rig) { asksFor[bool](r, "Ask", "q", nil) }, true, "true", `{"type":"boolean"}`},
		"string": {func(r *rig) { asksFor[string](r, "Ask", "q", nil) }, "yes", "yes", `{"type":"string"}`},
		"int":    {func(r *rig) { asksFor[int](r, "Ask", "q", nil) }, 7, "7", `{"type":"integer"}`},
		"struct": {func(r *rig) { asksFor[address](r, "Ask", "q", nil) }, map[string]any{"street": "Elm", "no": 3}, "{Elm 3}", ``},
		"any":    {func(r *rig) { asksFor[any](r, "Ask", "q", nil) }, nil, "<nil>", ``},
		"own schema": {func(r *rig) {
			asksFor[bool](r, "Ask", "q", &nodebus.AwaitOptions{Schema: []byte(`{"title":"Print it?"}`)})
		}, false, "false", `{"title":"Print it?"}`},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, nil, func(r *rig) {
				c.class(r)
				wait := r.ask("Ask")
				require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", c.answer))
				o := wait()
				require.Equal(t, []any{c.shows}, o.text("out"))
				require.Equal(t, []nodebus.Payload{waiting("x", "q"), answered("x", "q", "answered")}, o.questions())
				require.Equal(t, []string{
					"start", "cached", "executing x", "nodebus.waiting", "nodebus.answered", "executing x",
					"executing out", "executed out", "success", "executing ",
				}, o.types())
				for _, ev := range o.events {
					require.Equal(t, "client", ev.To)
					if q, ok := ev.Payload.(nodebus.Waiting); ok {
						require.Equal(t, c.schema, string(q.Schema))
					}
				}
			})
		})
	}
}

// TestAwaitRefusesAWrongAnswer: whoever gives the answer receives the error, and the
// answer is not kept: the question waits for a better answer.
func TestAwaitRefusesAWrongAnswer(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		asksFor[bool](r, "Ask", "q", nil)
		wait := r.ask("Ask")
		for kind, wrong := range map[string]any{"a string": "yes", "a number": 1, "a list": []any{true}, "an object": address{}, "null": nil} {
			err := r.engine.Answer(r.ctx, "p", "x", "q", wrong)
			require.ErrorIs(t, err, flow.ErrAnswer)
			require.EqualError(t, err, `nodebus: the answer must be a boolean, but it is `+kind+`: question "q" of node x in prompt p`)
		}
		err := r.engine.Answer(r.ctx, "p", "x", "q", func() {})
		require.ErrorContains(t, err, `the answer to "q" has no JSON form`)
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", true))
		o := wait()
		require.Equal(t, []any{"true"}, o.text("out"))
		require.Len(t, o.questions(), 2)
	})
}

// TestAwaitCheckThatPanics: the panic is the error of whoever answers.
func TestAwaitCheckThatPanics(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		asksFor[explosive](r, "Ask", "q", nil)
		wait := r.ask("Ask")
		err := r.engine.Answer(r.ctx, "p", "x", "q", "boom")
		require.ErrorIs(t, err, flow.ErrAnswer)
		require.ErrorContains(t, err, "boom")
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", "fine"))
		require.Equal(t, []any{"fine"}, wait().text("out"))
	})
}

type explosive string

func (p *explosive) UnmarshalJSON(data []byte) error {
	if *p = explosive(data[1 : len(data)-1]); *p == "boom" {
		panic("boom")
	}
	return nil
}

// TestAwaitAnswerComesFirst: an answer is kept for its question, also while the prompt
// waits in the queue. An early answer that does not fit is ignored.
func TestAwaitAnswerComesFirst(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		gate := make(chan struct{})
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			<-gate
			return nodebus.Await[int](ctx, "q", nil)
		})
		ready := make(chan struct{})
		wait := r.startWith(&nodebus.Prompt{ID: "p", ClientID: "client", Nodes: two("Ask")}, &flow.SubmitOptions{Ready: ready})
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", "no number"))
		close(ready)
		synctest.Wait()
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", 1))
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", 2))
		close(gate)
		o := wait()
		require.Equal(t, []any{"1"}, o.text("out"))
		require.Equal(t, []nodebus.Payload{waiting("x", "q"), answered("x", "q", "answered")}, o.questions())
	})
}

// TestAwaitSameNameTwice: each answer answers one question, in order, also if the
// questions are asked at the same time. Clients see one question of the name at a time.
func TestAwaitSameNameTwice(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			var got [3]string
			asked := make(chan error, len(got))
			for i := range got {
				go func() {
					var err error
					time.Sleep(time.Duration(i) * time.Second)
					got[i], err = nodebus.Await[string](ctx, "q", nil)
					asked <- err
				}()
			}
			for range got {
				if err := <-asked; err != nil {
					return nil, err
				}
			}
			return got, nil
		})
		wait := r.ask("Ask")
		time.Sleep(3 * time.Second)
		for _, a := range []string{"a", "b", "c"} {
			require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", a))
		}
		o := wait()
		require.Equal(t, []any{"[a b c]"}, o.text("out"))
		one := []nodebus.Payload{waiting("x", "q"), answered("x", "q", "answered")}
		require.Equal(t, slices.Repeat(one, 3), o.questions())
	})
}

func TestAwaitRefusal(t *testing.T) {
	for reason, text := range map[string]string{"too dark": "nodebus: refused: too dark", "": "nodebus: refused"} {
		inBubble(t, nil, nil, func(r *rig) {
			got := make(chan error, 1)
			r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
				_, err := nodebus.Await[bool](ctx, "q", nil)
				got <- err
				return nil, err
			})
			wait := r.ask("Ask")
			require.NoError(t, r.engine.Refuse(r.ctx, "p", "x", "q", reason))
			err := <-got
			require.ErrorIs(t, err, nodebus.ErrRefused)
			require.EqualError(t, err, text)
			o := wait()
			require.Equal(t, "refused", o.record.Error.ExceptionType)
			require.Equal(t, []nodebus.Payload{waiting("x", "q"), answered("x", "q", "refused")}, o.questions())
		})
	}
}

// TestAwaitExpires: the node learns it, and may go on.
func TestAwaitExpires(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			_, err := nodebus.Await[bool](ctx, "q", &nodebus.AwaitOptions{Timeout: time.Minute})
			if errors.Is(err, nodebus.ErrExpired) {
				return "nobody", nil
			}
			return nil, err
		})
		began := time.Now()
		wait := r.ask("Ask")
		o := wait()
		require.Equal(t, time.Minute, time.Since(began))
		require.Equal(t, []any{"nobody"}, o.text("out"))
		asked := waiting("x", "q")
		asked.Deadline = began.Add(time.Minute).UnixMilli()
		require.Equal(t, []nodebus.Payload{asked, answered("x", "q", "expired")}, o.questions())
		require.ErrorIs(t, r.engine.Answer(r.ctx, "p", "x", "q", true), flow.ErrNotFound)
	})
}

// TestAwaitExpiresInLine: a question whose time passes before the question of the same
// name before it is answered is never shown.
func TestAwaitExpiresInLine(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			second := make(chan error, 1)
			go func() {
				time.Sleep(time.Second)
				_, err := nodebus.Await[bool](ctx, "q", &nodebus.AwaitOptions{Timeout: time.Second})
				second <- err
			}()
			yes, err := nodebus.Await[bool](ctx, "q", nil)
			return []any{yes, <-second}, err
		})
		wait := r.ask("Ask")
		time.Sleep(time.Minute)
		require.NoError(t, r.engine.Answer(r.ctx, "p", "x", "q", true))
		o := wait()
		require.Equal(t, []any{"[true " + nodebus.ErrExpired.Error() + "]"}, o.text("out"))
		require.Len(t, o.questions(), 2)
	})
}

// TestAwaitInterrupted: the node receives the cause, and the end of the prompt settles
// the question.
func TestAwaitInterrupted(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		got := make(chan error, 1)
		r.fn("Ask", func(ctx *nodebus.Context, _, _ any) (any, error) {
			_, err := nodebus.Await[bool](ctx, "q", nil)
			got <- err
			return nil, err
		})
		wait := r.ask("Ask")
		require.True(t, interrupt(r.engine, "p"))
		require.ErrorIs(t, <-got, nodebus.ErrInterrupted)
		o := wait()
		require.Equal(t, nodebus.Interrupted, o.record.State)
		require.Equal(t, "x", o.record.Interrupted.NodeID)
		require.Equal(t, []nodebus.Payload{waiting("x", "q")}, o.questions())
	})
}

// TestInterruptSignal: an interrupt that another process has sent ends the prompt, also if
// the interrupt came before the prompt began.
func TestInterruptSignal(t *testing.T) {
	signals := flow.NewSignals(nil)
	inBubble(t, nil, &flow.EngineOptions{Signals: signals}, func(r *rig) {
		asksFor[bool](r, "Ask", "q", nil)
		wait := r.ask("Ask")
		require.NoError(t, signals.Send(r.ctx, flow.Signal{PromptID: "p", Interrupt: true}))
		require.Equal(t, nodebus.Interrupted, wait().record.State)

		require.NoError(t, signals.Send(r.ctx, flow.Signal{PromptID: "early", Interrupt: true}))
		o := r.submit(&nodebus.Prompt{ID: "early", Nodes: two("Ask")})
		require.Equal(t, nodebus.Interrupted, o.record.State)
		require.Empty(t, o.questions())

		// Nothing is left of the signals of ended prompts.
		synctest.Wait()
		for _, id := range []string{"p", "early"} {
			stop, err := signals.Receive(id, func(s flow.Signal) error { t.Errorf("%+v is left", s); return nil })
			require.NoError(t, err)
			stop()
		}
	})
}

func TestAnswerOfUnknownPrompts(t *testing.T) {
	inBubble(t, nil, nil, func(r *rig) {
		err := r.engine.Answer(r.ctx, "nobody", "x", "q", true)
		require.ErrorIs(t, err, flow.ErrNotFound)
		require.EqualError(t, err, `nodebus: not found: no prompt with this id waits or runs: prompt "nobody"`)
		r.submit(&nodebus.Prompt{ID: "p", Nodes: shown("x")})
		require.ErrorIs(t, r.engine.Refuse(r.ctx, "p", "x", "q", ""), flow.ErrNotFound)
	})
}

// TestAwaitWithoutEngine: the error names the mend.
func TestAwaitWithoutEngine(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, show{}, nodebus.Info{Name: "Show"})
	flow.Register(reg, fn{f: func(ctx *nodebus.Context, _, _ any) (any, error) {
		return nodebus.Await[bool](ctx, "q", nil)
	}}, nodebus.Info{Name: "Ask"})
	_, err := execute(flow.NewLocal(reg, nil), context.Background(), &nodebus.Prompt{ID: "p", Nodes: two("Ask")}, &recorder{})
	require.ErrorContains(t, err, "no engine runs this prompt")
}
