package client_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// TestBadAddresses: Dial says what is wrong with an address before it connects.
func TestBadAddresses(t *testing.T) {
	for address, want := range map[string]string{
		"127.0.0.1:8188/ws": `client: the address "127.0.0.1:8188/ws" is no URL with the scheme ws, wss, http or https`,
		"localhost:8188":    `client: the address "localhost:8188" is no URL with the scheme ws, wss, http or https`,
		"":                  `client: the address "" is no URL with the scheme ws, wss, http or https`,
		"ftp://x/ws":        `client: the address "ftp://x/ws" is no URL with the scheme ws, wss, http or https`,
		"ws:///ws":          `client: the address "ws:///ws" names no host`,
	} {
		_, err := client.Dial(t.Context(), address, nil)
		require.EqualError(t, err, want)
	}
	for base, want := range map[string]string{
		"comfy":        `client: Options.BaseURL: "comfy" is no URL with the scheme http or https`,
		"ws://host/ws": `client: Options.BaseURL: "ws://host/ws" is no URL with the scheme http or https`,
		"http://":      `client: Options.BaseURL: "http://" names no host`,
	} {
		_, err := client.Dial(t.Context(), "ws://127.0.0.1:1/ws", &client.Options{BaseURL: base})
		require.EqualError(t, err, want)
	}
}

// TestNoWebSocketHere: the server answers with a page.
func TestNoWebSocketHere(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/gone" {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = io.WriteString(w, "<!doctype html>"+strings.Repeat("<p>", 1000))
	}))
	t.Cleanup(srv.Close)
	for path, status := range map[string]int{"/": 200, "/gone": 404} {
		_, err := client.Dial(t.Context(), srv.URL+path, nil)
		var refused *client.RefusedError
		require.ErrorAs(t, err, &refused)
		require.Equal(t, status, refused.Status)
		require.ErrorContains(t, err, "there is no WebSocket at this address; check the path (…/ws), or set Options.SSE for a stream of events")
		require.NotContains(t, err.Error(), "<")
	}
}

// TestErrorsHaveOnePrefix: an error that is the reason of another loses its prefix.
func TestErrorsHaveOnePrefix(t *testing.T) {
	c := dial(t, newHost(t, nil).URL+"/ws", nil)
	_, err := c.State(t.Context(), "unknown")
	require.ErrorIs(t, err, client.ErrNotFound)
	var refused *client.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, 1, strings.Count(err.Error(), "client: "), err.Error())
	_, err = c.File(t.Context(), nodebus.File{Type: "output"})
	require.ErrorContains(t, err, `the file ""`)
}
