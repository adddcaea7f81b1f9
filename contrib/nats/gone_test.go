package nats_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestAwayLongerThanTheMarkers cuts a process off until the messages have expired that say
// what is gone. When it is back, it knows of nothing that is not there.
func TestAwayLongerThanTheMarkers(t *testing.T) {
	t.Cleanup(nats.SetGoneTime(2 * time.Second)) // after the buses are closed
	opts := nats.Options{Name: newName()}
	g, cut := openAt(t, opts)
	stays := open(t, shared, opts)
	pushAll(t, stays.Queue(), "p", "stays")
	for _, id := range []string{"r", "stays"} {
		require.NoError(t, stays.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: id}, State: nodebus.Succeeded}))
		require.NoError(t, stays.Signals().Send(t.Context(), flow.Signal{PromptID: id, Interrupt: true}))
	}
	knows := func() []int {
		waiting, _, err := cut.Queue().Len(t.Context())
		require.NoError(t, err)
		records, _ := nats.Known(cut.Store())
		boxes, _, _ := nats.Left(cut.Signals())
		return []int{waiting, records, boxes}
	}
	require.NoError(t, nats.CatchUp(t.Context(), cut.Queue()))
	require.NoError(t, nats.CatchUpSignals(t.Context(), cut.Signals()))
	for _, err := range cut.Store().List(t.Context()) { // it reads first what is stored
		require.NoError(t, err)
	}
	require.Equal(t, []int{2, 2, 2}, knows())

	g.set(true)
	l, err := stays.Queue().TakeOne(t.Context(), "p")
	require.NoError(t, err)
	require.NoError(t, l.Done(t.Context()))
	require.NoError(t, stays.Store().Delete(t.Context(), "r"))
	require.NoError(t, stays.Signals().Drop(t.Context(), "r"))
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	for _, part := range []string{"_QUEUE", "_STORE", "_SIGNALS"} {
		until(t, func() bool {
			s, err := js.Stream(t.Context(), opts.Name+part)
			require.NoError(t, err)
			return s.CachedInfo().State.Msgs == 1
		})
	}
	require.Equal(t, []int{2, 2, 2}, knows())
	g.set(false)
	until(t, func() bool { w := knows(); return w[0] == 1 && w[1] == 1 && w[2] == 1 })
}

// until waits until is returns true.
func until(t *testing.T, is func() bool) {
	t.Helper()
	for began := time.Now(); !is(); time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), patience)
	}
}

// patient returns a context for a call that may be slow: without a deadline it has 15 seconds.
func patient(t *testing.T) context.Context {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 4*patience)
	t.Cleanup(stop)
	return ctx
}
