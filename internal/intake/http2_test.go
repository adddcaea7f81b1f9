package intake_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/internal/intake"
	"github.com/stretchr/testify/require"
)

// TestHTTP2 checks the deadlines where requests share a connection: a client that stops is
// given up, and a slow handler and the other requests are not.
func TestHTTP2(t *testing.T) {
	slowly := func(w http.ResponseWriter, r *http.Request) {
		r, err := intake.Open(w, r, intake.Limits{Bytes: 1 << 20, Wait: wait})
		n := 0
		for b := make([]byte, 40); err == nil; {
			m := 0
			m, err = r.Body.Read(b)
			n += m
			if r.URL.Path == "/slow" {
				time.Sleep(2 * wait)
			}
		}
		status, _ := intake.Refusal(err)
		_, _ = fmt.Fprint(w, n, errors.Is(err, io.EOF), status, r.Context().Err())
	}
	bubble.Test(t, func(t *testing.T) {
		p := &pipe{make(chan net.Conn, 1), make(chan struct{})}
		both := new(http.Protocols)
		both.SetUnencryptedHTTP2(true)
		srv := &http.Server{Handler: http.HandlerFunc(slowly), Protocols: both}
		go func() { _ = srv.Serve(p) }()
		transport := &http.Transport{Protocols: both, DialContext: func(context.Context, string, string) (net.Conn, error) {
			here, there := net.Pipe()
			p.conns <- there
			return here, nil
		}}
		post := func(path string, body io.Reader) string {
			res, err := (&http.Client{Transport: transport}).Post("http://localhost"+path, "", body)
			require.NoError(t, err)
			defer func() { _ = res.Body.Close() }()
			require.Equal(t, 2, res.ProtoMajor)
			text, err := io.ReadAll(res.Body)
			require.NoError(t, err)
			return string(text)
		}
		for range 2 {
			began := time.Now()
			stuck, writer := io.Pipe()
			go func() { _, _ = writer.Write(make([]byte, 100)) }()
			slow, sender := io.Pipe()
			go func() {
				for range 10 {
					_, _ = sender.Write(make([]byte, 20))
					time.Sleep(wait / 2)
				}
				_ = sender.Close()
			}()
			stops := make(chan string, 1)
			go func() { stops <- post("/", stuck) }()
			require.Equal(t, "200 true 400 <nil>", post("/slow", slow), "it was sent while the handler did not read")
			require.Equal(t, "100 false 408 <nil>", <-stops)
			require.Greater(t, time.Since(began), 5*wait)
			_ = writer.Close()
		}
		transport.CloseIdleConnections()
		require.NoError(t, srv.Close())
		time.Sleep(time.Minute)
	})
}
