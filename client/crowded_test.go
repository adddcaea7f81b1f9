package client_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestCrowdedServer: a server that still counts the lost connections of a client refuses the
// client for a while. The client comes back afterwards.
func TestCrowdedServer(t *testing.T) {
	hub := nodebus.NewHub(nil)
	h := ws.New(hub, nil)
	var requests atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n := requests.Add(1); n > 1 && n < 5 {
			http.Error(w, "the client has 64 connections", http.StatusTooManyRequests)
			return
		}
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	defer func() { require.NoError(t, hub.Close()) }()
	c := dial(t, srv.URL, &client.Options{ID: "me", Retry: time.Millisecond})
	client.On(c, func(nodebus.Event, ticked) {})
	for i := range 2 {
		require.NoError(t, hub.SendSync(ticked{i}, "me"))
		for got := nodebus.Payload(nil); got != nodebus.Payload(ticked{i}); { // the greetings come before
			got = payloads(t, c, 1)[0]
		}
		hub.End(hub.Sessions()[0].Name, nil)
	}
	require.GreaterOrEqual(t, requests.Load(), int32(5))
}
