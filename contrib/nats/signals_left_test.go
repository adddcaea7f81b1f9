package nats_test

import (
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestSignalsLeft checks that the signals of a prompt end with the prompt, also if its
// process is killed before it drops them: an old interrupt must not end the next prompt with
// the id.
func TestSignalsLeft(t *testing.T) {
	for name, end := range map[string]func(t *testing.T, opts nats.Options, bus *nats.Bus, l flow.Lease){
		"killed before Drop": func(t *testing.T, _ nats.Options, bus *nats.Bus, l flow.Lease) {
			require.NoError(t, l.Done(t.Context()))
			require.NoError(t, bus.Close()) // it waits for the goroutines
		},
		"killed in Done; the next process sweeps": func(t *testing.T, opts nats.Options, bus *nats.Bus, l flow.Lease) {
			require.NoError(t, nats.EndAsKilled(t.Context(), l))
			q := open(t, shared, opts).Queue()
			require.NoError(t, nats.Sweep(t.Context(), q))
		},
		"killed in Done; the next prompt comes first": func(t *testing.T, _ nats.Options, bus *nats.Bus, l flow.Lease) {
			require.NoError(t, nats.EndAsKilled(t.Context(), l))
		},
		"deleted": func(t *testing.T, _ nats.Options, bus *nats.Bus, l flow.Lease) {
			require.NoError(t, l.Release(t.Context()))
			_, err := bus.Queue().Delete(t.Context(), "p")
			require.NoError(t, err)
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := nats.Options{Name: newName()}
			bus, other := open(t, shared, opts), open(t, shared, opts)
			pushAll(t, bus.Queue(), "p")
			l := takeFrom(t, bus.Queue(), "p", 1)
			require.NoError(t, other.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Interrupt: true}))
			require.NoError(t, nats.CatchUpSignals(t.Context(), bus.Signals()))
			end(t, opts, bus, l)
			require.NoError(t, nats.CatchUp(t.Context(), other.Queue()))
			pushAll(t, other.Queue(), "p")
			next := takeFrom(t, other.Queue(), "p", 1)
			for _, b := range []*nats.Bus{other, open(t, shared, opts)} {
				stop, err := b.Signals().Receive("p", func(s flow.Signal) error { t.Errorf("the next prompt gets %+v", s); return nil })
				require.NoError(t, err)
				stop()
				_, bytes, _ := nats.Left(b.Signals())
				require.Zero(t, bytes)
			}
			require.NoError(t, next.Done(t.Context()))
		})
	}
	t.Run("a newer prompt keeps its signals", func(t *testing.T) {
		opts := nats.Options{Name: newName()}
		bus, other := open(t, shared, opts), open(t, shared, opts)
		pushAll(t, bus.Queue(), "p")
		l := takeFrom(t, bus.Queue(), "p", 1)
		require.NoError(t, bus.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Interrupt: true}))
		require.NoError(t, nats.CatchUpSignals(t.Context(), other.Signals()))
		require.NoError(t, nats.EndAsKilled(t.Context(), l))
		require.NoError(t, nats.CatchUp(t.Context(), other.Queue()))
		pushAll(t, other.Queue(), "p")
		require.NoError(t, other.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Node: "1"}))
		require.NoError(t, nats.CatchUp(t.Context(), bus.Queue()))
		require.NoError(t, nats.Sweep(t.Context(), bus.Queue()))
		require.NoError(t, nats.Sweep(t.Context(), other.Queue()))
		var got []flow.Signal
		stop, err := bus.Signals().Receive("p", func(s flow.Signal) error { got = append(got, s); return nil })
		require.NoError(t, err)
		stop()
		require.Equal(t, []flow.Signal{{PromptID: "p", Node: "1"}}, got)
	})
}

// TestReceiveDuringClose checks that a Receive that Close ends returns ErrClosed.
func TestReceiveDuringClose(t *testing.T) {
	opts := nats.Options{Name: newName()}
	for n := range 10 {
		s, ended, began := open(t, shared, opts), make(chan error), make(chan struct{}, 1)
		go func() {
			for {
				stop, err := s.Signals().Receive("p", func(flow.Signal) error { return nil })
				if err != nil {
					ended <- err
					return
				}
				stop()
				select {
				case began <- struct{}{}:
				default:
				}
			}
		}()
		for range n%3 + 1 {
			<-began
		}
		require.NoError(t, s.Close())
		require.ErrorIs(t, <-ended, nodebus.ErrClosed)
	}
}
