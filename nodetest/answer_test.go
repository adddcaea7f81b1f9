package nodetest_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/nodetest"
	"github.com/stretchr/testify/require"
)

// approve is a node that asks.
type approve struct{ What string }

func (n approve) Run(ctx *nodebus.Context) (string, error) {
	yes, err := nodebus.Await[bool](ctx, "ok", nil)
	if err != nil {
		return "", err
	}
	return fmt.Sprint(n.What, ": ", yes), nil
}

// A test answers the questions of the node.
func ExampleOptions_answer() {
	t := new(testing.T)

	for _, answer := range []func(nodebus.Waiting) (any, error){
		func(nodebus.Waiting) (any, error) { return true, nil },
		func(nodebus.Waiting) (any, error) { return nil, &nodebus.RefusedError{Reason: "too dark"} },
		func(nodebus.Waiting) (any, error) { return nil, nodebus.ErrExpired },
	} {
		rec := nodetest.New(t, &nodetest.Options{Answer: answer})
		text, err := approve{What: "print"}.Run(rec.Context())
		fmt.Printf("%q %v\n", text, err)
		for _, q := range nodetest.Sent[nodebus.Waiting](rec) {
			fmt.Printf("asked %q: %s\n", q.Name, q.Schema)
		}
	}
	// Output:
	// "print: true" <nil>
	// asked "ok": {"type":"boolean"}
	// "" nodebus: refused: too dark
	// asked "ok": {"type":"boolean"}
	// "" nodebus: nobody answered in time
	// asked "ok": {"type":"boolean"}
}

func TestAnswer(t *testing.T) {
	_, err := approve{}.Run(nodetest.New(t, nil).Context())
	require.EqualError(t, err, `nodetest: the node asks "ok"; set Options.Answer`)

	boom := errors.New("boom")
	for _, c := range []struct {
		answer any
		err    error
		result string
	}{
		{true, nil, "answered"},
		{nil, &nodebus.RefusedError{}, "refused"},
		{nil, boom, "expired"},
	} {
		rec := nodetest.New(t, &nodetest.Options{UniqueID: "7", Answer: func(q nodebus.Waiting) (any, error) {
			require.Equal(t, "7", q.UniqueID)
			return c.answer, c.err
		}})
		_, err := approve{}.Run(rec.Context())
		require.ErrorIs(t, err, c.err)
		require.Equal(t, []nodebus.Answered{{
			Place: nodebus.Place{UniqueID: "7"}.WithDefaults(), PromptID: "prompt", Name: "ok", Result: c.result,
		}}, nodetest.Sent[nodebus.Answered](rec))
	}

	// The question of a node that the node under test has made.
	r := flow.NewRegistry()
	flow.Register(r, approve{}, nodebus.Info{Name: "Approve"})
	rec := nodetest.New(t, &nodetest.Options{Registry: r, Answer: func(nodebus.Waiting) (any, error) { return true, nil }})
	ctx := rec.Context()
	g := ctx.NewGraph()
	text, err := nodebus.Eval[string](ctx, g, g.AddAs("made", "Approve", nodebus.Inputs{"what": "x"}))
	require.NoError(t, err)
	require.Equal(t, "x: true", text)
	require.Equal(t, "1", nodetest.Sent[nodebus.Waiting](rec)[0].ParentID)
}

// TestAnswerThatDoesNotFit fails the test, and the node receives the error.
func TestAnswerThatDoesNotFit(t *testing.T) {
	inner := &failures{TB: t}
	rec := nodetest.New(inner, &nodetest.Options{Answer: func(nodebus.Waiting) (any, error) { return "yes", nil }})
	_, err := approve{}.Run(rec.Context())
	require.ErrorContains(t, err, "must be a bool")
	require.Equal(t, 1, inner.n)
}

// failures counts the calls of Errorf.
type failures struct {
	testing.TB
	n int
}

func (f *failures) Errorf(string, ...any) { f.n++ }

func TestAnswerAfterTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	rec := nodetest.New(t, &nodetest.Options{Answer: func(nodebus.Waiting) (any, error) { cancel(); return true, nil }})
	_, err := approve{}.Run(rec.With(ctx))
	require.ErrorIs(t, err, context.Canceled)
}
