package nats_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// named returns a signal of prompt p.
func named(name string) flow.Signal {
	return flow.Signal{PromptID: "p", Node: "1", Name: name, Answer: json.RawMessage(`1`)}
}

// inbox is a receiver that remembers the names of the signals.
type inbox struct {
	mu    sync.Mutex
	names []string
	err   error
}

func (b *inbox) receive(x flow.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names = append(b.names, x.Name)
	return b.err
}

func (b *inbox) got() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string{}, b.names...)
}

// keeps returns the names of the signals that a new receiver gets at once. It ends other
// receivers.
func keeps(t *testing.T, s flow.Signals) []string {
	t.Helper()
	box := &inbox{}
	stop, err := s.Receive("p", box.receive)
	require.NoError(t, err)
	stop()
	return box.got()
}

// two opens a bus at two connections, as two processes do.
func two(t *testing.T, opts nats.Options) (a, b *nats.Bus) {
	opts.Name = newName()
	return open(t, shared, opts), open(t, shared, opts)
}

func TestSendReachesAnotherProcess(t *testing.T) {
	a, b := two(t, nats.Options{})
	box := &inbox{}
	require.NoError(t, b.Signals().Send(t.Context(), named("early")))
	stop, err := a.Signals().Receive("p", box.receive)
	require.NoError(t, err)
	require.NoError(t, b.Signals().Send(t.Context(), named("one")))
	require.Equal(t, []string{"early", "one"}, box.got(), "when Send returns, the receiver has the signal")
	require.NoError(t, a.Signals().Send(t.Context(), named("two")))
	box.err = fmt.Errorf("seven: %w", flow.ErrAnswer)
	err = b.Signals().Send(t.Context(), named("refused"))
	require.ErrorIs(t, err, flow.ErrAnswer)
	require.EqualError(t, err, box.err.Error())
	box.err = nil
	require.NoError(t, b.Signals().Send(t.Context(), named("three")))
	want := []string{"early", "one", "two", "refused", "three"}
	require.Equal(t, want, box.got())
	stop()
	require.NoError(t, b.Signals().Send(t.Context(), named("late")))
	require.Equal(t, want, box.got())
	require.Equal(t, []string{"early", "one", "two", "three", "late"}, keeps(t, a.Signals()))
	require.NoError(t, b.Signals().Drop(t.Context(), "p"))
	require.Empty(t, keeps(t, a.Signals()))
	require.Empty(t, keeps(t, b.Signals()))
}

// TestReceiverMoves begins to receive by turns in two processes: each receiver gets all
// that is kept once, and the earlier one gets nothing any more.
func TestReceiverMoves(t *testing.T) {
	a, b := two(t, nats.Options{})
	var want []string
	var boxes []*inbox
	var before int
	for n := range 10 {
		here, there := a.Signals(), b.Signals()
		if n%2 == 1 {
			here, there = there, here
		}
		box := &inbox{}
		_, err := here.Receive("p", box.receive) // nobody stops the earlier receiver
		require.NoError(t, err)
		require.Equal(t, append([]string{}, want...), box.got())
		for i, s := range []flow.Signals{here, there, there, here} {
			name := fmt.Sprint(n, "-", i)
			require.NoError(t, s.Send(t.Context(), named(name)))
			want = append(want, name)
		}
		require.Equal(t, want, box.got())
		if n > 0 {
			require.Len(t, boxes[n-1].got(), before, "the earlier receiver is replaced")
		}
		boxes, before = append(boxes, box), len(want)
	}
}

