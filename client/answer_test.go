package client_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// answerSite is a server with WebSockets at several paths. It refuses all answers with a
// status and a body, and keeps the last request.
type answerSite struct {
	*httptest.Server
	status int
	body   string
	asked  *url.URL
	header http.Header
}

func newAnswerSite(t *testing.T) *answerSite {
	hub := nodebus.NewHub(nil)
	s := &answerSite{}
	sockets := ws.New(hub, nil)
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			sockets.ServeHTTP(w, r)
			return
		}
		s.asked, s.header = r.URL, r.Header
		w.WriteHeader(s.status)
		_, _ = w.Write([]byte(s.body))
	}))
	t.Cleanup(func() {
		require.NoError(t, hub.Close())
		s.Close()
	})
	return s
}

// TestAnswerURL: answers go to the same server, beside the WebSocket, with the same
// headers and the same query.
func TestAnswerURL(t *testing.T) {
	s := newAnswerSite(t)
	s.status = http.StatusOK
	for address, want := range map[string]string{
		"":                   "/nodebus/answer",
		"/":                  "/nodebus/answer",
		"/ws":                "/nodebus/answer",
		"/api/ws?token=a%3B": "/api/nodebus/answer?token=a%3B",
		"/some/where/ws":     "/some/where/nodebus/answer",
	} {
		for _, scheme := range []string{"http", "ws"} {
			c := dial(t, strings.Replace(s.URL, "http", scheme, 1)+address, &client.Options{Header: http.Header{"Pass": {"yes"}}})
			require.NoError(t, c.Answer(t.Context(), "p", "1", "q", true))
			require.Equal(t, want, s.asked.String(), address)
			require.Equal(t, "yes", s.header.Get("Pass"))
		}
	}
	c := dial(t, s.URL, &client.Options{BaseURL: s.URL + "/elsewhere?x"})
	require.NoError(t, c.Refuse(t.Context(), "p", "1", "q", ""))
	require.Equal(t, "/elsewhere/nodebus/answer?x", s.asked.String())
}

func TestAnswerRefused(t *testing.T) {
	s := newAnswerSite(t)
	c := dial(t, s.URL, nil)
	for name, want := range map[string]struct {
		status     int
		body, says string
	}{
		"object": {400, `{"error":"must be a bool"}`, "client: the server refused the answer to \"q\" with status 400: must be a bool"},
		"text":   {404, "404 page not found\n", "client: the server refused the answer to \"q\" with status 404: 404 page not found"},
		"long":   {503, strings.Repeat("x", 1<<20), "client: the server refused the answer to \"q\" with status 503: " + strings.Repeat("x", 1<<10)},
	} {
		t.Run(name, func(t *testing.T) {
			s.status, s.body = want.status, want.body
			err := c.Answer(t.Context(), "p", "1", "q", true)
			var refused *client.RefusedError
			require.ErrorAs(t, err, &refused)
			require.Equal(t, want.status, refused.Status)
			require.EqualError(t, err, want.says)
		})
	}
	s.status = http.StatusUnauthorized
	require.ErrorIs(t, c.Answer(t.Context(), "p", "1", "q", true), nodebus.ErrUnauthenticated)
	require.ErrorContains(t, c.Answer(t.Context(), "p", "1", "q", func() {}), `the answer to "q" has no JSON form`)
	ended, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	require.ErrorIs(t, c.Answer(ended, "p", "1", "q", true), context.DeadlineExceeded)
}

// explosive is a value whose MarshalJSON panics.
type explosive struct{}

func (explosive) MarshalJSON() ([]byte, error) { panic("oh") }

// TestAnswerWithoutAJSONForm: no request is sent.
func TestAnswerWithoutAJSONForm(t *testing.T) {
	s := newAnswerSite(t)
	c := dial(t, s.URL, nil)
	for _, value := range []any{explosive{}, func() {}} {
		err := c.Answer(t.Context(), "p", "n", "q", value)
		require.ErrorContains(t, err, `client: the answer to "q" has no JSON form`)
	}
	require.Nil(t, s.asked)
}
