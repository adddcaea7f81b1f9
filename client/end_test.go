package client_test

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// crossing is a server that delays the handshake response of every connection after
// the first, until turn allows it.
type crossing struct {
	*site
	*cutter
	asked chan struct{} // receives once for each reconnecting client
	turn  chan struct{}
}

func newCrossing(t *testing.T, opts *nodebus.HubOptions) *crossing {
	c := &crossing{asked: make(chan struct{}, 100), turn: make(chan struct{})}
	hub := nodebus.NewHub(opts)
	var first atomic.Bool
	handler := ws.New(hub, nil)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			http.NotFound(w, r)
			return
		}
		if !first.CompareAndSwap(false, true) {
			c.asked <- struct{}{}
			select {
			case <-c.turn:
			case <-r.Context().Done():
				return
			}
		}
		handler.ServeHTTP(w, r)
	}))
	c.site, c.cutter = &site{srv, hub}, &cutter{Listener: srv.Listener}
	srv.Listener = c.cutter
	srv.Start()
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		srv.Close()
	})
	return c
}

// retry returns Options with a logger. broken receives when the connection broke.
func retry(wait time.Duration) (opts *client.Options, broken <-chan struct{}) {
	told := make(signal, 100)
	return &client.Options{ID: "me", Retry: wait, Logger: slog.New(slog.NewTextHandler(told, nil))}, told
}

type signal chan struct{}

func (s signal) Write(p []byte) (int, error) {
	s <- struct{}{}
	return len(p), nil
}

// TestCloseEndsWhatRuns checks that Close ends Run in every state, and that the client
// does not connect again.
func TestCloseEndsWhatRuns(t *testing.T) {
	for name, c := range map[string]struct {
		wait  time.Duration
		reach func(s *crossing, c *client.Client, broken <-chan struct{}) // returns when Run is in this state
	}{
		"reading": {time.Millisecond, func(s *crossing, c *client.Client, _ <-chan struct{}) {
			heard := make(chan struct{})
			client.On(c, func(nodebus.Event, ticked) { close(heard) })
			_ = s.hub.Broadcast(ticked{1})
			<-heard
		}},
		"waiting to connect again": {time.Hour, func(s *crossing, _ *client.Client, broken <-chan struct{}) {
			_ = s.hub.Close()
			<-broken
		}},
		"connecting again": {time.Millisecond, func(s *crossing, _ *client.Client, _ <-chan struct{}) {
			_ = s.hub.Close()
			<-s.asked
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newCrossing(t, nil)
			opts, broken := retry(c.wait)
			cl := dial(t, s.URL, opts)
			ended := make(chan error, 1)
			go func() { ended <- cl.Run(deadline(t)) }()
			c.reach(s, cl, broken)
			require.NoError(t, cl.Close())
			require.ErrorIs(t, <-ended, nodebus.ErrClosed)
			require.ErrorIs(t, cl.Run(deadline(t)), nodebus.ErrClosed, "Close is permanent")
			require.NoError(t, cl.Close())
			require.Empty(t, s.asked)
		})
	}
}

func TestListenersMayClose(t *testing.T) {
	s := newCrossing(t, nil)
	c := dial(t, s.URL, nil)
	client.On(c, func(nodebus.Event, ticked) { require.NoError(t, c.Close()) })
	require.NoError(t, s.hub.Broadcast(ticked{1}))
	require.ErrorIs(t, c.Run(deadline(t)), nodebus.ErrClosed)
}

// TestFollowTellsOfAGap checks that Follow yields a Gap, because the end of the prompt
// may be among the missed events.
func TestFollowTellsOfAGap(t *testing.T) {
	s := newCrossing(t, &nodebus.HubOptions{KeepLen: 1})
	opts, _ := retry(time.Millisecond)
	c := dial(t, s.URL, opts)
	say := func(p nodebus.Payload) {
		require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: p}))
	}
	say(nodebus.ExecutionStart{PromptID: "p"})
	var got []string
	for ev, err := range c.Follow(deadline(t), "p") {
		require.NoError(t, err)
		got = append(got, ev.Payload.EventType())
		if _, gap := ev.Payload.(nodebus.Gap); gap {
			break
		}
		s.all()
		say(nodebus.ExecutionSuccess{PromptID: "p"})
		say(nodebus.Executing{PromptID: "p"})
		require.NoError(t, s.hub.SendSync(ticked{1}, "somebody")) // pushes the last kept event of the prompt out of the hub
		close(s.turn)
	}
	require.Equal(t, []string{"execution_start", "nodebus.gap"}, got)
}
