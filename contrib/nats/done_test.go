package nats_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// endOf waits until a bus cannot be used any more, and returns why.
func endOf(t *testing.T, bus *nats.Bus) error {
	t.Helper()
	select {
	case <-bus.Done():
	case <-time.After(patience):
		t.Fatal("nobody is told that the bus has ended")
	}
	return bus.Err()
}

// TestDone ends buses. The program learns it, and learns why.
func TestDone(t *testing.T) {
	t.Parallel()
	js, err := jetstream.New(connect(t, shared))
	require.NoError(t, err)
	for _, part := range []string{"LOG", "QUEUE", "STORE", "SIGNALS"} {
		t.Run("the stream is deleted: "+part, func(t *testing.T) {
			t.Parallel() // each takes some seconds: a leader that is new may not know a stream at first
			opts := nats.Options{Name: newName()}
			bus := open(t, shared, opts)
			require.NoError(t, bus.Log().Append(about("1", said(1))))
			require.NoError(t, bus.Err())
			require.NoError(t, js.DeleteStream(t.Context(), opts.Name+"_"+part))
			err := endOf(t, bus)
			require.ErrorIs(t, err, nats.ErrOtherStream)
			require.ErrorContains(t, err, opts.Name+"_"+part)
			require.ErrorContains(t, err, "it was deleted")
			_, failed := bus.Queue().Take(t.Context(), nil)
			require.Equal(t, err, failed, "this process takes no prompts any more, whatever part has failed")
			require.NoError(t, bus.Close())
			require.Equal(t, err, bus.Err(), "the reason stays")
		})
	}
	t.Run("closed", func(t *testing.T) {
		bus := open(t, shared, nats.Options{Name: newName()})
		require.NoError(t, bus.Close())
		require.ErrorIs(t, endOf(t, bus), nodebus.ErrClosed)
	})
	t.Run("the connection is closed", func(t *testing.T) {
		nc, err := shared.Connect()
		require.NoError(t, err)
		bus, err := nats.Open(t.Context(), nc, &nats.Options{Name: newName(), LogBytes: 64 << 20, Logger: quiet})
		require.NoError(t, err)
		defer bus.Close()
		nc.Close()
		require.ErrorIs(t, endOf(t, bus), natsgo.ErrConnectionClosed)
		ctx, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		_, err = bus.Queue().Take(ctx, nil)
		require.ErrorIs(t, err, natsgo.ErrConnectionClosed)
		_, _, err = bus.Log().Follow(func(nodebus.Event) {})
		require.ErrorIs(t, err, natsgo.ErrConnectionClosed)
		require.ErrorIs(t, bus.Log().Append(about("1", said(1))), natsgo.ErrConnectionClosed)
	})
}

// TestDoneLosesEvents closes a connection under a log that has events that are not stored.
func TestDoneLosesEvents(t *testing.T) {
	p, nc := newPlace(t)
	p.begin(t)
	bus, err := nats.Open(t.Context(), nc, &nats.Options{Logger: quiet, LogBytes: 64 << 20})
	require.NoError(t, err)
	p.end(t)
	require.NoError(t, bus.Log().Append(about("1", said(1))))
	nc.Close()
	require.ErrorIs(t, endOf(t, bus), natsgo.ErrConnectionClosed)
	require.ErrorIs(t, bus.Close(), natsgo.ErrConnectionClosed, "the event is lost")
}

// TestPagesOfABusThatHasEnded: a page says that it cannot serve, and when the program closes
// its hub, as [nats.Bus.Done] asks, clients learn it and come to another process.
func TestPagesOfABusThatHasEnded(t *testing.T) {
	opts := nats.Options{Name: newName()}
	nc, err := shared.Connect()
	require.NoError(t, err)
	bus, err := nats.Open(t.Context(), nc, &nats.Options{Name: opts.Name, LogBytes: 64 << 20, Logger: quiet})
	require.NoError(t, err)
	defer bus.Close()
	gates := &sync.Map{}
	a, b := newSite(t, bus, gates, true), newSite(t, open(t, shared, opts), gates, true)
	ann := a.dial("ann", "")
	ann.next()
	nc.Close()
	require.ErrorIs(t, endOf(t, bus), natsgo.ErrConnectionClosed)
	_, err = bus.Queue().Take(t.Context(), nil) // all parts have heard of it
	require.Error(t, err)
	for path, body := range map[string]string{
		"/prompt": `{"client_id":"ann","prompt":{"1":{"class_type":"Speak","inputs":{"words":"a","hold":false}}}}`, "/queue": `{"clear":true}`,
	} {
		res, err := http.Post(a.url+path, "application/json", strings.NewReader(body))
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode, path)
	}
	require.NoError(t, a.hub.Close())
	_, _, err = ann.c.Read(t.Context())
	require.Error(t, err, "the client connects again")
	ann = b.dial("ann", "")
	b.submit("ann", "p1", "a", false)
	ann.until(endOfPrompt("p1"))
}
