package ws_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// line reads from a connection as a slow line does: some bytes, then a pause.
type line struct {
	net.Conn
	bytes int
	every time.Duration
}

func (l *line) Read(p []byte) (int, error) {
	time.Sleep(l.every)
	return l.Conn.Read(p[:min(len(p), l.bytes)])
}

// textOf reads a text frame of any size.
func textOf(t *testing.T, r *bufio.Reader) string {
	t.Helper()
	b, err := r.Peek(10)
	require.NoError(t, err)
	require.Equal(t, byte(0x81), b[0])
	head, n := 2, int(b[1])
	switch n {
	case 126:
		head, n = 4, int(b[2])<<8|int(b[3])
	case 127:
		head, n = 10, int(b[6])<<24|int(b[7])<<16|int(b[8])<<8|int(b[9])
	}
	_, err = r.Discard(head)
	require.NoError(t, err)
	data := make([]byte, n)
	_, err = io.ReadFull(r, data)
	require.NoError(t, err)
	return string(data)
}

// TestSlowLines checks that a client on a slow line, which takes bytes all the time,
// gets everything on its first connection.
func TestSlowLines(t *testing.T) {
	for name, c := range map[string]struct {
		bytes, messages, size int
	}{
		"one message of 12 MiB at 400 kB/s": {40_000, 1, 12 << 20},
		"18 MB of replay at 300 kB/s":       {30_000, 18, 1_000_000},
		"a thousand bytes a second":         {100, 3, 30_000},
	} {
		t.Run(name, func(t *testing.T) {
			onPipes(t, handler(nil), func(t *testing.T, n *pipes) {
				pad := strings.Repeat("x", c.size)
				for range c.messages {
					require.NoError(t, n.hub.Publish(nodebus.Event{To: "odd", PromptID: "p", Payload: nodebus.Custom{Type: "x", Data: pad}}))
				}
				there, err := n.dial(t.Context(), "", "")
				require.NoError(t, err)
				defer there.Close()
				slow := &line{there, c.bytes, 100 * time.Millisecond}
				greet(t, slow, "localhost", "")
				r := bufio.NewReader(slow)
				require.Contains(t, textOf(t, r), "status")
				for range c.messages {
					require.Len(t, textOf(t, r), len(`{"type":"x","data":""}`)+c.size)
				}
			})
		})
	}
}

// accepted runs a server on pipes whose connections the test uses directly.
func accepted(t *testing.T, opts *ws.Options, test func(t *testing.T, c *ws.Conn, client net.Conn)) {
	var conns chan *ws.Conn // channels must be made in the bubble
	var done chan struct{}
	serve := func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, opts)
		if err != nil {
			t.Error(err)
			return
		}
		conns <- c
		<-done
		_ = c.Close(nil)
	}
	onPipes(t, func(*nodebus.Hub) http.Handler { return http.HandlerFunc(serve) }, func(t *testing.T, n *pipes) {
		conns, done = make(chan *ws.Conn, 1), make(chan struct{})
		client, _ := n.knock(t)
		test(t, <-conns, client)
		close(done)
		<-n.left
	})
}

// TestClientThatTakesNothing checks that WriteTimeout is the time without any progress.
func TestClientThatTakesNothing(t *testing.T) {
	for name, c := range map[string]struct {
		take   int           // bytes that the client reads, one read each two seconds
		system time.Duration // how long the system says that the client takes bytes; 0: it says nothing; negative: it says that the client takes none
		want   time.Duration
	}{
		"it takes nothing":                   {0, 0, 10 * time.Second},
		"it takes a while and then nothing":  {5 * 8 << 10, 0, 20 * time.Second},
		"the system says that it takes":      {0, 60 * time.Second, 70 * time.Second},
		"the system says that it takes none": {0, -1, 10 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			opts := &ws.Options{PingInterval: -1}
			var began time.Time
			opts.SetLine(ws.Line{Queued: func() (int, bool) {
				return -int(min(time.Since(began), c.system)), c.system != 0
			}})
			accepted(t, opts, func(t *testing.T, conn *ws.Conn, client net.Conn) {
				began = time.Now()
				go func() {
					for left := c.take; left > 0; left -= 8 << 10 {
						time.Sleep(2 * time.Second)
						_, _ = io.CopyN(io.Discard, client, 8<<10)
					}
				}()
				err := conn.Write(t.Context(), []nodebus.Frame{{Data: make([]byte, 1<<20)}})
				require.ErrorIs(t, err, nodebus.ErrSlow)
				require.Equal(t, c.want, time.Since(began).Round(time.Second))
				_, err = conn.TryWrite([]byte{0x81, 0})
				require.ErrorIs(t, err, nodebus.ErrSlow, "nothing may follow half a frame")
			})
		})
	}
}

// TestSmallBuffers checks that everything arrives over sockets that hold little.
func TestSmallBuffers(t *testing.T) {
	for _, secure := range []bool{false, true} {
		hub := nodebus.NewHub(nil)
		srv := httptest.NewUnstartedServer(ws.New(hub, nil))
		srv.Listener = tight{srv.Listener}
		if secure {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		c := dialTo(t, srv)
		read(t, c)
		pad := strings.Repeat("x", 300_000)
		go func() {
			for range 10 {
				_ = hub.Broadcast(nodebus.Custom{Type: "x", Data: pad})
			}
		}()
		for range 10 {
			require.Equal(t, `{"type":"x","data":"`+pad+`"}`, read(t, c))
		}
		require.NoError(t, hub.Close())
		srv.Close()
	}
}

// tight gives connections small buffers.
type tight struct{ net.Listener }

func (l tight) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil {
		err = errors.Join(c.(*net.TCPConn).SetWriteBuffer(4<<10), c.(*net.TCPConn).SetReadBuffer(4<<10))
	}
	return c, err
}
