package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func reply(prompt string, n int) flow.Signal {
	return flow.Signal{PromptID: prompt, Node: "x", Name: "q", Answer: json.RawMessage(fmt.Sprint(n))}
}

func stopSignal(prompt string) flow.Signal { return flow.Signal{PromptID: prompt, Interrupt: true} }

func TestSignalsHaveLimits(t *testing.T) {
	ctx := t.Context()
	large := flow.Signal{PromptID: "a", Answer: json.RawMessage(strings.Repeat("1", 2000))}
	for name, c := range map[string]struct {
		opts flow.SignalsOptions
		err  string
		kept int // signals of prompt a
		more bool
	}{
		"len":   {flow.SignalsOptions{PromptLen: 3}, `nodebus: the prompt has 3 answers already, see SignalsOptions.PromptLen: prompt "a"`, 3, true},
		"bytes": {flow.SignalsOptions{PromptBytes: 700}, `nodebus: the answers to the prompt would take more than 700 bytes, see SignalsOptions.PromptBytes: prompt "a"`, 4, true},
		"all":   {flow.SignalsOptions{Bytes: 700}, `nodebus: the signals of all prompts would take more than 700 bytes; send again later, or raise SignalsOptions.Bytes: prompt "a"`, 4, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := flow.NewSignals(&c.opts)
			var err error
			n := 0
			for ; n < 100 && err == nil; n++ {
				err = s.Send(ctx, reply("a", n))
			}
			require.ErrorIs(t, err, flow.ErrFull)
			require.EqualError(t, err, c.err)
			require.Equal(t, c.kept, n-1)
			if name != "len" {
				require.ErrorIs(t, s.Send(ctx, large), flow.ErrFull)
			}
			if c.more { // other prompts have room, and the prompt can be interrupted
				require.NoError(t, s.Send(ctx, reply("b", 1)))
				require.NoError(t, s.Send(ctx, stopSignal("a")))
				require.NoError(t, s.Send(ctx, stopSignal("a")))
			}
			passed := 0
			stop, err := s.Receive("a", func(flow.Signal) error { passed++; return nil })
			require.NoError(t, err)
			require.ErrorIs(t, s.Send(ctx, reply("a", 1)), flow.ErrFull, "a receiver makes no room")
			stop()
			for range 3 { // dropped signals make room, each once
				require.NoError(t, s.Drop(ctx, "a"))
			}
			for n := range c.kept {
				require.NoError(t, s.Send(ctx, reply("a", n)))
			}
			require.ErrorIs(t, s.Send(ctx, reply("a", 1)), flow.ErrFull)
		})
	}
}

// TestRefusedSignalsTakeNoRoom: signals that the receiver refuses, or that it panics for,
// leave nothing behind.
func TestRefusedSignalsTakeNoRoom(t *testing.T) {
	s := flow.NewSignals(&flow.SignalsOptions{PromptLen: 1, Bytes: 300})
	no := errors.New("no")
	for range 10 {
		stop, err := s.Receive("a", func(flow.Signal) error { return no })
		require.NoError(t, err)
		require.ErrorIs(t, s.Send(t.Context(), reply("a", 1)), no)
		stop()
		stop, err = s.Receive("a", func(flow.Signal) error { panic("oh") })
		require.NoError(t, err)
		require.ErrorContains(t, s.Send(t.Context(), reply("a", 1)), "oh")
		stop()
		stop, err = s.Receive("a", func(flow.Signal) error { runtime.Goexit(); return nil })
		require.NoError(t, err)
		exited := make(chan struct{})
		go func() {
			defer close(exited)
			_ = s.Send(context.Background(), reply("a", 1))
		}()
		<-exited
		stop()
	}
	require.NoError(t, s.Send(t.Context(), reply("b", 1)))
}

