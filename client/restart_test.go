package client_test

import (
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// front is an address behind which one host follows another. Without a host, all requests
// fail.
type front struct {
	*httptest.Server
	now atomic.Pointer[host]
}

func newFront(t *testing.T) *front {
	f := &front{}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := f.now.Load(); h != nil {
			h.Config.Handler.ServeHTTP(w, r)
			return
		}
		w.WriteHeader(http.StatusBadGateway)
	}))
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

// TestWaitWhoseAnswerIsLost: the server is gone when Wait asks for the record, and comes back
// with it.
func TestWaitWhoseAnswerIsLost(t *testing.T) {
	for name, lose := range map[string]func(http.ResponseWriter){
		"a broken connection": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
		"half of the answer": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
			panic(http.ErrAbortHandler)
		},
		"a proxy without a server": func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
	} {
		t.Run(name, func(t *testing.T) {
			h, losses := newHost(t, nil), atomic.Int64{}
			losses.Store(3)
			site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.URL.Query().Has("outcome") && losses.Add(-1) >= 0 {
					lose(w)
				} else {
					h.Config.Handler.ServeHTTP(w, r)
				}
			}))
			t.Cleanup(site.Close)
			t.Cleanup(site.CloseClientConnections)
			c := dial(t, site.URL+"/ws", &client.Options{Retry: time.Millisecond})
			id := submit(t, c, node("Fail"))
			for _, err := range c.Follow(deadline(t), id) { // so Wait has no events of its own
				require.NoError(t, err)
			}
			o, err := c.Wait(deadline(t), id)
			require.NoError(t, err)
			require.Equal(t, nodebus.Failed, o.State)
			require.Negative(t, losses.Load())
		})
	}
}

// TestWaitOverANewProcess: the server's program is started anew and knows none of the
// earlier prompts. Meanwhile, all requests fail.
func TestWaitOverANewProcess(t *testing.T) {
	first, site := newHost(t, nil), newFront(t)
	site.now.Store(first)
	c := dial(t, site.URL+"/ws", &client.Options{Retry: time.Millisecond})
	done, lost, waits := submit(t, c, node("Say")), submit(t, c, node("Rest")), submit(t, c, node("Say"))
	begun(t, c, lost)
	errs := make(chan error, 2)
	for _, id := range []string{lost, waits} {
		go func() {
			_, err := c.Wait(deadline(t), id)
			errs <- err
		}()
	}
	site.now.Store(nil)
	require.NoError(t, first.hub.Close())
	require.NoError(t, first.server.Close())
	_, err := c.Outcome(t.Context(), done)
	var refused *client.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusBadGateway, refused.Status)
	site.now.Store(newHost(t, nil))
	for range 2 {
		require.ErrorIs(t, <-errs, client.ErrNotFound)
	}
	o, err := c.Wait(deadline(t), submit(t, c, node("Fail")))
	require.NoError(t, err)
	require.Equal(t, nodebus.Failed, o.State)
}
