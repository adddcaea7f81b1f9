package client_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestInterruptTellsOfTheInterrupt: a server without cursors may refuse the deletion that
// comes before the interrupt; only the interrupt counts.
func TestInterruptTellsOfTheInterrupt(t *testing.T) {
	for name, k := range map[string]struct{ deletion, interrupt int }{
		"no deletion":  {http.StatusForbidden, http.StatusOK},
		"no interrupt": {http.StatusOK, http.StatusConflict},
		"neither":      {http.StatusForbidden, http.StatusConflict},
	} {
		t.Run(name, func(t *testing.T) {
			mux := http.NewServeMux()
			mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
				conn, err := websocket.Accept(w, r, nil)
				if err != nil {
					return
				}
				(&scripted{Conn: conn}).greets(t, "")
				_, _, _ = conn.Read(r.Context())
			})
			mux.HandleFunc("/queue", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(k.deletion) })
			mux.HandleFunc("/interrupt", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(k.interrupt) })
			srv := httptest.NewServer(mux)
			t.Cleanup(srv.Close)
			c := dial(t, srv.URL+"/ws", nil)
			err := c.Interrupt(t.Context(), "p")
			if k.interrupt == http.StatusOK {
				require.NoError(t, err)
				return
			}
			var refused *client.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, k.interrupt, refused.Status)
		})
	}
}
