package nats_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestAbsentIsNotRead asks for what mostly is not there: the record of a new id, and the signals
// of a prompt that has ended. It is not read: the question whether there is one is enough.
func TestAbsentIsNotRead(t *testing.T) {
	for part, ask := range map[string]func(ctx context.Context, bus *nats.Bus) error{
		"STORE": func(ctx context.Context, bus *nats.Bus) error {
			if _, err := bus.Store().Get(ctx, "new"); !errors.Is(err, flow.ErrNotFound) {
				return fmt.Errorf("want flow.ErrNotFound, got %w", err)
			}
			return bus.Store().Delete(ctx, "new")
		},
		"SIGNALS": func(ctx context.Context, bus *nats.Bus) error { return bus.Signals().Drop(ctx, "ended") },
	} {
		t.Run(part, func(t *testing.T) {
			opts := nats.Options{Name: newName()}
			s, bus := scripted(t, opts)
			read := s.at(swallows, "STREAM.MSG.GET."+opts.Name+"_"+part)
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			require.NoError(t, ask(ctx, bus))
			select {
			case <-read:
				require.FailNow(t, "it was read")
			default:
			}
		})
	}
}

// TestAbsentAtADeafProcess asks a process that has not read that another one has stored
// a record: what it does not know is not absent.
func TestAbsentAtADeafProcess(t *testing.T) {
	opts := nats.Options{Name: newName()}
	deaf, other := open(t, shared, opts), open(t, shared, opts)
	nats.StopReading(deaf, "STORE")
	_, err := deaf.Store().Get(t.Context(), "p")
	require.ErrorIs(t, err, flow.ErrNotFound)
	require.NoError(t, other.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: "p"}, State: nodebus.Succeeded}))
	r, err := deaf.Store().Get(t.Context(), "p")
	require.NoError(t, err)
	require.Equal(t, nodebus.Succeeded, r.State)
}
