package comfy_test

import (
	"context"
	"iter"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestClose: Close ends the sockets and refuses new sockets. Other requests still
// work.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		logs := comfy.NewLogs()
		p := newPaced(t, &comfy.Options{Logs: logs})
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

// TestCloseWaits: Close waits for the goroutines of the sockets, which may call code of
// the program.
func TestCloseWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked, let := make(chan struct{}), make(chan struct{})
		wait := sync.OnceFunc(func() {
			close(asked)
			<-let
		})
		p := newPaced(t, &comfy.Options{Features: map[string]any{"odd": calling(wait)}})
		s := p.dial("me")
		s.next()
		s.say(`{"type":"feature_flags"}`)
		<-asked
		closed := make(chan error, 1)
		go func() { closed <- p.server.Close() }()
		synctest.Wait()
		require.Empty(t, closed)
		close(let)
		require.NoError(t, <-closed)
	})
}

// untouchedQueue and untouchedStore count the walks over all prompts and records.
type untouchedQueue struct {
	flow.Queue
	lists *atomic.Int32
}

func (q untouchedQueue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	q.lists.Add(1)
	return q.Queue.List(ctx, ids...)
}

type untouchedStore struct {
	flow.Store
	lists *atomic.Int32
}

func (s untouchedStore) List(ctx context.Context) iter.Seq2[flow.Record, error] {
	s.lists.Add(1)
	return s.Store.List(ctx)
}

// TestConnectingReadsNoLists: to connect and to leave costs the same with many records
// and many waiting prompts of other clients, because the server reads neither list.
func TestConnectingReadsNoLists(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lists atomic.Int32
		p := newPacedOf(t, nil, &flow.EngineOptions{
			Queue: untouchedQueue{flow.NewQueue(nil), &lists},
			Store: untouchedStore{flow.NewStore(nil), &lists},
		})
		p.submit("me", "mine")
		p.submit("you", "yours")
		synctest.Wait()
		lists.Store(0) // the first submission has read the numbers of the queue
		for range 3 {
			s := p.dial("me")
			s.next()
			_ = s.c.CloseNow()
			synctest.Wait()
		}
		require.Zero(t, lists.Load())
		require.Empty(t, p.waiting())
		require.Equal(t, int32(1), lists.Load(), "the test counts")
	})
}
