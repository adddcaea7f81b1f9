package client_test

import (
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

func logTo(w io.Writer) *slog.Logger { return slog.New(slog.NewTextHandler(w, nil)) }

// stock is a server without cursors and requests. It answers a message with an event.
func stock(t *testing.T) (url string) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_ = c.Write(r.Context(), websocket.MessageText, []byte(`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"me"}}`))
		for err == nil {
			if _, _, err = c.Read(r.Context()); err == nil {
				err = c.Write(r.Context(), websocket.MessageText, []byte(`{"type":"heard","data":{}}`))
			}
		}
	}))
	t.Cleanup(srv.Close)
	return srv.URL
}

// mixed publishes n groups of a text event, a preview and a progress text of one client.
// None of them replaces another.
func mixed(t *testing.T, hub *nodebus.Hub, from, to int) {
	t.Helper()
	for n := from; n < to; n++ {
		place := nodebus.Place{UniqueID: fmt.Sprint(n)}
		for _, p := range []nodebus.Payload{
			ticked{n},
			nodebus.Preview{Place: place, Image: []byte{byte(n)}},
			nodebus.ProgressText{UniqueID: place.UniqueID, Text: fmt.Sprint(n)},
		} {
			require.NoError(t, hub.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: p}))
		}
	}
}

// of returns the number of an event of mixed with its kind.
func of(p nodebus.Payload) string {
	switch p := p.(type) {
	case ticked:
		return fmt.Sprint("tick ", p.Step)
	case nodebus.Preview:
		return fmt.Sprint("picture ", p.UniqueID)
	case nodebus.ProgressText:
		return fmt.Sprint("text ", p.UniqueID)
	}
	return p.EventType()
}

// TestResumeIncludesBinaryEvents: after each event the connection breaks, or another
// program continues with the stored cursor. Every event comes once, in order.
func TestResumeIncludesBinaryEvents(t *testing.T) {
	const n = 5
	var want []string
	for i := range n {
		want = append(want, fmt.Sprint("tick ", i), fmt.Sprint("picture ", i), fmt.Sprint("text ", i))
	}
	for name, again := range map[string]bool{"after a break": false, "in another program": true} {
		t.Run(name, func(t *testing.T) {
			s := newCrossing(t, nil)
			close(s.turn)
			opts, _ := retry(time.Millisecond)
			c := listen(t, s.site, opts)
			mixed(t, s.hub, 0, n)
			var got []string
			for len(got) < len(want) {
				for ev, err := range c.Events(deadline(t)) {
					require.NoError(t, err)
					if ev.PromptID != "" {
						got = append(got, of(ev.Payload))
						require.Equal(t, ev.Cursor(), c.Cursor())
						break
					}
				}
				if !again {
					s.all()
					continue
				}
				next := *opts
				next.Since = c.Cursor()
				require.NoError(t, c.Close())
				c = listen(t, s.site, &next)
			}
			require.Equal(t, want, got)
			require.NoError(t, s.hub.SendSync(ticked{n}, "me"))
			require.Equal(t, []string{fmt.Sprint(n)}, words(t, c, n), "nothing comes twice")
		})
	}
}

// TestEventsWithoutACursor: an event without a cursor does not move the place of the
// client.
func TestEventsWithoutACursor(t *testing.T) {
	s := newSite(t, nil)
	c := listen(t, s, &client.Options{ID: "me"})
	require.NoError(t, s.hub.SendSync(ticked{1}, "me"))
	words(t, c, 1)
	at := c.Cursor()
	require.Equal(t, s.hub.Epoch(), at.Epoch)
	require.NoError(t, c.Watch(deadline(t), "p"))
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		require.Equal(t, nodebus.Watching{PromptID: "p", Watching: true}, ev.Payload)
		break
	}
	require.Equal(t, at, c.Cursor())
	require.Zero(t, dial(t, stock(t), nil).Cursor())
}

// TestCursorOfAnotherLife: the server was restarted. The client receives a
// gap, and what is kept.
func TestCursorOfAnotherLife(t *testing.T) {
	s := newSite(t, nil)
	require.NoError(t, s.hub.SendSync(ticked{1}, "me"))
	since := nodebus.Cursor{Epoch: "before", ID: 1}
	c := listen(t, s, &client.Options{ID: "me", Since: since})
	require.Equal(t, since, c.Cursor(), "until the gap")
	var got []nodebus.Payload
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		if got = append(got, ev.Payload); len(got) == 2 {
			break
		}
	}
	require.Equal(t, []nodebus.Payload{nodebus.Gap{Since: 0, Next: 1}, ticked{1}}, got)
	require.Equal(t, s.hub.Epoch(), c.Cursor().Epoch)
}

// TestClosedByTheServer: the server ends a connection because the client is slow, or
// because it goes away. The client connects again and misses nothing.
func TestClosedByTheServer(t *testing.T) {
	for cause, code := range map[error]websocket.StatusCode{nodebus.ErrSlow: 1013, nodebus.ErrClosed: 1001} {
		s := newSite(t, nil)
		c := listen(t, s, &client.Options{ID: "me", Retry: time.Millisecond})
		end(t, s.hub, cause)
		require.NoError(t, s.hub.SendSync(ticked{1}, "me"))
		require.Equal(t, []string{"1"}, words(t, c, 1))

		c = listen(t, s, &client.Options{ID: "you", Retry: -1})
		end(t, s.hub, cause)
		require.Equal(t, code, websocket.CloseStatus(c.Run(deadline(t))))
	}
}

// TestRefusedWithoutASignIn: status 401 means that the client must sign in.
func TestRefusedWithoutASignIn(t *testing.T) {
	s := newSite(t, &ws.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		if r.Header.Get("Token") == "" {
			return nodebus.Grant{}, nodebus.ErrUnauthenticated
		}
		return nodebus.Grant{}, http.ErrNotSupported
	}})
	_, err := client.Dial(t.Context(), s.URL, nil)
	var refused *client.RefusedError
	require.ErrorAs(t, err, &refused)
	require.Equal(t, http.StatusUnauthorized, refused.Status)
	require.ErrorIs(t, err, nodebus.ErrUnauthenticated)
	_, err = client.Dial(t.Context(), s.URL, &client.Options{Header: http.Header{"Token": {"x"}}})
	require.NotErrorIs(t, err, nodebus.ErrUnauthenticated)
}
