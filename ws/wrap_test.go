package ws_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// plain has only the methods of http.ResponseWriter.
type plain struct{ http.ResponseWriter }

// unwrapping is a wrapper for logging, with only Unwrap.
type unwrapping struct{ http.ResponseWriter }

func (w unwrapping) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// flushing has only Flush, as old wrappers have.
type flushing struct{ http.ResponseWriter }

func (w flushing) Flush() { w.ResponseWriter.(http.Flusher).Flush() }

// hijacking has only Hijack.
type hijacking struct{ http.ResponseWriter }

func (w hijacking) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

// lazy behaves as the ResponseWriter of gin: WriteHeader only notes the status, and
// something else sends it before the first byte of the body, or after the handler.
type lazy struct {
	http.ResponseWriter
	status, size int
}

func newLazy(w http.ResponseWriter) *lazy { return &lazy{w, 200, -1} }

func (w *lazy) WriteHeader(status int) { w.status = status }

func (w *lazy) WriteHeaderNow() {
	if w.size < 0 {
		w.size = 0
		w.ResponseWriter.WriteHeader(w.status)
	}
}

func (w *lazy) Write(p []byte) (int, error) {
	w.WriteHeaderNow()
	n, err := w.ResponseWriter.Write(p)
	w.size += n
	return n, err
}

func (w *lazy) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	w.size = max(w.size, 0)
	return w.ResponseWriter.(http.Hijacker).Hijack()
}

func (w *lazy) Flush() { w.WriteHeaderNow() }

func (w *lazy) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// refusing has a Hijack that fails.
type refusing struct{ http.ResponseWriter }

func (refusing) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return nil, nil, errors.New("not today")
}

// bare returns no buffers from Hijack.
type bare struct{ http.ResponseWriter }

func (w bare) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	c, _, err := w.ResponseWriter.(http.Hijacker).Hijack()
	return c, nil, err
}

// TestWrappedResponseWriters checks that the handshake is answered whatever wraps the
// ResponseWriter, or is refused with an HTTP status.
func TestWrappedResponseWriters(t *testing.T) {
	wrap := func(f func(http.ResponseWriter) http.ResponseWriter) func(http.Handler) http.Handler {
		return func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w = f(w)
				h.ServeHTTP(w, r)
				if l, ok := w.(*lazy); ok {
					l.WriteHeaderNow()
				}
			})
		}
	}
	none := func(h http.Handler) http.Handler { return h }
	lazily := wrap(func(w http.ResponseWriter) http.ResponseWriter { return newLazy(w) })
	timed := func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "too late") }
	for name, c := range map[string]struct {
		wrap func(http.Handler) http.Handler
		want int
	}{
		"nothing":                        {none, 101},
		"Hijack":                         {wrap(func(w http.ResponseWriter) http.ResponseWriter { return hijacking{w} }), 101},
		"Unwrap":                         {wrap(func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{w} }), 101},
		"Unwrap of Unwrap":               {wrap(func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{unwrapping{w}} }), 101},
		"Hijack without buffers":         {wrap(func(w http.ResponseWriter) http.ResponseWriter { return bare{w} }), 101},
		"as gin":                         {lazily, 101},
		"Unwrap of gin":                  {wrap(func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{newLazy(w)} }), 101},
		"neither Hijack nor Unwrap":      {wrap(func(w http.ResponseWriter) http.ResponseWriter { return plain{w} }), 501},
		"Flush only":                     {wrap(func(w http.ResponseWriter) http.ResponseWriter { return flushing{w} }), 501},
		"TimeoutHandler":                 {timed, 501},
		"gin in a TimeoutHandler":        {func(h http.Handler) http.Handler { return timed(lazily(h)) }, 501},
		"gin round neither":              {wrap(func(w http.ResponseWriter) http.ResponseWriter { return newLazy(plain{w}) }), 501},
		"Hijack that panics":             {wrap(func(w http.ResponseWriter) http.ResponseWriter { return hijacking{plain{w}} }), 501},
		"Hijack that fails":              {wrap(func(w http.ResponseWriter) http.ResponseWriter { return refusing{w} }), 500},
		"Unwrap of a Hijack that fails":  {wrap(func(w http.ResponseWriter) http.ResponseWriter { return unwrapping{refusing{w}} }), 500},
		"headers of a middleware":        {wrap(withHeaders), 101},
		"gin with headers of middleware": {func(h http.Handler) http.Handler { return lazily(wrap(withHeaders)(h)) }, 101},
	} {
		t.Run(name, func(t *testing.T) {
			hub := nodebus.NewHub(nil)
			srv := httptest.NewServer(c.wrap(ws.New(hub, nil)))
			defer srv.Close()
			defer hub.Close()
			conn, res, err := websocket.Dial(t.Context(), srv.URL, nil)
			require.NotNil(t, res, "%v", err)
			require.Equal(t, c.want, res.StatusCode)
			if c.want != 101 {
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Contains(t, string(body), "ResponseWriter")
				return
			}
			require.Contains(t, read(t, conn), "status")
			require.NoError(t, conn.CloseNow())
		})
	}
}

