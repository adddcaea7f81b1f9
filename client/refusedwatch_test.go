package client_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// TestWatchOfABadID: no server takes such an id, so that the client does not ask.
func TestWatchOfABadID(t *testing.T) {
	s := newSite(t, nil)
	streams := httptest.NewServer(sse.New(s.hub, nil))
	t.Cleanup(streams.Close)
	for name, c := range map[string]*client.Client{
		"socket": dial(t, s.URL, &client.Options{ID: "a"}), "stream": dial(t, streams.URL, &client.Options{SSE: true, ID: "b"}),
	} {
		for _, bad := range []string{"", strings.Repeat("x", 513), "\xff"} {
			require.ErrorIs(t, c.Watch(t.Context(), bad), client.ErrPromptID, name)
			require.ErrorIs(t, c.Unwatch(t.Context(), bad), client.ErrPromptID, name)
			_, err := client.Dial(t.Context(), s.URL, &client.Options{Watch: []string{"ok", bad}})
			require.ErrorIs(t, err, client.ErrPromptID)
			require.ErrorContains(t, err, "Options.Watch")
		}
		require.NoError(t, c.Watch(deadline(t), strings.Repeat("y", 512)), name)
	}
}

// TestRefusedWatchLeavesNoTrace: a server of streams answers the whole connection with 400.
// Only Watch fails; a loop that runs goes on, and later connections do not name the prompt.
func TestRefusedWatchLeavesNoTrace(t *testing.T) {
	hub := nodebus.NewHub(nil)
	handler := sse.New(hub, nil)
	named := make(chan []string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := r.URL.Query()["watch"]
		named <- watched
		if slices.Contains(watched, "bad") {
			http.Error(w, "no such prompt", http.StatusBadRequest)
			return
		}
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		srv.Close()
	})
	c := dial(t, srv.URL, &client.Options{SSE: true, ID: "me"})
	require.NoError(t, c.Watch(deadline(t), "good"))
	for _, runs := range []bool{false, true} {
		ended := make(chan error, 1)
		ctx, stop := context.WithCancelCause(deadline(t))
		if runs {
			go func() { ended <- c.Run(ctx) }()
		}
		var refused *client.RefusedError
		require.ErrorAs(t, c.Watch(deadline(t), "bad"), &refused)
		require.Equal(t, http.StatusBadRequest, refused.Status)
		require.NoError(t, c.Watch(deadline(t), "good"))
		stop(errors.New("stopped"))
		if runs {
			require.EqualError(t, <-ended, "stopped")
		}
	}
	var last []string
	for len(named) > 0 {
		last = <-named
	}
	require.Equal(t, []string{"good"}, last)
}

// TestWatchThatIsGivenUp: a later connection does not name the prompt.
func TestWatchThatIsGivenUp(t *testing.T) {
	hub := nodebus.NewHub(nil)
	handler := sse.New(hub, nil)
	asked, named := make(chan struct{}, 1), make(chan []string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		watched := r.URL.Query()["watch"]
		if slices.Contains(watched, "slow") {
			asked <- struct{}{}
			<-r.Context().Done()
			return
		}
		named <- watched
		handler.ServeHTTP(w, r)
	}))
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		srv.Close()
	})
	c := dial(t, srv.URL, &client.Options{SSE: true, ID: "me", Retry: 1})
	<-named
	ctx, stop := context.WithCancelCause(t.Context())
	go func() {
		<-asked
		stop(errors.New("given up"))
	}()
	require.EqualError(t, c.Watch(ctx, "slow"), "given up")
	require.NoError(t, c.Watch(deadline(t), "other"))
	require.Equal(t, []string{"other"}, <-named)
}