// TestSendersInTwoProcesses sends from two processes while the receiver moves between them.
// No signal is lost or doubled, and each receiver gets the signals of a sender in order.
func TestSendersInTwoProcesses(t *testing.T) {
	a, b := two(t, nats.Options{})
	const each = 60
	var all sync.WaitGroup
	for w, s := range []flow.Signals{a.Signals(), b.Signals(), a.Signals(), b.Signals()} {
		all.Go(func() {
			for i := range each {
				if err := s.Send(t.Context(), named(fmt.Sprint(w, " ", i))); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		})
	}
	all.Go(func() {
		for n := range 20 {
			stop, err := []flow.Signals{a.Signals(), b.Signals()}[n%2].Receive("p", (&inbox{}).receive)
			if err != nil {
				t.Errorf("receive: %v", err)
				return
			}
			if n%3 == 0 {
				stop()
			}
		}
	})
	all.Wait()
	for _, s := range []flow.Signals{a.Signals(), b.Signals()} {
		next := map[int]int{}
		for _, name := range keeps(t, s) {
			var w, i int
			_, err := fmt.Sscan(name, &w, &i)
			require.NoError(t, err)
			require.Equal(t, next[w], i, "sender %d", w)
			next[w]++
		}
		require.Equal(t, map[int]int{0: each, 1: each, 2: each, 3: each}, next)
	}
}

func TestErrorsCrossProcesses(t *testing.T) {
	a, b := two(t, nats.Options{})
	known := []error{
		flow.ErrFull, flow.ErrAnswer, flow.ErrDuplicate, flow.ErrSecrets, flow.ErrLapsed, flow.ErrNotFound, flow.ErrCycle,
		nodebus.ErrClosed, nodebus.ErrSlow, nodebus.ErrUnauthenticated, nodebus.ErrForbidden, nodebus.ErrInterrupted,
		nodebus.ErrNoAddress, nodebus.ErrExpired, nodebus.ErrRefused,
	}
	var says error
	_, err := a.Signals().Receive("p", func(flow.Signal) error {
		if says == nil {
			panic("oh")
		}
		return says
	})
	require.NoError(t, err)
	require.ErrorContains(t, b.Signals().Send(t.Context(), named("x")), "oh")
	for _, one := range append(known, errors.New("none of them")) {
		says = fmt.Errorf("prompt p: %w", one)
		got := b.Signals().Send(t.Context(), named("x"))
		require.EqualError(t, got, says.Error())
		for _, other := range known {
			require.Equal(t, one == other, errors.Is(got, other), "%v is %v", got, other) //nolint:errorlint // the same one
		}
	}
	says = nilError{}
	require.Error(t, b.Signals().Send(t.Context(), named("x")), "an error whose method panics")
	says = errors.Join(flow.ErrAnswer, nodebus.ErrRefused)
	got := b.Signals().Send(t.Context(), named("x"))
	require.ErrorIs(t, got, flow.ErrAnswer)
	require.ErrorIs(t, got, nodebus.ErrRefused)
	require.Empty(t, keeps(t, b.Signals()))
}

// nilError is an error whose methods panic.
type nilError struct{ _ *int }

func (nilError) Error() string   { panic("no text") }
func (nilError) Is(error) bool   { panic("no kind") }
func (nilError) As(any) bool     { panic("no type") }
func (nilError) Unwrap() []error { panic("no more") }

// TestReceiverDies kills the connection of the process that runs a prompt, before it has
// seen the signal, or while its receiver works: the signal is kept, once.
func TestReceiverDies(t *testing.T) {
	for name, works := range map[string]bool{"while it works": true, "before": false} {
		t.Run(name, func(t *testing.T) {
			busName := newName()
			conn := connect(t, shared)
			dying, err := nats.Open(t.Context(), conn, &nats.Options{Name: busName, Logger: quiet})
			require.NoError(t, err)
			b := open(t, shared, nats.Options{Name: busName})
			began, hang := make(chan struct{}), make(chan struct{})
			t.Cleanup(func() { _ = dying.Close() })
			_, err = dying.Signals().Receive("p", func(flow.Signal) error { close(began); <-hang; return nil })
			require.NoError(t, err)
			sent := make(chan error, 1)
			if !works {
				conn.Close()
			}
			go func() { sent <- b.Signals().Send(t.Context(), named("x")) }()
			if works {
				<-began
				conn.Close()
			}
			require.NoError(t, <-sent)
			close(hang)
			require.Equal(t, []string{"x"}, keeps(t, b.Signals()))
			require.Equal(t, []string{"x"}, keeps(t, open(t, shared, nats.Options{Name: busName}).Signals()))
		})
	}
}

// TestReceiverHangs: Send ends with its context, and the signal does not come later.
func TestReceiverHangs(t *testing.T) {
	a, b := two(t, nats.Options{})
	hang, began := make(chan struct{}), make(chan struct{})
	first, second := &inbox{}, make(chan error, 1)
	_, err := a.Signals().Receive("p", func(x flow.Signal) error {
		if len(first.got()) == 0 {
			close(began)
			<-hang
		}
		return first.receive(x)
	})
	require.NoError(t, err)
	sent := make(chan error, 1)
	go func() { sent <- a.Signals().Send(t.Context(), named("hangs")) }()
	<-began
	boom := errors.New("boom")
	for _, s := range []flow.Signals{a.Signals(), b.Signals()} {
		ctx, cancel := context.WithCancelCause(t.Context())
		go func() { second <- s.Send(ctx, named("late")) }()
		cancel(boom)
		require.ErrorIs(t, <-second, boom)
	}
	close(hang)
	require.NoError(t, <-sent)
	require.NoError(t, b.Signals().Send(t.Context(), named("after")))
	require.Equal(t, []string{"hangs", "after"}, first.got())
	require.Equal(t, []string{"hangs", "after"}, keeps(t, b.Signals()))
}

func TestInterruptIsKeptOnce(t *testing.T) {
	a, b := two(t, nats.Options{})
	interrupt := flow.Signal{PromptID: "p", Interrupt: true}
	for range 3 {
		require.NoError(t, a.Signals().Send(t.Context(), interrupt))
		require.NoError(t, b.Signals().Send(t.Context(), interrupt))
	}
	box := &inbox{}
	stop, err := a.Signals().Receive("p", box.receive)
	require.NoError(t, err)
	require.Len(t, box.got(), 1)
	require.NoError(t, b.Signals().Send(t.Context(), interrupt))
	require.NoError(t, a.Signals().Send(t.Context(), interrupt))
	require.Len(t, box.got(), 3, "a receiver gets each")
	stop()
	require.Len(t, keeps(t, b.Signals()), 1)
}

// TestClosedSignals: Close ends receivers and whoever waits.
func TestClosedSignals(t *testing.T) {
	a, b := two(t, nats.Options{})
	began, hang := make(chan struct{}), make(chan struct{})
	defer close(hang)
	stop, err := a.Signals().Receive("p", func(flow.Signal) error { close(began); <-hang; return nil })
	require.NoError(t, err)
	sent := make(chan error, 1)
	go func() { sent <- a.Signals().Send(t.Context(), named("x")) }()
	<-began
	require.NoError(t, a.Close())
	require.NoError(t, <-sent, "it is kept")
	stop()
	require.ErrorIs(t, a.Signals().Send(t.Context(), named("y")), nodebus.ErrClosed)
	require.ErrorIs(t, a.Signals().Drop(t.Context(), "p"), nodebus.ErrClosed)
	_, err = a.Signals().Receive("p", (&inbox{}).receive)
	require.ErrorIs(t, err, nodebus.ErrClosed)
	require.NoError(t, b.Signals().Send(t.Context(), named("z")))
	require.Equal(t, []string{"x", "z"}, keeps(t, b.Signals()))
}
