package client_test

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/internal/leak"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

type ticked struct {
	Step int `json:"step"`
}

func (ticked) EventType() string { return "test.ticked" }

// site is a hub with a WebSocket server.
type site struct {
	*httptest.Server
	hub *nodebus.Hub
}

func newSite(t testing.TB, opts *ws.Options) *site {
	hub := nodebus.NewHub(nil)
	s := &site{httptest.NewServer(ws.New(hub, opts)), hub}
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		s.Close()
	})
	return s
}

func dial(t testing.TB, url string, opts *client.Options) *client.Client {
	c, err := client.Dial(t.Context(), url, opts)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// deadline returns a context that limits operations which should end immediately.
func deadline(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// payloads reads n events.
func payloads(t *testing.T, c *client.Client, n int) (got []nodebus.Payload) {
	t.Helper()
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		if got = append(got, ev.Payload); len(got) == n {
			return got
		}
	}
	t.Fatalf("%d of %d events came", len(got), n)
	return nil
}

func TestIDIsTheServersWord(t *testing.T) {
	s := newSite(t, &ws.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		if r.Header.Get("Token") == "secret" {
			return nodebus.Grant{Client: "alice"}, nil
		}
		return nodebus.Grant{}, nil
	}})
	require.Equal(t, "me", dial(t, s.URL, &client.Options{ID: "me"}).ID())
	require.Regexp(t, "^[0-9a-f]{32}$", dial(t, s.URL, nil).ID())
	require.Equal(t, "alice", dial(t, s.URL, &client.Options{ID: "me", Header: http.Header{"Token": {"secret"}}}).ID())
}

func TestListeningMakesATypeKnown(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, nil)
	require.NoError(t, s.hub.Broadcast(ticked{1}))
	require.Equal(t, "test.ticked", payloads(t, c, 1)[0].(nodebus.Custom).Type)

	var got []int
	remove := client.On(c, func(ev nodebus.Event, p ticked) {
		require.NotZero(t, ev.ID)
		got = append(got, p.Step)
	})
	client.On(c, func(nodebus.Event, ticked) { panic("a panic affects only this listener") })
	client.On(c, func(_ nodebus.Event, p ticked) { got = append(got, -p.Step) })
	require.NoError(t, s.hub.Broadcast(ticked{2}))
	require.Equal(t, []nodebus.Payload{ticked{2}}, payloads(t, c, 1))
	require.Equal(t, []int{2, -2}, got)

	remove()
	remove()
	require.NoError(t, s.hub.Broadcast(ticked{3}))
	require.Equal(t, []nodebus.Payload{ticked{3}}, payloads(t, c, 1), "it stays known")
	require.Equal(t, []int{2, -2, -3}, got)
}

func TestBuiltInAndRunTimeTypes(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, nil)
	var got []string
	client.On(c, func(_ nodebus.Event, p nodebus.Progress) { got = append(got, "progress "+p.UniqueID) })
	client.On(c, func(_ nodebus.Event, p nodebus.Preview) { got = append(got, "preview "+string(p.Image)) })
	c.OnType("mine", func(ev nodebus.Event) { got = append(got, ev.Payload.EventType()) })

	require.NoError(t, s.hub.Broadcast(nodebus.Progress{UniqueID: "7"}))
	require.NoError(t, s.hub.Broadcast(nodebus.Preview{Place: nodebus.Place{UniqueID: "7"}, Image: []byte("jpeg")}))
	require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "mine", Data: 1}))
	require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "yours", Data: 1}))
	payloads(t, c, 4)
	require.Equal(t, []string{"progress 7", "preview jpeg", "mine"}, got)
}

// pointed is a payload whose methods belong to the pointer.
type pointed struct {
	Step int `json:"step"`
}

func (*pointed) EventType() string { return "test.pointed" }

// TestListeningForAnyGoType: a listener may name any Go type, also a type without a
// fixed event type, a pointer or an interface.
func TestListeningForAnyGoType(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, nil)
	var got []string
	add := func(kind string) func(nodebus.Event) {
		return func(ev nodebus.Event) { got = append(got, kind+" "+ev.Payload.EventType()) }
	}
	client.On(c, func(ev nodebus.Event, _ nodebus.Custom) { add("custom")(ev) })
	client.On(c, func(ev nodebus.Event, _ nodebus.Payload) { add("any")(ev) })
	client.On(c, func(ev nodebus.Event, _ *pointed) { add("pointed")(ev) })
	remove := client.On(c, func(ev nodebus.Event, _ *ticked) { add("*ticked")(ev) })
	c.OnType("", add("every"))
	for range 2 {
		require.NoError(t, s.hub.Broadcast(&pointed{1}))
		require.NoError(t, s.hub.Broadcast(ticked{2}))
		require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "mine", Data: 1}))
		payloads(t, c, 3)
		remove()
	}
	pointed := []string{"pointed test.pointed", "any test.pointed", "every test.pointed"}
	mine := []string{"custom mine", "any mine", "every mine"}
	want := slices.Concat(pointed, []string{"*ticked test.ticked", "any test.ticked", "every test.ticked"}, mine,
		pointed, []string{"any test.ticked", "every test.ticked"}, mine)
	require.Equal(t, want, got)
}

// touchy is a payload whose decoding panics.
type touchy struct{}

func (touchy) EventType() string { return "test.touchy" }

func (*touchy) UnmarshalJSON([]byte) error { panic("not decoded") }

