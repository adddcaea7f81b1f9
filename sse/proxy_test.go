package sse_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/stretchr/testify/require"
)

// TestReverseProxy puts the proxy of the standard library in front. Each event must
// arrive before the next is published.
func TestReverseProxy(t *testing.T) {
	for name, start := range map[string]func(*testing.T, http.Handler) (*http.Client, string){"HTTP/1.1": http1, "HTTP/2": http2} {
		t.Run(name, func(t *testing.T) {
			hub := nodebus.NewHub(nil)
			left := make(chan struct{}, 4)
			h := sse.New(hub, nil)
			back := httptest.NewServer(http.StripPrefix("/bus", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(w, r)
				left <- struct{}{}
			})))
			t.Cleanup(back.Close)
			t.Cleanup(func() { require.NoError(t, hub.Close()) })
			target, err := url.Parse(back.URL + "/bus")
			require.NoError(t, err)
			transport := &http.Transport{}
			t.Cleanup(transport.CloseIdleConnections)
			c, front := start(t, &httputil.ReverseProxy{
				Rewrite:   func(r *httputil.ProxyRequest) { r.SetURL(target) },
				Transport: transport,
			})
			r := open(t, c, front+"/events?clientId=me")
			require.Equal(t, "status", r.must(t).Type)
			for n := range 20 {
				require.NoError(t, hub.SendSync(note{n}, "me"))
				require.Equal(t, "test.note", r.must(t).Type)
			}
			require.NoError(t, hub.Publish(preview("image/png", "seen")))
			require.Equal(t, "seen", get(t, c, r.mustShow(t, front+"/events?clientId=me")).text)
			<-left
			r.close() // the proxy passes the end on
			<-left
		})
	}
}

// TestStreamOutlivesTimeoutsOfTheServer is on sockets; TestSilentStreamHasComments has
// the exact times.
func TestStreamOutlivesTimeoutsOfTheServer(t *testing.T) {
	hub := nodebus.NewHub(nil)
	web := httptest.NewUnstartedServer(sse.New(hub, &sse.Options{PingInterval: time.Millisecond}))
	web.Config.WriteTimeout, web.Config.ReadTimeout = 20*time.Millisecond, 20*time.Millisecond
	web.Start()
	t.Cleanup(web.Close)
	t.Cleanup(func() { require.NoError(t, hub.Close()) })
	began := time.Now()
	r := open(t, web.Client(), web.URL)
	r.must(t)
	for time.Since(began) < 100*time.Millisecond { // five times the timeouts
		require.NoError(t, hub.Broadcast(note{1}))
		require.Equal(t, "test.note", r.must(t).Type)
	}
}
