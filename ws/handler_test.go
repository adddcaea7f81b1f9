package ws_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// note is a custom event of the tests.
type note struct {
	N int `json:"n"`
}

func (note) EventType() string { return "test.note" }

// server is a hub with a WebSocket handler on a real socket.
type server struct {
	*httptest.Server
	hub *nodebus.Hub
}

func serve(t *testing.T, hubOpts *nodebus.HubOptions, opts *ws.Options) *server {
	hub := nodebus.NewHub(hubOpts)
	s := &server{httptest.NewServer(ws.New(hub, opts)), hub}
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		s.Close()
	})
	return s
}

// dial connects a client. The connection is closed at the end of the test.
func dial(t *testing.T, url string, header http.Header) *websocket.Conn {
	c, res, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: header})
	if err != nil && res != nil {
		t.Fatalf("status %d: %v", res.StatusCode, err)
	}
	require.NoError(t, err)
	c.SetReadLimit(-1)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func read(t *testing.T, c *websocket.Conn) (text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	_, data, err := c.Read(ctx)
	require.NoError(t, err)
	return string(data)
}

func status(t *testing.T, url string, header http.Header) int {
	t.Helper()
	c, res, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPHeader: header})
	if err == nil {
		_ = c.CloseNow()
		return http.StatusSwitchingProtocols
	}
	require.NotNil(t, res, "%v", err)
	return res.StatusCode
}

func TestFirstFrameIsStatusWithTheClientsID(t *testing.T) {
	s := serve(t, nil, &ws.Options{Remaining: func() int { return 3 }})
	c := dial(t, s.URL+"?clientId=me", nil)
	require.Equal(t, `{"type":"status","data":{"status":{"exec_info":{"queue_remaining":3}},"sid":"me"}}`, read(t, c))
}

func TestClientWithoutIDIsGivenOne(t *testing.T) {
	s := serve(t, nil, nil)
	first := read(t, dial(t, s.URL, nil))
	require.Regexp(t, `"sid":"[0-9a-f]{12}4[0-9a-f]{3}[89ab][0-9a-f]{15}"`, first)
	require.NotEqual(t, first, read(t, dial(t, s.URL+"?clientId=", nil)))
}

func TestEventsArriveInOrder(t *testing.T) {
	s := serve(t, nil, nil)
	c := dial(t, s.URL+"?clientId=me", nil)
	other := dial(t, s.URL+"?clientId=other", nil)
	read(t, c)
	read(t, other)
	go func() {
		for n := range 1000 {
			_ = s.hub.SendSync(note{n}, "me")
		}
		_ = s.hub.Broadcast(note{-1})
	}()
	for n := range 1000 {
		f, err := nodebus.JSON.Encode(nodebus.Event{Broadcast: true, Payload: note{n}})
		require.NoError(t, err)
		require.Equal(t, string(f.Data), read(t, c))
	}
	const last = `{"type":"test.note","data":{"n":-1}}`
	require.Equal(t, last, read(t, c))
	require.Equal(t, last, read(t, other), "the other client received nothing else")
}

func TestBinaryAndLargeMessages(t *testing.T) {
	s := serve(t, nil, nil)
	c := dial(t, s.URL+"?clientId=me", nil)
	read(t, c)
	for _, size := range []int{0, 117, 118, 119, 120, 65_526, 65_527, 65_528, 65_529, 5 << 20} {
		pad := strings.Repeat("x", size)
		go func() {
			_ = s.hub.Broadcast(nodebus.Custom{Type: "x", Data: pad})
			_ = s.hub.Broadcast(nodebus.ProgressText{UniqueID: "7", Text: pad})
		}()
		require.Equal(t, `{"type":"x","data":"`+pad+`"}`, read(t, c))
		typ, data, err := c.Read(t.Context())
		require.NoError(t, err)
		require.Equal(t, websocket.MessageBinary, typ)
		require.Equal(t, "\x00\x00\x00\x03\x00\x00\x00\x017"+pad, string(data))
	}
}

// cursorOf returns the cursor in the envelope of a text message.
func cursorOf(t *testing.T, message string) string {
	t.Helper()
	var m struct {
		Cursor string `json:"cursor"`
	}
	require.NoError(t, json.Unmarshal([]byte(message), &m))
	require.NotEmpty(t, m.Cursor, message)
	return m.Cursor
}

