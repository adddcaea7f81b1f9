package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// comes waits until the inbox has received exactly these signals.
func (b *inbox) comes(t *testing.T, names ...string) {
	t.Helper()
	for began := time.Now(); len(b.got()) < len(names); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), patience)
	}
	require.Equal(t, names, b.got())
}

// TestReplacedWhileItJoins replaces a receiver between the steps of Receive, in the same
// process or in another: signals must not go to a receiver that is over.
func TestReplacedWhileItJoins(t *testing.T) {
	for _, where := range []int{0, 1} {
		a, b := two(t, nats.Options{})
		buses := []*nats.Bus{a, b}
		early, late := &inbox{}, &inbox{}
		joining, err := nats.Join(a.Signals(), "p", early.receive)
		require.NoError(t, err)
		_, err = buses[where].Signals().Receive("p", late.receive)
		require.NoError(t, err)
		require.NoError(t, joining.Listen())
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		if where == 0 { // a receiver that another process has cannot be told before it listens
			for began := time.Now(); !joining.Drained(); time.Sleep(time.Millisecond) {
				require.Less(t, time.Since(began), patience)
			}
			require.NoError(t, a.Signals().Send(ctx, named("one")))
			require.NoError(t, b.Signals().Send(ctx, named("two")))
			require.Empty(t, early.got())
		} else {
			require.NoError(t, a.Signals().Send(ctx, named("one")))
			require.NoError(t, b.Signals().Send(ctx, named("two")))
		}
		late.comes(t, "one", "two")
	}
}

// TestClosedWhileItJoins closes the signals between the steps of Receive.
func TestClosedWhileItJoins(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName()})
	joining, err := nats.Join(bus.Signals(), "p", func(flow.Signal) error { return nil })
	require.NoError(t, err)
	require.NoError(t, bus.Close(), "it waits for the goroutine of the receiver")
	require.NoError(t, joining.Listen())
	for began := time.Now(); !joining.Drained(); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), patience)
	}
}

// TestSignalsForgetVoids: the ids of signals whose Send has failed are forgotten when the
// stream has forgotten them.
func TestSignalsForgetVoids(t *testing.T) {
	s := open(t, shared, nats.Options{Name: newName()}).Signals()
	require.NoError(t, s.Send(t.Context(), named("kept")))
	for _, prompt := range []string{"p", "q", "r"} {
		require.NoError(t, nats.OrderVoid(t.Context(), s, prompt, "x"))
	}
	boxes := func() int {
		n, _, _ := nats.Left(s)
		return n
	}
	nats.ForgetVoids(s, time.Minute)
	require.Equal(t, 3, boxes(), "the message of such a signal may still come")
	nats.ForgetVoids(s, 2*time.Hour)
	require.Equal(t, 1, boxes())
	require.Equal(t, []string{"kept"}, keeps(t, s))
}

// TestSignalsAreUTF8: a text that another process would receive as another text is refused.
func TestSignalsAreUTF8(t *testing.T) {
	a, b := two(t, nats.Options{})
	for field, x := range map[string]flow.Signal{
		"node": {PromptID: "p", Node: "\xff"}, "name": {PromptID: "p", Name: "a\xff"}, "reason": {PromptID: "p", Refused: true, Reason: "\xff"},
	} {
		require.ErrorContains(t, a.Signals().Send(t.Context(), x), "the "+field+" of a signal")
	}
	require.Empty(t, keeps(t, b.Signals()))
}
