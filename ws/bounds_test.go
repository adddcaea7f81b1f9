package ws_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestTooManySockets checks how many sockets are open at the same time, and that the end of
// a socket makes room.
func TestTooManySockets(t *testing.T) {
	grant := func(r *http.Request) (nodebus.Grant, error) {
		return nodebus.Grant{Client: r.URL.Query().Get("user")}, nil
	}
	s := serve(t, nil, &ws.Options{MaxPerClient: 2, MaxConnections: 3, Authorize: grant})
	first := dial(t, s.URL+"?clientId=me", nil)
	dial(t, s.URL+"?clientId=me", nil)
	require.Equal(t, 429, status(t, s.URL+"?clientId=me", nil))
	require.Equal(t, 429, status(t, s.URL+"?clientId=you&user=me", nil), "the id is that of the grant")
	dial(t, s.URL, nil)
	require.Equal(t, 503, status(t, s.URL, nil))
	require.Equal(t, 3, s.hub.Stats().Sessions, "a socket that is refused has no session")
	require.NoError(t, first.Close(websocket.StatusNormalClosure, ""))
	for {
		c, res, err := websocket.Dial(t.Context(), s.URL+"?clientId=me", nil)
		if err == nil {
			require.Contains(t, read(t, c), "status")
			require.NoError(t, c.CloseNow())
			break
		}
		require.Contains(t, []int{429, 503}, res.StatusCode, "until the server has noticed")
	}
}

// TestHandshakesThatFailMakeRoom checks that only open sockets count.
func TestHandshakesThatFailMakeRoom(t *testing.T) {
	hub := nodebus.NewHub(nil)
	h := ws.New(hub, &ws.Options{MaxPerClient: 1})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Has("broken") {
			w = refusing{w}
		}
		h.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		srv.Close()
	})
	for range 3 {
		require.Equal(t, 500, status(t, srv.URL+"?clientId=me&broken=1", nil))
		require.Equal(t, 403, status(t, srv.URL+"?clientId=me", http.Header{"Origin": {"http://evil.example"}}))
	}
	dial(t, srv.URL+"?clientId=me", nil)
}