func TestClientThatComesBackIsSentWhatItMissed(t *testing.T) {
	s := serve(t, nil, nil)
	c := dial(t, s.URL+"?clientId=me&since=", nil)
	read(t, c)
	require.NoError(t, s.hub.SendSync(note{1}, "me"))
	cursor := cursorOf(t, read(t, c))
	require.NoError(t, c.CloseNow())

	require.NoError(t, s.hub.SendSync(note{2}, "me"))
	require.NoError(t, s.hub.SendSync(note{3}, "me"))
	c = dial(t, s.URL+"?clientId=me&since="+cursor, nil)
	require.Equal(t, cursor, cursorOf(t, read(t, c)), "the greeting has the cursor before the first event")
	for n := 2; n <= 3; n++ {
		message := read(t, c)
		require.Contains(t, message, `"n":`+strconv.Itoa(n))
		require.NotEqual(t, cursor, cursorOf(t, message))
	}
}

func TestCursorOfAnotherLife(t *testing.T) {
	s := serve(t, nil, nil)
	require.NoError(t, s.hub.SendSync(note{1}, "me"))
	for _, since := range []string{"0", "17", "another-1"} {
		c := dial(t, s.URL+"?clientId=me&since="+since, nil)
		read(t, c)
		require.Contains(t, read(t, c), `"nodebus.gap"`)
		require.Contains(t, read(t, c), `"n":1`)
	}
}

func TestWatchFollowsAPromptOfAnother(t *testing.T) {
	s := serve(t, nil, nil)
	c := dial(t, s.URL+"?watch=p1&watch=p2", nil)
	read(t, c)
	for _, p := range []string{"p1", "p3", "p2"} {
		require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: p, To: "you", Payload: nodebus.Executing{UniqueID: "1", PromptID: p}}))
	}
	require.Contains(t, read(t, c), `"prompt_id":"p1"`)
	require.Contains(t, read(t, c), `"prompt_id":"p2"`)
}

func TestDrainingHubSaysGoingAway(t *testing.T) {
	s := serve(t, nil, nil)
	c := dial(t, s.URL, nil)
	read(t, c)
	require.NoError(t, s.hub.Broadcast(note{1}))
	require.NoError(t, s.hub.Close())
	require.Contains(t, read(t, c), `test.note`, "events from before Close are delivered first")
	_, _, err := c.Read(t.Context())
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
	require.Equal(t, http.StatusSwitchingProtocols, status(t, s.URL, nil), "a closed hub still answers")
}

func TestClientThatLeavesIsForgotten(t *testing.T) {
	left := make(chan error, 1)
	hub := nodebus.NewHub(nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := hub.Join("me", nil)
		c, err := ws.Accept(w, r, nil)
		if err != nil {
			left <- err
			return
		}
		left <- c.Serve(r.Context(), s, nil)
	}))
	defer srv.Close()
	c := dial(t, srv.URL, nil)
	require.NoError(t, c.Close(websocket.StatusNormalClosure, "bye"))
	err := <-left
	require.Equal(t, websocket.StatusNormalClosure, websocket.CloseStatus(err), "%v", err)

	c = dial(t, srv.URL, nil)
	require.NoError(t, c.CloseNow())
	require.Error(t, <-left)
	require.NoError(t, hub.Close())
}

func TestMessagesOfTheClientAreReceived(t *testing.T) {
	got := make(chan string, 10)
	s := serve(t, nil, &ws.Options{
		Receive: func(s *nodebus.Session, data []byte, binary bool) {
			if binary {
				data = append([]byte("binary "), data...)
			}
			got <- s.Client() + ": " + string(data)
		},
		ReadLimit: 100,
	})
	c := dial(t, s.URL+"?clientId=me", nil)
	read(t, c) // the status: a too long message may end the connection before the status is sent
	require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte("hello")))
	require.NoError(t, c.Write(t.Context(), websocket.MessageBinary, []byte("there")))
	require.Equal(t, "me: hello", <-got)
	require.Equal(t, "me: binary there", <-got)

	require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte(strings.Repeat("x", 101))))
	_, _, err := c.Read(t.Context())
	require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err))
}

// TestReceiveThatPanics checks that a panic of Receive ends only this connection.
func TestReceiveThatPanics(t *testing.T) {
	s := serve(t, nil, &ws.Options{Receive: func(*nodebus.Session, []byte, bool) { panic("no") }})
	c, other := dial(t, s.URL+"?clientId=me", nil), dial(t, s.URL+"?clientId=other", nil)
	read(t, c)
	read(t, other)
	require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte("hello")))
	_, _, err := c.Read(t.Context())
	require.Error(t, err)
	require.NoError(t, s.hub.Broadcast(note{1}))
	require.Contains(t, read(t, other), "note")
}

func TestMessagesOfTheClientAreIgnoredByDefault(t *testing.T) {
	s := serve(t, nil, nil)
	c := dial(t, s.URL, nil)
	read(t, c)
	for _, m := range []string{"", "{", `{"type":"feature_flags","data":{}}`, "\xff\xfe"} {
		require.NoError(t, c.Write(t.Context(), websocket.MessageBinary, []byte(m)))
	}
	require.NoError(t, s.hub.Broadcast(note{1}))
	require.Contains(t, read(t, c), "test.note")
}

