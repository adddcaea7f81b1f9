package nats_test

import (
	"context"
	"fmt"
	"reflect"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestAwayKeepsNothing makes calls while there is no connection. They try again, and what they
// could not send does not stay in the client, which would keep it as long as NATS is away.
func TestAwayKeepsNothing(t *testing.T) {
	t.Parallel()
	port := freePort(t)
	serve(t, t.TempDir(), port)
	l, opts := newLine(), nats.Options{Name: newName(), Logger: quiet}
	nc, err := nats.Connect(fmt.Sprint("nats://127.0.0.1:", port), natsgo.SetCustomDialer(l))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	bus, err := nats.Open(t.Context(), nc, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = bus.Close() })
	l.set(false, true)
	until(t, nc.IsReconnecting)
	for name, call := range map[string]func(context.Context) error{
		"open": func(ctx context.Context) error {
			_, err := nats.Open(ctx, nc, &opts)
			return err
		},
		"put": func(ctx context.Context) error {
			return bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "p"}, State: nodebus.Succeeded})
		},
		"get": func(ctx context.Context) error {
			_, err := bus.Store().Get(ctx, "p")
			return err
		},
		"send": func(ctx context.Context) error {
			return bus.Signals().Send(ctx, flow.Signal{PromptID: "p", Name: "n"})
		},
	} {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		require.ErrorIs(t, call(ctx), nats.ErrAway, name)
		stop()
	}
	require.NoError(t, bus.Close())
	require.True(t, nc.IsReconnecting()) // and its lock orders what follows
	waiting := reflect.ValueOf(nc).Elem().FieldByName("respMap")
	require.Less(t, waiting.Len(), 20, "requests that the client keeps")
}
