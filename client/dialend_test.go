package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestDialEndsWithItsContext: the error says why, before the connection and before the first
// message, over both kinds of links.
func TestDialEndsWithItsContext(t *testing.T) {
	silent := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	unspoken := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			w.Header().Set("Content-Type", "text/event-stream")
			_ = http.NewResponseController(w).Flush()
			<-r.Context().Done()
			return
		}
		conn, err := websocket.Accept(w, r, nil)
		if err == nil {
			_, _, _ = conn.Read(r.Context())
		}
	})
	for name, h := range map[string]http.Handler{"no answer": silent, "no message": unspoken} {
		for _, sse := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				onPipes(t, func(*nodebus.Hub) http.Handler { return h }, func(t *testing.T, p *pipes) {
					mine := errors.New("mine")
					ctx, stop := context.WithTimeoutCause(t.Context(), time.Second, mine)
					defer stop()
					_, err := client.Dial(ctx, pipesURL+"?token=secret", &client.Options{SSE: sse, HTTPClient: p.http})
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorIs(t, err, mine)
					require.NotErrorIs(t, err, context.Canceled)
					require.NotContains(t, err.Error(), "secret")

					canceled, stop := context.WithCancel(t.Context())
					time.AfterFunc(time.Second, stop)
					_, err = client.Dial(canceled, pipesURL, &client.Options{SSE: sse, HTTPClient: p.http})
					require.ErrorIs(t, err, context.Canceled)
					require.NotErrorIs(t, err, context.DeadlineExceeded)
				})
			})
		}
	}
}

// TestDialErrorsHideTheQuery: it may hold a token.
func TestDialErrorsHideTheQuery(t *testing.T) {
	gone := httptest.NewServer(nil)
	gone.Close()
	for _, sse := range []bool{false, true} {
		_, err := client.Dial(t.Context(), gone.URL+"/ws?token=secret", &client.Options{SSE: sse})
		require.ErrorContains(t, err, "refused")
		require.NotContains(t, err.Error(), "secret")
	}
}