func TestAuthorize(t *testing.T) {
	s := serve(t, nil, &ws.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		switch r.URL.Query().Get("token") {
		case "alice":
			return nodebus.Grant{Client: "alice", WatchAll: true}, nil
		case "anyone":
			return nodebus.Grant{}, nil
		case "":
			return nodebus.Grant{}, fmt.Errorf("no token: %w", nodebus.ErrUnauthenticated)
		}
		return nodebus.Grant{}, errors.New("who are you?")
	}})
	require.Equal(t, http.StatusForbidden, status(t, s.URL+"?token=bad", nil))
	require.Equal(t, http.StatusUnauthorized, status(t, s.URL, nil))
	c := dial(t, s.URL+"?token=alice&clientId=bob&watch=p1", nil)
	require.Contains(t, read(t, c), `"sid":"alice"`)
	d := dial(t, s.URL+"?token=anyone&clientId=bob&watch=p1", nil)
	require.Contains(t, read(t, d), `"sid":"bob"`)

	require.NoError(t, s.hub.Publish(nodebus.Event{PromptID: "p1", To: "carol", Payload: note{1}}))
	require.NoError(t, s.hub.Broadcast(note{2}))
	require.Contains(t, read(t, c), `"n":1`, "she may watch everything")
	require.Contains(t, read(t, d), `"n":2`, "he may not watch what he asks for")
}

func TestRefusals(t *testing.T) {
	s := serve(t, nil, nil)
	open := serve(t, nil, &ws.Options{Origins: []string{"https://app.example.com", "*.friend.example"}, Hosts: []string{"127.0.0.1", "bus.example.com"}})
	host := func(h string) http.Header { return http.Header{"Host": {h}} }
	origin := func(o string) http.Header { return http.Header{"Origin": {o}} }
	for _, c := range []struct {
		name   string
		url    string
		header http.Header
		want   int
	}{
		{"no origin, not a browser", s.URL, nil, 101},
		{"page of the same host", s.URL, origin(s.URL), 101},
		{"page of another host", s.URL, origin("http://evil.example"), 403},
		{"page of another port", s.URL, origin("http://127.0.0.1:1"), 403},
		{"page without an origin", s.URL, origin("null"), 403},
		{"a name that resolves to this address", s.URL, host("evil.example"), 403},
		{"localhost", s.URL, host("localhost:8188"), 101},
		{"since is not a cursor", s.URL + "?since=x", nil, 400},
		{"since has no epoch", s.URL + "?since=-1", nil, 400},
		{"since is empty", s.URL + "?since=", nil, 101},
		{"since is of another life", s.URL + "?since=1", nil, 101},
		{"256 times the same prompt", s.URL + "?" + strings.Repeat("watch=p&", 256), nil, 101},
		{"9990 times the same prompt", s.URL + "?" + strings.Repeat("watch=p&", 9990), nil, 400},
		{"long id of a prompt", s.URL + "?watch=" + strings.Repeat("x", 513), nil, 400},
		{"long id of the client", s.URL + "?clientId=" + strings.Repeat("x", 513), nil, 400},
		{"listed origin", open.URL, origin("https://app.example.com"), 101},
		{"listed origin, other scheme", open.URL, origin("http://app.example.com"), 403},
		{"listed pattern", open.URL, origin("http://a.friend.example"), 101},
		{"listed host", open.URL, host("bus.example.com"), 101},
		{"host that is not listed", open.URL, host("localhost"), 403},
	} {
		t.Run(c.name, func(t *testing.T) {
			url, opts := c.url, &websocket.DialOptions{HTTPHeader: c.header}
			if h := c.header.Get("Host"); h != "" {
				opts = &websocket.DialOptions{Host: h}
			}
			conn, res, err := websocket.Dial(t.Context(), url, opts)
			if err == nil {
				_ = conn.CloseNow()
			}
			require.NotNil(t, res, "%v", err)
			require.Equal(t, c.want, res.StatusCode)
		})
	}
}

func TestRequestThatIsNoHandshake(t *testing.T) {
	s := serve(t, nil, nil)
	for _, method := range []string{"GET", "POST"} {
		req, err := http.NewRequestWithContext(t.Context(), method, s.URL, nil)
		require.NoError(t, err)
		res, err := s.Client().Do(req)
		require.NoError(t, err)
		require.NoError(t, res.Body.Close())
		require.Equal(t, http.StatusBadRequest, res.StatusCode)
	}
}
