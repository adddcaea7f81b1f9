package sse_test

import (
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// TestTooManyStreams checks how many streams are open at the same time, and that the end of
// a stream makes room.
func TestTooManyStreams(t *testing.T) {
	for name, wrap := range map[string]func(http.Handler) http.Handler{"taken over": nil, "by net/http": wrapped(withoutHijack)} {
		t.Run(name, func(t *testing.T) {
			grant := func(r *http.Request) (nodebus.Grant, error) {
				return nodebus.Grant{Client: r.URL.Query().Get("user")}, nil
			}
			s := serve(t, &sse.Options{MaxPerClient: 2, MaxConnections: 3, Authorize: grant}, wrap)
			first := s.open(t, "?clientId=me")
			first.must(t)
			s.open(t, "?clientId=me").must(t)
			res := do(t, s.web.Client(), "GET", s.web.URL+"?clientId=me")
			require.Equal(t, 429, res.status)
			require.Contains(t, res.text, "the client has 2 connections")
			require.Equal(t, 429, do(t, s.web.Client(), "GET", s.web.URL+"?clientId=you&user=me").status, "the id is that of the grant")
			s.open(t, "").must(t)
			res = do(t, s.web.Client(), "GET", s.web.URL)
			require.Equal(t, 503, res.status)
			require.Contains(t, res.text, "the server has 3 connections")
			require.Equal(t, 404, do(t, s.web.Client(), "GET", s.web.URL+"?preview=0").status, "a preview is no stream")
			first.close()
			for status := 503; status != 200; { // until the server has noticed
				res := request(t, s.web.Client(), "GET", s.web.URL+"?clientId=me", nil)
				status = res.StatusCode
				t.Cleanup(func() { _ = res.Body.Close() })
			}
			require.Equal(t, 3, s.hub.Stats().Sessions)
		})
	}
}

// TestStreamWithABody checks that a request with a body is answered, also if the body never
// comes.
func TestStreamWithABody(t *testing.T) {
	onPipes(t, nil, func(t *testing.T, n *pipes) {
		for name, c := range map[string]struct {
			body   io.Reader
			status int
			took   time.Duration
		}{
			"a body":       {strings.NewReader("hello"), 200, 0},
			"a large body": {strings.NewReader(strings.Repeat("x", 20<<10)), 413, 0},
			"no end":       {&endless{}, 408, time.Minute},
		} {
			began := time.Now()
			req, err := http.NewRequestWithContext(t.Context(), "GET", "http://localhost/", c.body)
			require.NoError(t, err)
			res, err := n.client.Do(req)
			require.NoError(t, err, name)
			require.Equal(t, c.status, res.StatusCode, name)
			require.InDelta(t, c.took, time.Since(began), float64(time.Second), name)
			if c.status == 200 {
				newReader(res.Body).must(t)
			}
			_ = res.Body.Close()
			<-n.left
		}
		time.Sleep(time.Hour) // the endless body fails
	})
}

// endless is a body. A byte comes each second, for a while.
type endless struct{ n int }

func (e *endless) Read(p []byte) (int, error) {
	if e.n++; e.n > 100 {
		return 0, io.ErrUnexpectedEOF
	}
	time.Sleep(time.Second)
	return copy(p, "x"), nil
}