func withHeaders(w http.ResponseWriter) http.ResponseWriter {
	w.Header().Set("Content-Length", "7")
	w.Header().Set("Content-Type", "text/html")
	return w
}

// TestHeadersOfTheProgram checks that the answer contains what the program has set.
func TestHeadersOfTheProgram(t *testing.T) {
	hub := nodebus.NewHub(nil)
	h := ws.New(hub, nil)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
		w.Header().Set("X-Injected", "one\r\nX-Other: two")
		w.Header().Set("Content-Length", "7")
		h.ServeHTTP(w, r)
	}))
	defer srv.Close()
	defer hub.Close()
	c, res, err := websocket.Dial(t.Context(), srv.URL, nil)
	require.NoError(t, err)
	require.Equal(t, "a=b", res.Header.Get("Set-Cookie"))
	require.Empty(t, res.Header.Get("X-Other"))
	require.Empty(t, res.Header.Get("Content-Length"))
	require.Contains(t, read(t, c), "status")
	require.NoError(t, c.CloseNow())
}

// TestHandshakes checks the answer to requests that are almost handshakes.
func TestHandshakes(t *testing.T) {
	s := serve(t, nil, nil)
	good := http.Header{
		"Upgrade": {"h2c, WebSocket"}, "Connection": {"keep-alive, Upgrade"},
		"Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {"AAAAAAAAAAAAAAAAAAAAAA=="},
	}
	for name, c := range map[string]struct {
		method string
		header string
		value  []string
		want   int
		text   string
	}{
		"good":              {"GET", "X-None", nil, 101, ""},
		"POST":              {"POST", "X-None", nil, 405, "must be GET"},
		"no Upgrade":        {"GET", "Upgrade", nil, 400, "this is the address of a WebSocket"},
		"other Upgrade":     {"GET", "Upgrade", []string{"h2c"}, 400, "Upgrade must be websocket"},
		"no Connection":     {"GET", "Connection", []string{"keep-alive"}, 400, "a proxy may have removed"},
		"other version":     {"GET", "Sec-Websocket-Version", []string{"8"}, 426, "must be 13"},
		"no key":            {"GET", "Sec-Websocket-Key", nil, 400, "16 bytes in base64"},
		"short key":         {"GET", "Sec-Websocket-Key", []string{"AAAA"}, 400, "16 bytes in base64"},
		"no base64 in key":  {"GET", "Sec-Websocket-Key", []string{"!!!!"}, 400, "16 bytes in base64"},
		"two keys":          {"GET", "Sec-Websocket-Key", []string{"AAAAAAAAAAAAAAAAAAAAAA==", "AAAAAAAAAAAAAAAAAAAAAA=="}, 400, "16 bytes in base64"},
		"spaces in the key": {"GET", "Sec-Websocket-Key", []string{" AAAAAAAAAAAAAAAAAAAAAA== "}, 101, ""},
	} {
		t.Run(name, func(t *testing.T) {
			req, err := http.NewRequestWithContext(t.Context(), c.method, s.URL, nil)
			require.NoError(t, err)
			req.Header = good.Clone()
			delete(req.Header, c.header)
			if c.value != nil {
				req.Header[c.header] = c.value
			}
			res, err := s.Client().Do(req)
			require.NoError(t, err)
			require.Equal(t, c.want, res.StatusCode)
			if c.want != 101 {
				body, err := io.ReadAll(res.Body)
				require.NoError(t, err)
				require.Contains(t, string(body), c.text)
				require.Equal(t, "13", res.Header.Get("Sec-WebSocket-Version"))
			}
			require.NoError(t, res.Body.Close())
		})
	}
}
