package conform_test

import (
	"context"
	"sync"
	"testing"

	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
)

func TestSignals(t *testing.T) {
	conform.Signals(t, func(*testing.T) flow.Signals { return flow.NewSignals(nil) })
}

func TestSignalsReopens(t *testing.T) {
	conform.SignalsReopens(t, func(*testing.T) (flow.Signals, func() flow.Signals) {
		s := flow.NewSignals(nil)
		return s, func() flow.Signals { return s }
	})
}

// copied returns new signals with the signals of some prompts that change returns.
func copied(t *testing.T, from flow.Signals, change func([]flow.Signal) []flow.Signal) flow.Signals {
	next := flow.NewSignals(nil)
	for _, prompt := range []string{"p", "pp", "other"} {
		var all []flow.Signal
		stop, _ := from.Receive(prompt, func(s flow.Signal) error { all = append(all, s); return nil })
		stop()
		for _, s := range change(all) {
			_ = next.Send(t.Context(), s)
		}
	}
	return next
}

// signalsReopenMutant opens signals that change has changed.
func signalsReopenMutant(change func([]flow.Signal) []flow.Signal) func(*testing.T) {
	return func(t *testing.T) {
		conform.SignalsReopens(t, func(*testing.T) (flow.Signals, func() flow.Signals) {
			s := flow.NewSignals(nil)
			return s, func() flow.Signals { return copied(t, s, change) }
		})
	}
}

// written writes a signal before its receiver has it, and never takes it back.
type written struct {
	flow.Signals
	file flow.Signals
}

func (m written) Send(ctx context.Context, s flow.Signal) error {
	_ = m.file.Send(ctx, s)
	return m.Signals.Send(ctx, s)
}

// dropsMemory drops nothing of the file.
type dropsMemory struct{ written }

func (m dropsMemory) Drop(ctx context.Context, id string) error { return m.Signals.Drop(ctx, id) }

func (m written) Drop(ctx context.Context, id string) error {
	_ = m.file.Drop(ctx, id)
	return m.Signals.Drop(ctx, id)
}

func same(all []flow.Signal) []flow.Signal { return all }

// testReopensRefused opens signals that a receiver has refused.
func testReopensRefused(t *testing.T) {
	conform.SignalsReopens(t, func(*testing.T) (flow.Signals, func() flow.Signals) {
		m := written{flow.NewSignals(nil), flow.NewSignals(nil)}
		return m, func() flow.Signals { return written{copied(t, m.file, same), m.file} }
	})
}

// testReopensDropped opens signals that were dropped after they were opened.
func testReopensDropped(t *testing.T) {
	conform.SignalsReopens(t, func(*testing.T) (flow.Signals, func() flow.Signals) {
		m := written{flow.NewSignals(nil), flow.NewSignals(nil)}
		return m, func() flow.Signals { return dropsMemory{written{copied(t, m.file, same), m.file}} }
	})
}

// Signals in a database would use an empty table for each subtest.
func ExampleSignals() {
	var t *testing.T // in a real test: the argument of the test function

	conform.Signals(t, func(*testing.T) flow.Signals { return flow.NewSignals(nil) })
}

func signalsMutant(mutate func(flow.Signals) flow.Signals) func(*testing.T) {
	return func(t *testing.T) {
		conform.Signals(t, func(*testing.T) flow.Signals { return mutate(flow.NewSignals(nil)) })
	}
}

// hideErrors does not tell who sends a signal that the receiver refuses it.
type hideErrors struct{ flow.Signals }

func (m hideErrors) Send(ctx context.Context, s flow.Signal) error {
	_ = m.Signals.Send(ctx, s)
	return nil
}

// keepRefused keeps signals that the receiver refuses.
type keepRefused struct{ flow.Signals }

func (m keepRefused) Receive(id string, f func(flow.Signal) error) (func(), error) {
	return m.Signals.Receive(id, func(s flow.Signal) error { _ = f(s); return nil })
}

// passOnly keeps nothing.
type passOnly struct{ flow.Signals }

func (m passOnly) Send(ctx context.Context, s flow.Signal) error {
	err := m.Signals.Send(ctx, s)
	_ = m.Drop(ctx, s.PromptID)
	return err
}

// keepOnly passes nothing to a receiver that has begun.
type keepOnly struct{ flow.Signals }

func (m keepOnly) Receive(id string, f func(flow.Signal) error) (func(), error) {
	stop, err := m.Signals.Receive(id, f)
	if err == nil {
		stop()
	}
	return stop, err
}

// forgetful forgets what a receiver has got.
type forgetful struct{ flow.Signals }

func (m forgetful) Receive(id string, f func(flow.Signal) error) (func(), error) {
	stop, err := m.Signals.Receive(id, f)
	_ = m.Drop(context.Background(), id)
	return stop, err
}

// oneBox keeps the signals of all prompts together.
type oneBox struct{ flow.Signals }

func (m oneBox) Send(ctx context.Context, s flow.Signal) error {
	s.PromptID = "all"
	return m.Signals.Send(ctx, s)
}

func (m oneBox) Receive(_ string, f func(flow.Signal) error) (func(), error) {
	return m.Signals.Receive("all", f)
}

// undropped does not forget.
type undropped struct{ flow.Signals }

func (undropped) Drop(context.Context, string) error { return nil }

// unstopped goes on after stop.
type unstopped struct{ flow.Signals }

func (m unstopped) Receive(id string, f func(flow.Signal) error) (func(), error) {
	_, err := m.Signals.Receive(id, f)
	return func() {}, err
}

// backwards gives the kept signals in the wrong order.
type backwards struct{ flow.Signals }

func (m backwards) Receive(id string, f func(flow.Signal) error) (func(), error) {
	var kept []flow.Signal
	stop, err := m.Signals.Receive(id, func(s flow.Signal) error { kept = append(kept, s); return nil })
	if err != nil {
		return nil, err
	}
	stop()
	_ = m.Drop(context.Background(), id)
	for i := len(kept) - 1; i >= 0; i-- {
		_ = m.Send(context.Background(), kept[i])
	}
	return m.Signals.Receive(id, f)
}

// noReasons loses a field.
type noReasons struct{ flow.Signals }

func (m noReasons) Send(ctx context.Context, s flow.Signal) error {
	s.Reason = ""
	return m.Signals.Send(ctx, s)
}

// sideBySide calls the receiver in the goroutine of each sender.
type sideBySide struct {
	flow.Signals
	mu sync.Mutex
	f  func(flow.Signal) error
}

func (m *sideBySide) Send(ctx context.Context, s flow.Signal) error {
	m.mu.Lock()
	f := m.f
	m.mu.Unlock()
	if f != nil {
		if err := f(s); err != nil {
			return err
		}
	}
	return m.Signals.Send(ctx, s)
}

func (m *sideBySide) Receive(id string, f func(flow.Signal) error) (func(), error) {
	stop, err := m.Signals.Receive(id, f)
	if err != nil {
		return nil, err
	}
	stop()
	set := func(f func(flow.Signal) error) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.f = f
	}
	set(f)
	return func() { set(nil) }, nil
}