// TestSignalIsDroppedWhileItIsReceived drops the signals of a prompt before the receiver has
// returned, as the end of the prompt may do: nothing is left for a later prompt with the id.
func TestSignalIsDroppedWhileItIsReceived(t *testing.T) {
	m := flow.NewSignals(nil)
	stop, err := m.Receive("p", func(flow.Signal) error { return m.Drop(t.Context(), "p") })
	require.NoError(t, err)
	for _, s := range []flow.Signal{{PromptID: "p", Interrupt: true}, {PromptID: "p", Node: "n"}} {
		require.NoError(t, m.Send(t.Context(), s))
	}
	stop()
	_, err = m.Receive("p", func(s flow.Signal) error { t.Errorf("%+v is left", s); return nil })
	require.NoError(t, err)
}

// TestSendWaitsForItsTurn: a receiver that hangs holds up other senders only until their
// context ends, and a new receiver begins at once.
func TestSendWaitsForItsTurn(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		s := flow.NewSignals(nil)
		hang := make(chan struct{})
		_, err := s.Receive("a", func(flow.Signal) error { <-hang; return nil })
		require.NoError(t, err)
		first := make(chan error, 1)
		go func() { first <- s.Send(t.Context(), reply("a", 1)) }()
		synctest.Wait()
		ctx, cancel := context.WithCancelCause(t.Context())
		second := make(chan error, 1)
		go func() { second <- s.Send(ctx, reply("a", 2)) }()
		synctest.Wait()
		boom := errors.New("boom")
		cancel(boom)
		require.ErrorIs(t, <-second, boom)

		var got []string
		stop, err := s.Receive("a", func(x flow.Signal) error { got = append(got, string(x.Answer)); return nil })
		require.NoError(t, err)
		require.NoError(t, s.Send(t.Context(), reply("a", 3)))
		close(hang)
		require.NoError(t, <-first)
		require.Equal(t, []string{"3", "1"}, got, "the new receiver gets the signal of the old one, too")
		stop()
	})
}

// modelSignals is a naive model of Signals.
type modelSignals struct {
	kept map[string][]flow.Signal
	rec  map[string]*modelReceiver
}

type modelReceiver struct {
	got     []string
	refuses bool
}

// TestSignalsModel compares the signals in memory with the model, one step at a time.
func TestSignalsModel(t *testing.T) {
	for seed := range uint64(300) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		s := flow.NewSignals(nil)
		m := modelSignals{map[string][]flow.Signal{}, map[string]*modelReceiver{}}
		real, stops := map[*modelReceiver]*[]string{}, map[string]func(){}
		for step := range 60 {
			id := string("abc"[rnd.IntN(3)])
			now := m.rec[id]
			switch rnd.IntN(7) {
			case 0, 1, 2:
				sig := reply(id, step)
				if rnd.IntN(8) == 0 {
					sig = stopSignal(id)
				}
				err := s.Send(t.Context(), sig)
				require.Equal(t, now != nil && now.refuses, err != nil, "seed %d", seed)
				twice := sig.Interrupt && slices.ContainsFunc(m.kept[id], func(s flow.Signal) bool { return s.Interrupt })
				if now != nil {
					now.got = append(now.got, string(sig.Answer))
				}
				if err == nil && !twice {
					m.kept[id] = append(m.kept[id], sig)
				}
			case 3, 4:
				r, got := &modelReceiver{refuses: rnd.IntN(3) == 0}, &[]string{}
				for _, k := range m.kept[id] {
					r.got = append(r.got, string(k.Answer))
				}
				m.rec[id], real[r] = r, got
				stop, err := s.Receive(id, func(x flow.Signal) error {
					*got = append(*got, string(x.Answer))
					if r.refuses {
						return errors.New("no")
					}
					return nil
				})
				require.NoError(t, err)
				old := stops[id]
				if stops[id] = stop; old != nil && rnd.IntN(2) == 0 {
					old() // stopping a receiver that is replaced changes nothing
				}
			case 5:
				if stop := stops[id]; stop != nil {
					stop()
					stop()
				}
				delete(m.rec, id)
			case 6:
				require.NoError(t, s.Drop(t.Context(), id))
				delete(m.kept, id)
			}
		}
		for r, got := range real {
			require.Equal(t, slices.Concat(r.got), slices.Concat(*got), "seed %d", seed)
		}
	}
}
