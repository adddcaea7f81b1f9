package sse_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
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
