package sse_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// http1 starts a server with HTTP/1.1.
func http1(t *testing.T, h http.Handler) (*http.Client, string) {
	web := httptest.NewServer(h)
	t.Cleanup(web.Close)
	t.Cleanup(web.CloseClientConnections)
	return web.Client(), web.URL
}

// http2 starts a server with HTTP/2.
func http2(t *testing.T, h http.Handler) (*http.Client, string) {
	web := httptest.NewUnstartedServer(h)
	web.EnableHTTP2 = true
	web.StartTLS()
	t.Cleanup(web.Close)
	t.Cleanup(web.CloseClientConnections)
	return web.Client(), web.URL
}

// pipes is a network without sockets, so that it uses the fake time of a synctest
// bubble. It also implements net.Listener.
type pipes struct {
	hub    *nodebus.Hub
	client *http.Client
	conns  chan net.Conn
	ended  chan struct{}
	left   chan time.Duration // receives how long each request took
}

func (n *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-n.conns:
		return c, nil
	case <-n.ended:
		return nil, net.ErrClosed
	}
}

func (n *pipes) Close() error {
	close(n.ended)
	return nil
}

func (n *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (n *pipes) dial(context.Context, string, string) (net.Conn, error) {
	there, here := net.Pipe()
	n.conns <- here
	return there, nil
}

// onPipes runs a test for each kind of connection with a server on pipes, in a synctest
// bubble.
func onPipes(t *testing.T, opts *sse.Options, test func(t *testing.T, n *pipes)) {
	for _, version := range []string{"HTTP/1.1", "HTTP/1.1 without Hijack", "HTTP/2"} {
		t.Run(version, func(t *testing.T) {
			emptyPools()
			defer emptyPools()
			bubble.Test(t, func(t *testing.T) {
				n := &pipes{hub: nodebus.NewHub(nil), conns: make(chan net.Conn), ended: make(chan struct{}), left: make(chan time.Duration, 1)}
				var h http.Handler = sse.New(n.hub, opts)
				if version == "HTTP/1.1 without Hijack" {
					h = wrapped(withoutHijack)(h)
				}
				var p http.Protocols
				p.SetHTTP1(version != "HTTP/2")
				p.SetUnencryptedHTTP2(version == "HTTP/2")
				srv := &http.Server{
					Protocols: &p, WriteTimeout: time.Second, ReadTimeout: time.Second, IdleTimeout: time.Second,
					Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
						began := time.Now()
						h.ServeHTTP(w, r)
						n.left <- time.Since(began)
					}),
				}
				tr := &http.Transport{DialContext: n.dial, Protocols: &p}
				n.client = &http.Client{Transport: tr}
				go func() { _ = srv.Serve(n) }()
				defer func() { // also if the test fails
					_ = n.hub.Close()
					tr.CloseIdleConnections()
					require.NoError(t, srv.Close())
				}()
				test(t, n)
			})
		})
	}
}

// emptyPools removes the channels that the HTTP/2 of Go 1.25 keeps in a [sync.Pool]. A
// channel of a bubble may be used in this bubble only. A pool is empty after two rounds of
// garbage collection.
func emptyPools() {
	runtime.GC()
	runtime.GC()
}

func (n *pipes) open(t *testing.T, query string, header ...string) *reader {
	t.Helper()
	return open(t, n.client, "http://localhost/"+query, header...)
}
