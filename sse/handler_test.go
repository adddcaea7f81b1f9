package sse_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

func TestStreamBeginsWithHeadersAndStatus(t *testing.T) {
	s := serve(t, &sse.Options{Remaining: func() int { return 3 }, Retry: 1500 * time.Millisecond}, nil)
	r := s.open(t, "?clientId=me")
	require.Equal(t, "text/event-stream; charset=utf-8", r.header.Get("Content-Type"))
	require.Equal(t, "no-store, no-transform", r.header.Get("Cache-Control"))
	require.Equal(t, "no", r.header.Get("X-Accel-Buffering"))
	require.Equal(t, "nosniff", r.header.Get("X-Content-Type-Options"))
	ev := r.must(t)
	require.Equal(t, "status", ev.Type)
	require.JSONEq(t, `{"status":{"exec_info":{"queue_remaining":3}},"sid":"me"}`, string(ev.Data))
	require.Equal(t, "1500", r.retry)
	require.Equal(t, ev.Cursor, ev.id)
	require.NotEmpty(t, ev.id)
}

func TestClientWithoutIDGetsOne(t *testing.T) {
	s := serve(t, nil, nil)
	var st struct{ SID string }
	require.NoError(t, json.Unmarshal(s.open(t, "").must(t).Data, &st))
	require.Regexp(t, "^[0-9a-f]{32}$", st.SID)
}

func TestHello(t *testing.T) {
	for name, hello := range map[string][]nodebus.Payload{"some": {note{1}, note{2}}, "none": nil} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, &sse.Options{Hello: func(client string) []nodebus.Payload {
				require.Equal(t, "me", client)
				return hello
			}}, nil)
			r := s.open(t, "?clientId=me") // the headers arrive without an event
			s.say(t, "", 3)
			require.Equal(t, append([]string{`{"N":1}`, `{"N":2}`}[:len(hello)], `{"N":3}`), r.types(t, len(hello)+1))
		})
	}
}

func TestRefusals(t *testing.T) {
	authorize := func(r *http.Request) (nodebus.Grant, error) {
		switch r.URL.Query().Get("token") {
		case "":
			return nodebus.Grant{}, fmt.Errorf("who are you? %w", nodebus.ErrUnauthenticated)
		case "secret":
			return nodebus.Grant{Client: "ann"}, nil
		}
		return nodebus.Grant{}, errors.New("not you")
	}
	long := strings.Repeat("x", 513)
	for name, c := range map[string]struct {
		method, query string
		header        []string
		status        int
		text          string
	}{
		"unauthenticated":     {"GET", "?", nil, 401, "who are you? nodebus: sign in first\n"},
		"forbidden":           {"GET", "?token=wrong", nil, 403, "not you\n"},
		"another origin":      {"GET", "?token=secret", []string{"Origin", "http://evil.example"}, 403, "origin"},
		"no origin":           {"GET", "?token=secret", []string{"Origin", "null"}, 403, "origin"},
		"head":                {"HEAD", "?token=secret", nil, 405, ""},
		"post":                {"POST", "?token=secret", nil, 405, "GET"},
		"a wrong cursor":      {"GET", "?token=secret&since=x-y", nil, 400, "is not a cursor"},
		"a wrong last event":  {"GET", "?token=secret&since=a-1", []string{"Last-Event-ID", "x"}, 400, "is not a cursor"},
		"a long client id":    {"GET", "?token=secret&clientId=" + long, nil, 400, "clientId has 513 bytes"},
		"a long prompt":       {"GET", "?token=secret&watch=" + long, nil, 400, "watch has 513 bytes"},
		"many prompts":        {"GET", "?token=secret" + strings.Repeat("&watch=p", 257), nil, 400, "257 prompts"},
		"an unknown preview":  {"GET", "?preview=0", nil, 404, "no longer keeps"},
		"a preview by method": {"POST", "?preview=0", nil, 405, "GET"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, &sse.Options{Authorize: authorize}, nil)
			res := do(t, s.web.Client(), c.method, s.web.URL+"/"+c.query, c.header...)
			require.Equal(t, c.status, res.status)
			require.Contains(t, res.text, c.text)
			require.Equal(t, c.status == 405, res.header.Get("Allow") != "")
			require.Empty(t, res.header.Get("Access-Control-Allow-Origin"))
			require.Zero(t, s.hub.Stats().Sessions)
		})
	}
}

func TestAllowedOriginsMayRead(t *testing.T) {
	s := serve(t, &sse.Options{Origins: []string{"app.example.com"}}, nil)
	r := s.open(t, "", "Origin", "https://app.example.com")
	require.Equal(t, "https://app.example.com", r.header.Get("Access-Control-Allow-Origin"))
	require.Equal(t, "true", r.header.Get("Access-Control-Allow-Credentials"))
	require.Equal(t, "Origin", r.header.Get("Vary"))
	require.Empty(t, s.open(t, "").header.Get("Access-Control-Allow-Origin"))
}