// TestDecodingMayPanic: a message whose decoding panics is skipped like any message that
// cannot be decoded.
func TestDecodingMayPanic(t *testing.T) {
	s := newSite(t, nil)
	var log strings.Builder
	c := dial(t, s.URL, &client.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	client.On(c, func(nodebus.Event, touchy) {})
	require.NoError(t, s.hub.Broadcast(touchy{}))
	require.NoError(t, s.hub.Broadcast(ticked{1}))
	require.Equal(t, "test.ticked", payloads(t, c, 1)[0].EventType())
	require.Contains(t, log.String(), "not decoded")
}

func TestFollowEndsWithThePrompt(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, nil)
	for _, e := range []nodebus.Event{
		{PromptID: "p", Payload: nodebus.Executing{UniqueID: "1", PromptID: "p"}},
		{PromptID: "q", Payload: nodebus.Executing{UniqueID: "2", PromptID: "q"}},
		{Payload: nodebus.Status{}},
		{PromptID: "p", Payload: nodebus.ExecutionSuccess{PromptID: "p"}},
		{PromptID: "p", Payload: nodebus.Executing{PromptID: "p"}},
		{PromptID: "q", Payload: nodebus.Executing{PromptID: "q"}},
	} {
		e.To = c.ID()
		require.NoError(t, s.hub.Publish(e))
	}
	var got []string
	for ev, err := range c.Follow(deadline(t), "p") {
		require.NoError(t, err)
		got = append(got, ev.Payload.EventType())
	}
	require.Equal(t, []string{"executing", "execution_success", "executing"}, got)
	require.Equal(t, nodebus.Executing{PromptID: "q"}, payloads(t, c, 1)[0])
}

func TestWatch(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, &client.Options{Watch: []string{"p"}})
	require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: "p", To: "someone", Payload: ticked{1}}))
	require.Len(t, payloads(t, c, 1), 1)
}

// TestBrokenConnectionIsMadeAgain cuts every connection after a few events. The client
// must still receive every event once and in order.
func TestBrokenConnectionIsMadeAgain(t *testing.T) {
	hub := nodebus.NewHub(nil)
	srv := httptest.NewUnstartedServer(ws.New(hub, nil))
	cut := &cutter{Listener: srv.Listener}
	srv.Listener = cut
	srv.Start()
	c := dial(t, srv.URL, &client.Options{ID: "me", Retry: time.Millisecond, Logger: slog.New(slog.DiscardHandler)})
	const n = 300
	go func() {
		for i := range n {
			if i%20 == 10 {
				cut.all()
			}
			_ = hub.SendSync(ticked{i}, "me")
		}
	}()
	client.On(c, func(nodebus.Event, ticked) {})
	next := 0
	for ev, err := range c.Events(deadline(t)) {
		require.NoError(t, err)
		if p, ok := ev.Payload.(ticked); ok {
			require.Equal(t, next, p.Step)
			if next++; next == n {
				break
			}
		}
	}
	require.Equal(t, n, next)
	require.NoError(t, c.Close())
	require.NoError(t, hub.Close())
	srv.Close()
}

// cutter is a listener that can close the connections it has accepted.
type cutter struct {
	net.Listener
	mu    sync.Mutex
	conns []net.Conn
}

func (l *cutter) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.conns = append(l.conns, c)
	}
	return c, err
}

func (l *cutter) all() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.conns {
		_ = c.Close()
	}
	l.conns = nil
}

func TestWithoutRetryABreakIsTheEnd(t *testing.T) {
	s := newSite(t, nil)
	c := dial(t, s.URL, &client.Options{Retry: -1})
	require.NoError(t, s.hub.Broadcast(ticked{1}))
	require.NoError(t, s.hub.Close())
	var last error
	n := 0
	for _, err := range c.Events(deadline(t)) {
		last = err
		n++
	}
	require.Equal(t, 2, n, "the event and the error")
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(last))
}

// TestContextEndsDuringARead: the context of Events ends while Events waits for the next
// event. The connection stays, and the next Events misses nothing.
func TestContextEndsDuringARead(t *testing.T) {
	for _, retry := range []time.Duration{-1, time.Millisecond} {
		waiting := make(chan struct{}, 10)
		s := newSite(t, nil)
		c := dial(t, s.URL, &client.Options{ID: "me", Retry: retry, HTTPClient: &http.Client{Transport: &http.Transport{
			DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
				nc, err := (&net.Dialer{}).DialContext(ctx, network, addr)
				return readsTold{nc, waiting}, err
			},
		}}})
		require.NoError(t, s.hub.SendSync(ticked{1}, "me"))
		require.Len(t, payloads(t, c, 1), 1)

		for len(waiting) > 0 {
			<-waiting
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- c.Run(ctx) }()
		<-waiting
		cancel()
		require.ErrorIs(t, <-ended, context.Canceled)
		require.NoError(t, s.hub.SendSync(ticked{2}, "me"))
		var got []string
		for ev, err := range c.Events(deadline(t)) {
			require.NoError(t, err)
			if got = append(got, ev.Payload.EventType()); got[len(got)-1] == "test.ticked" {
				break
			}
		}
		require.Equal(t, []string{"test.ticked"}, got, "no new greeting: the connection is the same")
	}
}

// readsTold is a connection that tells when it begins to read.
type readsTold struct {
	net.Conn
	waiting chan struct{}
}

func (c readsTold) Read(p []byte) (int, error) {
	select {
	case c.waiting <- struct{}{}:
	default:
	}
	return c.Conn.Read(p)
}
