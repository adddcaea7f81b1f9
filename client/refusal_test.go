package client_test

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

func TestRefusal(t *testing.T) {
	allow := atomic.Bool{}
	s := newSite(t, &ws.Options{Authorize: func(*http.Request) (nodebus.Grant, error) {
		if allow.Load() {
			return nodebus.Grant{}, nil
		}
		return nodebus.Grant{}, errors.New("this account is closed")
	}})
	_, err := client.Dial(t.Context(), s.URL, nil)
	var refused *client.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusForbidden, refused.Status)
	require.Equal(t, "this account is closed", refused.Text)
	require.EqualError(t, err, "client: the server refused the connection with status 403: this account is closed")
	require.NotErrorIs(t, err, nodebus.ErrUnauthenticated)

	allow.Store(true)
	c := dial(t, s.URL, &client.Options{Retry: time.Millisecond})
	allow.Store(false)
	require.NoError(t, s.hub.Close())
	require.ErrorAs(t, c.Run(deadline(t)), &refused, "reconnecting is refused, too")
}

// TestRefusalText: the text is short and valid, whatever a server sends.
func TestRefusalText(t *testing.T) {
	for name, c := range map[string]struct{ body, text, says string }{
		"none":     {"", "", "with status 401: failed to WebSocket dial"},
		"blank":    {" \n", "", "with status 401: failed to WebSocket dial"},
		"not text": {"a\xffb\n", "a\ufffdb", "with status 401: a\ufffdb"},
		"long":     {strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<10), "with status 401: xxx"},
	} {
		t.Run(name, func(t *testing.T) {
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusUnauthorized)
				_, _ = w.Write([]byte(c.body))
			}))
			defer srv.Close()
			_, err := client.Dial(t.Context(), srv.URL, nil)
			var refused *client.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, c.text, refused.Text)
			require.ErrorContains(t, err, c.says)
			require.ErrorIs(t, err, nodebus.ErrUnauthenticated)
		})
	}
}

func TestRunEndsWithItsContext(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, &client.Options{Retry: time.Millisecond})
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("enough")
	client.On(c, func(nodebus.Event, ticked) { cancel(why) })
	require.NoError(t, s.hub.Broadcast(ticked{1}))
	require.ErrorIs(t, c.Run(ctx), why)
	require.NoError(t, s.hub.Broadcast(ticked{2}))
	require.Len(t, payloads(t, c, 1), 1, "it can be run again")
}

// TestServersThatAreNotOurs uses a server without event ids, with malformed messages,
// and with a first message without a sid.
func TestServersThatAreNotOurs(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		for _, m := range []string{
			`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}}}}`,
			`not JSON`, `{"type":"executing"}`, `{}`,
			`{"type":"executing","data":{"node":"5"}}`,
		} {
			_ = c.Write(r.Context(), websocket.MessageText, []byte(m))
		}
		_ = c.Write(r.Context(), websocket.MessageBinary, []byte{0, 0})
		_ = c.Write(r.Context(), websocket.MessageText, []byte(`{"type":"done","data":null}`))
		_ = c.Close(websocket.StatusNormalClosure, "")
	}))
	defer srv.Close()
	var log strings.Builder
	c := dial(t, srv.URL, &client.Options{ID: "me", Retry: -1, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.Equal(t, "me", c.ID())
	got := payloads(t, c, 2)
	require.Equal(t, nodebus.Executing{UniqueID: "5"}, got[0])
	require.Equal(t, "done", got[1].EventType())
	require.Equal(t, 4, strings.Count(log.String(), "message skipped"))
}

func TestBadAddress(t *testing.T) {
	_, err := client.Dial(t.Context(), "://", nil)
	require.ErrorContains(t, err, "missing protocol scheme")
	_, err = client.Dial(t.Context(), "ws://127.0.0.1:1/ws", nil)
	require.Error(t, err)
	var refused *client.RefusedError
	require.NotErrorAs(t, err, &refused)
}