func TestGrantDecidesWhatIsWatched(t *testing.T) {
	for name, c := range map[string]struct {
		grant nodebus.Grant
		query string
		want  []int
	}{
		"nothing":            {nodebus.Grant{Client: "ann"}, "?watch=a&watch=b", nil},
		"by the grant":       {nodebus.Grant{Client: "ann", Watch: []string{"a"}}, "", []int{1}},
		"asked and allowed":  {nodebus.Grant{Client: "ann", May: func(id string) bool { return id != "a" }}, "?watch=a&watch=b&watch=b", []int{2}},
		"everything":         {nodebus.Grant{Client: "ann", WatchAll: true}, "?watch=a", []int{1, 2, 3}},
		"the client's own":   {nodebus.Grant{Client: "me"}, "?clientId=ann", []int{1, 2, 3}},
		"its id by the name": {nodebus.Grant{}, "?clientId=me", []int{1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, &sse.Options{Authorize: func(*http.Request) (nodebus.Grant, error) { return c.grant, nil }}, nil)
			r := s.open(t, c.query)
			require.Equal(t, "status", r.must(t).Type)
			s.say(t, "a", 1)
			s.say(t, "b", 2)
			s.say(t, "c", 3)
			require.NoError(t, s.hub.Broadcast(note{4}))
			for _, n := range append(c.want, 4) {
				require.JSONEq(t, fmt.Sprintf(`{"N":%d}`, n), string(r.must(t).Data))
			}
		})
	}
}

// TestWrappedWriters puts handlers of other people round the handler.
func TestWrappedWriters(t *testing.T) {
	for name, c := range map[string]struct {
		wrap   func(http.Handler) http.Handler
		status int
		text   string
	}{
		"unwrapped":       {wrapped(func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{bare{w}, w} }), 200, ""},
		"no hijack":       {wrapped(withoutHijack), 200, ""},
		"without methods": {wrapped(func(w http.ResponseWriter) http.ResponseWriter { return bare{w} }), 501, "cannot flush"},
		"only flush":      {wrapped(func(w http.ResponseWriter) http.ResponseWriter { return flushing{bare{w}} }), 501, "cannot set a deadline"},
		"timeout": {func(h http.Handler) http.Handler {
			return http.TimeoutHandler(h, time.Minute, "")
		}, 501, "*http.timeoutWriter cannot flush"},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, c.wrap)
			if c.status == 200 {
				require.Equal(t, "status", s.open(t, "").must(t).Type)
				return
			}
			res := get(t, s.web.Client(), s.web.URL)
			require.Equal(t, c.status, res.status)
			require.Contains(t, res.text, c.text)
			require.Zero(t, s.hub.Stats().Sessions)
		})
	}
}

func wrapped(f func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
	return func(h http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(f(w), r) })
	}
}

// bare has only the three methods of the interface.
type bare struct{ http.ResponseWriter }

type flushing struct{ http.ResponseWriter }

func (flushing) Flush() {}

type unwrapping struct {
	http.ResponseWriter
	inner http.ResponseWriter
}

func (u unwrapping) Unwrap() http.ResponseWriter { return u.inner }

// controlled has the methods that a stream needs, and no others.
type controlled struct {
	http.ResponseWriter
	c *http.ResponseController
}

func withoutHijack(w http.ResponseWriter) http.ResponseWriter {
	return controlled{w, http.NewResponseController(w)}
}

func (c controlled) FlushError() error                   { return c.c.Flush() }
func (c controlled) SetWriteDeadline(at time.Time) error { return c.c.SetWriteDeadline(at) }
func (c controlled) SetReadDeadline(at time.Time) error  { return c.c.SetReadDeadline(at) }

func TestHeadersOfOtherHandlersStay(t *testing.T) {
	for name, wrap := range map[string]func(http.ResponseWriter) http.ResponseWriter{
		"hijacked": func(w http.ResponseWriter) http.ResponseWriter { return w }, "net/http": withoutHijack,
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, wrapped(func(w http.ResponseWriter) http.ResponseWriter {
				w.Header().Set("X-Trace", "a\r\nb")
				return wrap(w)
			}))
			r := s.open(t, "")
			require.Equal(t, "a  b", r.header.Get("X-Trace"))
			require.NotEmpty(t, r.header.Get("Date"))
			require.Equal(t, "status", r.must(t).Type)
		})
	}
}

func TestHTTP10(t *testing.T) {
	s := serve(t, nil, nil)
	c, err := net.Dial("tcp", s.web.Listener.Addr().String())
	require.NoError(t, err)
	defer func() { require.NoError(t, c.Close()) }()
	_, err = io.WriteString(c, "GET /events?clientId=me HTTP/1.0\r\n\r\n")
	require.NoError(t, err)
	res, err := http.ReadResponse(bufio.NewReader(c), nil)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	require.Empty(t, res.TransferEncoding)
	r := newReader(res.Body)
	require.Equal(t, "status", r.must(t).Type)
	s.say(t, "p", 1)
	require.Equal(t, []string{`{"N":1}`}, r.types(t, 1))
}

func TestClosedHubEndsTheResponse(t *testing.T) {
	hub := nodebus.NewHub(nil)
	require.NoError(t, hub.Close())
	web := httptest.NewServer(sse.New(hub, nil))
	defer web.Close()
	r := open(t, web.Client(), web.URL)
	r.end(t)
	require.Equal(t, []string{"the server is going away"}, r.comments)
}
