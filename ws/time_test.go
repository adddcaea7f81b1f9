package ws_test

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// pipes is a network without sockets, so that it uses the fake time of a synctest
// bubble. It also implements net.Listener.
type pipes struct {
	hub   *nodebus.Hub
	conns chan net.Conn
	ended chan struct{}
	left  chan struct{}           // receives when the server has closed a connection
	wrap  func(net.Conn) net.Conn // wraps the server's end, if not nil
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
	if n.wrap != nil {
		here = n.wrap(here)
	}
	n.conns <- &leaving{Conn: here, left: n.left}
	return there, nil
}

// leaving reports when the server has closed its end.
type leaving struct {
	net.Conn
	once sync.Once
	left chan struct{}
}

func (c *leaving) Close() error {
	defer c.once.Do(func() { c.left <- struct{}{} })
	return c.Conn.Close()
}

// onPipes runs a test with a server on pipes, in a synctest bubble.
func onPipes(t *testing.T, serve func(hub *nodebus.Hub) http.Handler, test func(t *testing.T, n *pipes)) {
	bubble.Test(t, func(t *testing.T) {
		n := &pipes{hub: nodebus.NewHub(nil), conns: make(chan net.Conn), ended: make(chan struct{}), left: make(chan struct{}, 1)}
		srv := &http.Server{Handler: serve(n.hub)}
		go func() { _ = srv.Serve(n) }()
		test(t, n)
		require.NoError(t, n.hub.Close())
		require.NoError(t, srv.Close())
	})
}

func handler(opts *ws.Options) func(*nodebus.Hub) http.Handler {
	return func(hub *nodebus.Hub) http.Handler { return ws.New(hub, opts) }
}

// knock is like handshake, but on pipes.
func (n *pipes) knock(t *testing.T) (net.Conn, *bufio.Reader) {
	c, err := n.dial(t.Context(), "", "")
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c, greet(t, c, "localhost", "")
}

func TestSilentClientIsPingedAndThenGone(t *testing.T) {
	onPipes(t, handler(&ws.Options{PingInterval: 20 * time.Second}), func(t *testing.T, n *pipes) {
		began := time.Now()
		_, r := n.knock(t)
		var pings []time.Duration
		for {
			op, _, err := readFrame(r)
			if err != nil {
				require.ErrorIs(t, err, io.EOF)
				break
			}
			if op == 0x89 {
				pings = append(pings, time.Since(began))
			}
		}
		<-n.left
		require.Equal(t, []time.Duration{20 * time.Second, 40 * time.Second}, pings)
		require.Equal(t, 50*time.Second, time.Since(began))
	})
}

func TestClientThatAnswersPingsStays(t *testing.T) {
	onPipes(t, handler(&ws.Options{PingInterval: 10 * time.Second}), func(t *testing.T, n *pipes) {
		transport := &http.Transport{DialContext: n.dial}
		c, _, err := websocket.Dial(t.Context(), "http://localhost", &websocket.DialOptions{HTTPClient: &http.Client{Transport: transport}})
		require.NoError(t, err)
		got := make(chan string, 10)
		go func() { // the client must read to answer pings
			defer close(got)
			for {
				_, data, err := c.Read(context.Background())
				if err != nil {
					return
				}
				got <- string(data)
			}
		}()
		require.Contains(t, <-got, "status")
		time.Sleep(time.Hour)
		require.Empty(t, n.left)
		go func() { _ = n.hub.Broadcast(note{1}) }()
		require.Contains(t, <-got, "test.note")
		require.NoError(t, c.CloseNow())
		<-n.left
		<-got
	})
}

// TestEveryWaitHasAnEnd checks that the server ends every connection in time, no matter
// what the client fails to do.
func TestEveryWaitHasAnEnd(t *testing.T) {
	for name, c := range map[string]struct {
		client func(t *testing.T, hub *nodebus.Hub, c net.Conn, r *bufio.Reader)
		want   time.Duration
	}{
		"it does not read": {func(*testing.T, *nodebus.Hub, net.Conn, *bufio.Reader) {}, 7 * time.Second},
		"it does not answer the close frame": {func(t *testing.T, hub *nodebus.Hub, c net.Conn, r *bufio.Reader) {
			_, _, err := readFrame(r) // the status
			require.NoError(t, err)
			go func() { _ = hub.Close() }()
			op, _, err := readFrame(r)
			require.NoError(t, err)
			require.EqualValues(t, 0x88, op)
		}, time.Second},
		"it does not read the close frame": {func(t *testing.T, hub *nodebus.Hub, c net.Conn, r *bufio.Reader) {
			_, _, err := readFrame(r)
			require.NoError(t, err)
			go func() { _ = hub.Close() }()
		}, time.Second},
		"it does not read the answers to its pings": {func(t *testing.T, _ *nodebus.Hub, c net.Conn, r *bufio.Reader) {
			_, _, err := readFrame(r)
			require.NoError(t, err)
			_, err = io.WriteString(c, masked(0x89, "are you there"))
			require.NoError(t, err)
		}, 7 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			onPipes(t, handler(&ws.Options{WriteTimeout: 7 * time.Second, PingInterval: -1}), func(t *testing.T, n *pipes) {
				conn, r := n.knock(t)
				began := time.Now()
				c.client(t, n.hub, conn, r)
				<-n.left
				require.Equal(t, c.want, time.Since(began))
			})
		})
	}
}

// pinged is a connection on which the write of a ping blocks until released is closed.
// Writes never fail, so every ping is counted.
type pinged struct {
	net.Conn
	pings    atomic.Int32
	begun    chan struct{}
	released chan struct{}
}

func (c *pinged) SetWriteDeadline(time.Time) error { return nil }

func (c *pinged) Write(p []byte) (int, error) {
	if p[0] != 0x89 {
		return c.Conn.Write(p)
	}
	if c.pings.Add(1) == 1 {
		close(c.begun)
	}
	<-c.released
	return len(p), nil
}

func TestCloseEndsPingsEvenOneThatIsBeingSent(t *testing.T) {
	var slow *pinged
	serve := func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, &ws.Options{PingInterval: time.Minute})
		if err != nil {
			t.Error(err)
			return
		}
		<-slow.begun
		_ = c.Close(nil)
		close(slow.released)
	}
	onPipes(t, func(*nodebus.Hub) http.Handler { return http.HandlerFunc(serve) }, func(t *testing.T, n *pipes) {
		n.wrap = func(c net.Conn) net.Conn {
			slow = &pinged{Conn: c, begun: make(chan struct{}), released: make(chan struct{})}
			return slow
		}
		n.knock(t)
		<-n.left
		time.Sleep(time.Hour)
		require.EqualValues(t, 1, slow.pings.Load())
	})
}

func TestPingsMayBeginAtOnce(t *testing.T) {
	done := make(chan error)
	srv := http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, &ws.Options{PingInterval: 1})
		if err == nil {
			_ = c.Close(nil)
		}
		done <- err
	})}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = srv.Serve(l) }()
	for range 100 {
		c, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		greet(t, c, l.Addr().String(), "")
		require.NoError(t, <-done)
		require.NoError(t, c.Close())
	}
	require.NoError(t, srv.Close())
}
