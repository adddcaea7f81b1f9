package intake_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/internal/intake"
	"github.com/stretchr/testify/require"
)

const wait = time.Minute

// pipe is a listener with one connection that has no socket, so that it uses the fake time
// of a bubble.
type pipe struct {
	conns chan net.Conn
	ended chan struct{}
}

func (p *pipe) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.ended:
		return nil, net.ErrClosed
	}
}

func (p *pipe) Close() error {
	close(p.ended)
	return nil
}

func (p *pipe) Addr() net.Addr { return &net.UnixAddr{Name: "pipe", Net: "pipe"} }

// onPipe runs a test with a server without timeouts of its own, and a connection to it.
func onPipe(t *testing.T, handler http.HandlerFunc, test func(t *testing.T, c net.Conn, answers *bufio.Reader)) {
	t.Helper()
	bubble.Test(t, func(t *testing.T) {
		p := &pipe{make(chan net.Conn, 1), make(chan struct{})}
		srv := &http.Server{Handler: handler}
		go func() { _ = srv.Serve(p) }()
		here, there := net.Pipe()
		p.conns <- there
		test(t, here, bufio.NewReader(here))
		_ = here.Close()
		require.NoError(t, srv.Close())
		time.Sleep(2 * time.Second) // a trickle notices it
	})
}

// reading answers with the size of the body, or refuses it.
func reading(w http.ResponseWriter, r *http.Request) {
	r, err := intake.Open(w, r, intake.Limits{Bytes: 10 << 20, Wait: wait})
	n := int64(0)
	if err == nil {
		n, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil {
		status, text := intake.Refusal(err)
		http.Error(w, text, status)
		return
	}
	_, _ = fmt.Fprint(w, n)
}

// ask sends the head of a request.
func ask(t *testing.T, c net.Conn, method string, length int, more ...string) {
	t.Helper()
	_, err := fmt.Fprintf(c, "%s / HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n%s\r\n", method, length, strings.Join(more, ""))
	require.NoError(t, err)
}

// answer reads an answer.
func answer(t *testing.T, answers *bufio.Reader) (status int, closes bool, body string) {
	t.Helper()
	res, err := http.ReadResponse(answers, nil)
	require.NoError(t, err)
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	return res.StatusCode, res.Close, strings.TrimSpace(string(text))
}

// trickle writes pieces of some bytes, one in each pause, until the connection ends.
func trickle(c net.Conn, size int, pause time.Duration) {
	for p := make([]byte, size); ; time.Sleep(pause) {
		if _, err := c.Write(p); err != nil {
			return
		}
	}
}

// TestSlowBodies checks when a body that comes slowly is given up.
func TestSlowBodies(t *testing.T) {
	for name, c := range map[string]struct {
		send func(c net.Conn)
		want time.Duration
	}{
		"nothing comes": {func(net.Conn) {}, wait},
		"it stops":      {func(c net.Conn) { _, _ = c.Write(make([]byte, 100)) }, wait},
		"it stops after a while": {func(c net.Conn) {
			time.Sleep(wait / 2)
			_, _ = c.Write(make([]byte, intake.Piece))
		}, wait + wait/2},
		"a byte a second":         {func(c net.Conn) { trickle(c, 1, time.Second) }, wait},
		"nearly enough":           {func(c net.Conn) { trickle(c, intake.Piece/62, time.Second) }, wait},
		"gzip that is unfinished": {func(c net.Conn) { _, _ = io.WriteString(c, gzipped("hello")[:14]) }, wait},
	} {
		t.Run(name, func(t *testing.T) {
			onPipe(t, reading, func(t *testing.T, conn net.Conn, answers *bufio.Reader) {
				began := time.Now()
				more := ""
				if strings.HasPrefix(name, "gzip") {
					more = "Content-Encoding: gzip\r\n"
				}
				ask(t, conn, "POST", 5<<20, more)
				go c.send(conn)
				status, closes, text := answer(t, answers)
				require.Equal(t, 408, status)
				require.True(t, closes)
				require.Equal(t, "the body came too slowly", text)
				require.InDelta(t, c.want, time.Since(began), float64(time.Second))
			})
		})
	}
}

// TestSteadyBodies checks that a large body on a slow line arrives, also if it takes hours
// and the line stops from time to time, and that the connection then stays of use.
func TestSteadyBodies(t *testing.T) {
	onPipe(t, reading, func(t *testing.T, c net.Conn, answers *bufio.Reader) {
		for range 2 {
			began := time.Now()
			ask(t, c, "POST", 5<<20)
			for range 5 << 20 / intake.Piece {
				_, err := c.Write(make([]byte, intake.Piece))
				require.NoError(t, err)
				time.Sleep(wait - time.Second)
			}
			status, closes, text := answer(t, answers)
			require.Equal(t, []any{200, false, "5242880"}, []any{status, closes, text})
			require.Greater(t, time.Since(began), 5*time.Hour)
			time.Sleep(time.Hour)
		}
	})
}

// TestBodiesThatNobodyReads checks that a client that announces a body and does not send it
// does not hold the server for ever, whatever the handler does.
func TestBodiesThatNobodyReads(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"opened": func(w http.ResponseWriter, r *http.Request) {
			_, _ = intake.Open(w, r, intake.Limits{Bytes: 10, Wait: wait})
			http.Error(w, "no", http.StatusForbidden)
		},
		"of another encoding": reading,
		"watched": func(w http.ResponseWriter, r *http.Request) {
			intake.Watch(w, r, wait)
			http.Error(w, "no", http.StatusForbidden)
		},
	} {
		t.Run(name, func(t *testing.T) {
			onPipe(t, handler, func(t *testing.T, c net.Conn, answers *bufio.Reader) {
				began := time.Now()
				ask(t, c, "GET", 1000, "Content-Encoding: br\r\n")
				go trickle(c, 1, time.Second)
				status, closes, _ := answer(t, answers)
				require.Contains(t, []int{403, 415}, status)
				require.True(t, closes)
				require.Equal(t, wait, time.Since(began))
			})
		})
	}
}

