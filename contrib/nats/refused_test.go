package nats_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestRefusedAnswersAreBounded: whoever may answer a question may send many answers that are
// refused. Neither the processes nor the stream keep them all.
func TestRefusedAnswersAreBounded(t *testing.T) {
	t.Cleanup(nats.SetMaxVoids(300))
	a, b := two(t, nats.Options{})
	stop, err := a.Signals().Receive("p", func(s flow.Signal) error {
		if s.Node == "kept" {
			return nil
		}
		return flow.ErrAnswer
	})
	require.NoError(t, err)
	defer stop()
	require.NoError(t, b.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Node: "kept", Name: "n"}))
	for n := range 500 {
		from := a
		if n%50 == 0 {
			from = b
		}
		require.ErrorIs(t, from.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Node: "1", Name: "n", Answer: []byte("1")}), flow.ErrAnswer)
	}
	require.NoError(t, nats.CatchUpSignals(t.Context(), b.Signals()))
	for _, s := range []flow.Signals{a.Signals(), b.Signals()} {
		require.LessOrEqual(t, nats.Voids(s), 300)
	}
	require.LessOrEqual(t, messagesOf(t, nats.SignalsStream(a.Signals())), 1+nats.MaxOrders+1)
	var got []string
	stop, err = b.Signals().Receive("p", func(s flow.Signal) error { got = append(got, s.Node); return nil })
	require.NoError(t, err)
	stop()
	require.Equal(t, []string{"kept"}, got)
}

// TestEraseLooksFirst: a message is deleted only if it is the signal that was meant, whatever
// the stream has at this place now.
func TestEraseLooksFirst(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName()})
	require.NoError(t, bus.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Node: "1", Name: "n"}))
	stream := nats.SignalsStream(bus.Signals())
	nats.Erase(t.Context(), bus.Signals(), "p", "another", 1)
	nats.Erase(t.Context(), bus.Signals(), "q", "", 1)
	require.Equal(t, 1, messagesOf(t, stream))
}

// TestLargeEventHasItsTurn: an event that is larger than all room waits until it is alone, and
// events that come later wait behind it.
func TestLargeEventHasItsTurn(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName()})
	l, small := bus.Log(), strings.Repeat("x", 64<<10)
	done, running := make(chan struct{}), make(chan struct{}, 4)
	ended := make(chan struct{}, 4)
	for w := range 4 {
		go func() {
			defer func() { ended <- struct{}{} }()
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				_ = l.Append(nodebus.Event{PromptID: fmt.Sprint("s", w), Payload: nodebus.Custom{Type: "x", Data: small}})
				if n == 40 {
					running <- struct{}{}
				}
			}
		}()
	}
	for range 4 {
		<-running
	}
	large := make(chan error, 1)
	go func() {
		large <- l.Append(nodebus.Event{PromptID: "l", Payload: nodebus.Custom{Type: "x", Data: strings.Repeat("x", 9<<20)}})
	}()
	var err error
	select {
	case err = <-large:
	case <-time.After(patience):
		err = errors.New("the large event has not had its turn")
	}
	close(done)
	for range 4 {
		<-ended
	}
	require.NoError(t, err)
}

// TestCancelledIsNotAway: whoever cancels a call does not hear that NATS does not answer, and
// nothing is changed.
func TestCancelledIsNotAway(t *testing.T) {
	bus := open(t, shared, nats.Options{Name: newName()})
	pushAll(t, bus.Queue(), "p")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for name, call := range map[string]func() error{
		"Get":    func() error { _, err := bus.Store().Get(ctx, "none"); return err },
		"Put":    func() error { return bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "r"}}) },
		"Move":   func() error { return bus.Queue().Move(ctx, "p", 3) },
		"Delete": func() error { _, err := bus.Queue().Delete(ctx, "p"); return err },
		"Send":   func() error { return bus.Signals().Send(ctx, flow.Signal{PromptID: "p", Node: "1", Name: "n"}) },
		"Drop":   func() error { return bus.Signals().Drop(ctx, "p") },
	} {
		t.Run(name, func(t *testing.T) {
			err := call()
			require.ErrorIs(t, err, context.Canceled)
			require.NotErrorIs(t, err, nats.ErrAway)
		})
	}
	held := takeFrom(t, bus.Queue(), "p", 1)
	nats.StopReading(bus, "QUEUE")
	require.NoError(t, held.Done(t.Context())) // Len waits until this process has read it
	_, _, err := bus.Queue().Len(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.NotErrorIs(t, err, nats.ErrAway)
}

// TestSmallerMaxPayload: the server comes back with a smaller limit for messages. Events that
// wait, large records and large prompts still get through.
func TestSmallerMaxPayload(t *testing.T) {
	p, nc := newPlace(t)
	p.begin(t)
	bus, err := nats.Open(t.Context(), nc, &nats.Options{Logger: quiet, LogBytes: 64 << 20})
	require.NoError(t, err)
	defer func() { _ = bus.Close() }()
	require.NoError(t, bus.Log().Append(about("p", said(1))))
	flush(t, bus.Log())
	p.end(t)
	text := strings.Repeat("x", 3<<20)
	require.NoError(t, bus.Log().Append(nodebus.Event{PromptID: "p", Payload: nodebus.Custom{Type: "x", Data: text}}))
	nats.AwaitSending(bus)
	p.tune = func(o *server.Options) { o.MaxPayload = 256 << 10 }
	p.begin(t)
	flush(t, bus.Log())
	require.Len(t, everything(t, bus.Log()).Events, 2)
	require.NoError(t, bus.Store().Put(patient(t), largeRecord("p")))
	_, err = bus.Store().Get(patient(t), "p")
	require.NoError(t, err)
	require.NoError(t, bus.Queue().Push(patient(t), &nodebus.Prompt{ID: "q", Extra: map[string]any{"x": text}}, nil))
	l, err := bus.Queue().TakeOne(patient(t), "q")
	require.NoError(t, err)
	require.NoError(t, l.Done(patient(t)))
}
