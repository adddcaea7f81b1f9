package nats_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// TestLostDeliveries loses what the server has delivered, because the connection is cut:
// the process gets it when it is connected again, although nothing else is published.
func TestLostDeliveries(t *testing.T) {
	port := freePort(t)
	s, url := serve(t, t.TempDir(), port), fmt.Sprint("nats://127.0.0.1:", port)
	opts, l := nats.Options{Name: newName()}, newLine()
	a, b := open(t, s, opts), openOn(t, l, url, opts)
	here, there := nodebus.NewHub(&nodebus.HubOptions{Log: a.Log()}), nodebus.NewHub(&nodebus.HubOptions{Log: b.Log()})
	defer here.Close()
	defer there.Close()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	events := there.Subscribe(ctx)
	l.set(true, false)
	require.NoError(t, here.Broadcast(nodebus.Custom{Type: "x", Data: 1}))
	require.NoError(t, nats.Flush(ctx, a.Log()))
	time.AfterFunc(300*time.Millisecond, func() { l.set(false, false) })
	var got []string
	for ev, err := range events {
		require.NoError(t, err)
		got = append(got, ev.Payload.EventType())
		break
	}
	require.Equal(t, []string{"x"}, got)
}