// TestAfterTheBody checks that the deadline of a body does not end what the handler does
// after it.
func TestAfterTheBody(t *testing.T) {
	for name, body := range map[string]string{"a body": "hello", "gzip": gzipped("hello"), "no body": ""} {
		t.Run(name, func(t *testing.T) {
			handler := func(w http.ResponseWriter, r *http.Request) {
				intake.Watch(w, r, wait)
				r, err := intake.Open(w, r, intake.Limits{Bytes: 10 << 10, Wait: wait})
				if err == nil {
					_, err = io.Copy(io.Discard, r.Body)
				}
				time.Sleep(time.Hour)
				_, _ = fmt.Fprint(w, err, r.Context().Err())
			}
			onPipe(t, handler, func(t *testing.T, c net.Conn, answers *bufio.Reader) {
				more := ""
				if name == "gzip" {
					more = "Content-Encoding: gzip\r\n"
				}
				for range 2 {
					ask(t, c, "POST", len(body), more)
					_, err := io.WriteString(c, body)
					require.NoError(t, err)
					status, closes, text := answer(t, answers)
					require.Equal(t, []any{200, false, "<nil> <nil>"}, []any{status, closes, text})
				}
			})
		})
	}
}

// TestSlowHandlers checks that the time in which the handler does not read is not the
// client's.
func TestSlowHandlers(t *testing.T) {
	handler := func(w http.ResponseWriter, r *http.Request) {
		r, err := intake.Open(w, r, intake.Limits{Bytes: 10 << 10, Wait: wait})
		for b := make([]byte, 1); err == nil; time.Sleep(wait) {
			_, err = r.Body.Read(b)
		}
		_, _ = fmt.Fprint(w, err)
	}
	onPipe(t, handler, func(t *testing.T, c net.Conn, answers *bufio.Reader) {
		ask(t, c, "POST", 100)
		_, err := c.Write(make([]byte, 100))
		require.NoError(t, err)
		_, _, text := answer(t, answers)
		require.Equal(t, "EOF", text)
	})
}
