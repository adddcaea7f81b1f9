package sse_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// TestServe: a session that another server has joined is served, with or without a
// transport in between.
func TestServe(t *testing.T) {
	for name, wrap := range map[string]func(nodebus.Transport) nodebus.Transport{
		"nil":     nil,
		"wrapped": func(t nodebus.Transport) nodebus.Transport { return &adding{Transport: t} },
	} {
		t.Run(name, func(t *testing.T) {
			hub := nodebus.NewHub(nil)
			streams := sse.New(hub, nil)
			causes := make(chan error, 1)
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				s := hub.Join("me", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}, Hello: []nodebus.Payload{nodebus.Status{SID: "me"}}})
				causes <- streams.Serve(w, r, s, wrap)
			}))
			defer srv.Close()
			res, err := http.Get(srv.URL + "/?preview=x&clientId=other")
			require.NoError(t, err)
			defer func() { _ = res.Body.Close() }()
			require.Equal(t, "text/event-stream; charset=utf-8", res.Header.Get("Content-Type"))
			in := &strings.Builder{}
			for !strings.Contains(in.String(), `"sid":"me"`) {
				_, err := io.CopyN(in, res.Body, 1)
				require.NoError(t, err)
			}
			require.NoError(t, hub.Close())
			require.ErrorIs(t, <-causes, nodebus.ErrClosed)
			rest, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			require.Contains(t, string(rest), ": the server is going away")
			require.Equal(t, wrap != nil, strings.Contains(in.String(), "added") || strings.Contains(string(rest), "added"))
		})
	}
}

// adding adds a custom event before each frame.
type adding struct{ nodebus.Transport }

func (e *adding) Write(ctx context.Context, frames []nodebus.Frame) error {
	return e.Transport.Write(ctx, append([]nodebus.Frame{{Type: "x", Data: []byte(`{"type":"x","data":"added"}`)}}, frames...))
}

// TestServeRefuses: if the response cannot be streamed, the session ends. So it does if
// wrap panics.
func TestServeRefuses(t *testing.T) {
	hub := nodebus.NewHub(nil)
	defer func() { require.NoError(t, hub.Close()) }()
	streams := sse.New(hub, nil)
	s := hub.Join("me", nil)
	w := httptest.NewRecorder()
	err := streams.Serve(struct{ http.ResponseWriter }{w}, httptest.NewRequest("GET", "/", nil), s, nil)
	require.ErrorContains(t, err, "cannot flush")
	require.Equal(t, http.StatusNotImplemented, w.Code)
	require.Empty(t, hub.Sessions())

	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := hub.Join("me", nil)
		defer func() { _ = recover() }()
		_ = streams.Serve(w, r, s, func(nodebus.Transport) nodebus.Transport { panic("ouch") })
	}))
	defer srv.Close()
	res, err := http.Get(srv.URL)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Empty(t, hub.Sessions())
}

// TestServePreview: it serves images, and opens no stream.
func TestServePreview(t *testing.T) {
	hub := nodebus.NewHub(nil)
	streams := sse.New(hub, &sse.Options{Origins: []string{"https://app.example.com"}})
	mux := http.NewServeMux()
	mux.Handle("/stream", streams)
	mux.HandleFunc("/image", streams.ServePreview)
	srv := httptest.NewServer(mux)
	defer srv.Close()
	defer func() { require.NoError(t, hub.Close()) }()
	r := open(t, srv.Client(), srv.URL+"/stream?clientId=me")
	r.must(t)
	require.NoError(t, hub.Publish(preview("image/png", "image")))
	at := r.mustShow(t, srv.URL+"/image")
	res := get(t, srv.Client(), at, "Origin", "https://app.example.com")
	require.Equal(t, []any{200, "image", "image/png"}, []any{res.status, res.text, res.header.Get("Content-Type")})
	require.Equal(t, "https://app.example.com", res.header.Get("Access-Control-Allow-Origin"))
	for _, query := range []string{"", "?preview=", "?preview=none", "?clientId=me", "?clientId=me&Preview=" + at[len(at)-32:]} {
		res = get(t, srv.Client(), srv.URL+"/image"+query, "Accept", "text/event-stream")
		require.Equal(t, 404, res.status, query)
	}
	require.Equal(t, 405, do(t, srv.Client(), http.MethodPost, at).status)
}
