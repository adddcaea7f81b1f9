package comfy_test

import (
	"bytes"
	"context"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestClose: Close ends the sockets and refuses new sockets. Other requests still
// work.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := comfy.NewLogs()
		p := newPaced(t, &comfy.Options{KeepOlder: true, Logs: logs})
		codes := make(chan websocket.StatusCode)
		for _, client := range []string{"me", "me", "you"} {
			s := p.dial(client)
			s.next()
			go func() { codes <- s.closed() }()
		}
		for range 2 {
			closed := make(chan error)
			go func() { closed <- p.server.Close() }()
			go func() { closed <- p.server.Close() }()
			require.NoError(t, <-closed)
			require.NoError(t, <-closed)
		}
		for range 3 {
			require.EqualValues(t, 1001, <-codes)
		}
		_, res, err := websocket.Dial(t.Context(), "http://localhost/ws",
			&websocket.DialOptions{HTTPClient: &http.Client{Transport: &http.Transport{DialContext: p.network.dial}}})
		require.Error(t, err)
		require.Equal(t, http.StatusServiceUnavailable, res.StatusCode)
		write(t, logs, "after the end")
		require.Empty(t, p.waiting())
	})
}

// TestCloseWaits: Close waits for the goroutines of the sockets, which ask the store
// after the end of the socket.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		st := &listedStore{Store: flow.NewStore(nil)}
		p := newPacedOf(t, nil, &flow.EngineOptions{Store: st})
		p.connect("me")
		let := make(chan struct{})
		wait := func() { <-let }
		st.listed.Store(&wait)
		closed := make(chan error, 1)
		go func() { closed <- p.server.Close() }()
		synctest.Wait()
		require.Empty(t, closed)
		close(let)
		require.NoError(t, <-closed)
	})
}

// panickingQueue and panickingStore panic in List.
type panickingQueue struct{ flow.Queue }

func (panickingQueue) List(context.Context) iter.Seq2[*nodebus.Prompt, error] {
	panic("queue of somebody")
}

type panickingStore struct{ flow.Store }

func (panickingStore) List(context.Context) iter.Seq2[flow.Record, error] {
	panic("store of somebody")
}

// TestLeavesWhileQueueOrStoreFails: a client disconnects while the queue or the store
// fails or panics. The server logs the problem and goes on.
func TestLeavesWhileQueueOrStoreFails(t *testing.T) {
	for name, c := range map[string]struct {
		opts func() *flow.EngineOptions
		want string
	}{
		"queue fails": {func() *flow.EngineOptions {
			q := &failingQueue{Queue: flow.NewQueue(nil)}
			q.fails.Store(true)
			return &flow.EngineOptions{Queue: q}
		}, "10.0.0.7"},
		"store fails": {func() *flow.EngineOptions {
			st := &failingStore{Store: flow.NewStore(nil)}
			st.fails.Store(true)
			return &flow.EngineOptions{Store: st}
		}, "10.0.0.7"},
		"queue panics": {func() *flow.EngineOptions {
			return &flow.EngineOptions{Queue: panickingQueue{flow.NewQueue(nil)}}
		}, "queue of somebody"},
		"store panics": {func() *flow.EngineOptions {
			return &flow.EngineOptions{Store: panickingStore{flow.NewStore(nil)}}
		}, "store of somebody"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var log bytes.Buffer
				p := newPacedOf(t, &comfy.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}, c.opts())
				for range 2 { // to connect asks the store too
					s := p.dial("secret-id")
					s.next()
					s.close()
					synctest.Wait()
					require.Contains(t, log.String(), c.want)
					require.NotContains(t, log.String(), "secret-id", "the id of a client is secret")
				}
				w := httptest.NewRecorder()
				p.server.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/prompt", nil))
				require.Equal(t, 200, w.Code)
			})
		})
	}
}
