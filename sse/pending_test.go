package sse_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

// pending is as the ResponseWriter that gin passes to a handler for all other paths: it has
// noted the status 404, and sends it unless the handler says another.
type pending struct {
	http.ResponseWriter
	status int
	sent   bool
}

func (w *pending) WriteHeader(status int) { w.status = status }

func (w *pending) send() {
	if !w.sent {
		w.sent = true
		w.ResponseWriter.WriteHeader(w.status)
	}
}

func (w *pending) Write(p []byte) (int, error) {
	w.send()
	return w.ResponseWriter.Write(p)
}

func (w *pending) FlushError() error {
	w.send()
	return http.NewResponseController(w.ResponseWriter).Flush()
}

func (w *pending) Unwrap() http.ResponseWriter { return withoutHijack(w.ResponseWriter) }

// TestNothingIsCompressed checks that a stream on a connection that was taken over, around a
// handler that compresses responses, does not say that it is compressed.
func TestNothingIsCompressed(t *testing.T) {
	s := serve(t, nil, wrapped(func(w http.ResponseWriter) http.ResponseWriter {
		w.Header().Set("Content-Encoding", "gzip")
		w.Header().Set("Vary", "Accept-Encoding")
		return w
	}))
	r := s.open(t, "")
	require.Equal(t, "status", r.must(t).Type)
	require.Empty(t, r.header.Get("Content-Encoding"))
	require.Contains(t, r.header.Values("Vary"), "Accept-Encoding")
}

// TestPendingStatus checks that a stream and an image say their status.
func TestPendingStatus(t *testing.T) {
	s := serve(t, nil, wrapped(func(w http.ResponseWriter) http.ResponseWriter { return &pending{w, 404, false} }))
	r := s.open(t, "?clientId=me")
	require.Equal(t, "status", r.must(t).Type)
	require.NoError(t, s.hub.Publish(preview("image/png", "seen")))
	res := get(t, s.web.Client(), r.mustShow(t, s.web.URL+"/"))
	require.Equal(t, []any{200, "seen"}, []any{res.status, res.text})
	require.Equal(t, 404, get(t, s.web.Client(), s.web.URL+"/?preview=0").status)
}
