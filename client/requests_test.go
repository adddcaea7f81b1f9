package client_test

import (
	"context"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/sse"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestRequestsAfterSilence: the connection of an earlier request is kept, and dies without a
// word as the events do. When the client gives up the events, it gives up such connections,
// too. Before that, a GET is repeated over a new connection, and a POST is not.
func TestRequestsAfterSilence(t *testing.T) {
	for name, isStream := range map[string]bool{"socket": false, "stream": true} {
		t.Run(name, func(t *testing.T) {
			var posts atomic.Int32
			h := func(hub *nodebus.Hub) http.Handler {
				mux := http.NewServeMux()
				if isStream {
					mux.Handle("/", sse.New(hub, nil))
				} else {
					mux.Handle("/", ws.New(hub, nil))
				}
				mux.HandleFunc("GET /queue", func(w http.ResponseWriter, _ *http.Request) {
					_, _ = io.WriteString(w, `{"queue_running":[],"queue_pending":[]}`)
				})
				mux.HandleFunc("POST /queue", func(http.ResponseWriter, *http.Request) { posts.Add(1) })
				return mux
			}
			onPipes(t, h, func(t *testing.T, p *pipes) {
				c := listening(p.dial(t, client.Options{ID: "me", SSE: isStream}))
				ask := func(want time.Duration) {
					t.Helper()
					began := time.Now()
					_, _, err := c.Queue(t.Context())
					require.NoError(t, err)
					require.Equal(t, want, time.Since(began))
				}
				ask(0)
				p.line(1).fallSilent()
				ask(5 * time.Second)
				ask(0)
				p.line(0).fallSilent()
				p.line(2).fallSilent()
				require.NoError(t, p.hub.SendSync(ticked{1}, "me"))
				requireTick(t, c, 1)
				ask(0)
				last := len(p.lines) - 1
				p.line(last).fallSilent()
				began := time.Now()
				require.ErrorIs(t, c.Delete(t.Context(), "p"), context.DeadlineExceeded)
				require.Equal(t, time.Minute, time.Since(began))
				require.Zero(t, posts.Load())
			})
		})
	}
}

// TestSlowAnswer: a server that needs its time is asked a second time, and then waited for.
func TestSlowAnswer(t *testing.T) {
	var asked atomic.Int32
	h := func(hub *nodebus.Hub) http.Handler {
		mux := http.NewServeMux()
		mux.Handle("/", ws.New(hub, nil))
		mux.HandleFunc("GET /queue", func(w http.ResponseWriter, r *http.Request) {
			asked.Add(1)
			select {
			case <-time.After(30 * time.Second):
				_, _ = io.WriteString(w, `{"queue_running":[],"queue_pending":[]}`)
			case <-r.Context().Done():
			}
		})
		return mux
	}
	onPipes(t, h, func(t *testing.T, p *pipes) {
		c := p.dial(t, client.Options{ID: "me"})
		began := time.Now()
		_, _, err := c.Queue(t.Context())
		require.NoError(t, err)
		require.Equal(t, 35*time.Second, time.Since(began))
		require.EqualValues(t, 2, asked.Load())
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		_, _, err = c.Queue(ctx)
		require.ErrorIs(t, err, context.DeadlineExceeded)
		require.EqualValues(t, 3, asked.Load())
	})
}
