package ws_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// accepting accepts connections without a Handler, reads from them, and frees them after
// done is closed.
func accepting(t *testing.T, accepted chan<- *ws.Conn, done <-chan struct{}) http.Handler {
	return acceptingWith(t, accepted, done, func(c *ws.Conn) {
		for err := error(nil); err == nil; {
			_, _, err = c.Read()
		}
	})
}

// acceptingWith is accepting with a function that reads.
func acceptingWith(t *testing.T, accepted chan<- *ws.Conn, done <-chan struct{}, read func(*ws.Conn)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := ws.Accept(w, r, &ws.Options{PingInterval: -1})
		if err != nil {
			t.Error(err)
			return
		}
		accepted <- c
		read(c)
		<-done
		_ = c.Close(nil)
	})
}

// pair accepts one connection and returns both ends. Nobody reads at the server's end,
// unless the test does.
func pair(t *testing.T, secure bool) (*ws.Conn, *websocket.Conn) {
	accepted := make(chan *ws.Conn, 1)
	done := make(chan struct{})
	srv := httptest.NewUnstartedServer(acceptingWith(t, accepted, done, func(*ws.Conn) {}))
	opts := &websocket.DialOptions{}
	if secure {
		srv.StartTLS()
		opts.HTTPClient = srv.Client()
	} else {
		srv.Start()
	}
	client, _, err := websocket.Dial(t.Context(), srv.URL, opts)
	require.NoError(t, err)
	client.SetReadLimit(-1)
	t.Cleanup(func() {
		_ = client.CloseNow()
		close(done)
		srv.Close()
	})
	return <-accepted, client
}

func TestConform(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%t", secure), func(t *testing.T) {
			conform.Transport(t, func(t *testing.T) (nodebus.Transport, conform.Receiver) {
				server, client := pair(t, secure)
				return server, conform.Receiver{Receive: func() (nodebus.Frame, error) {
					typ, data, err := client.Read(context.Background())
					return nodebus.Frame{Binary: typ == websocket.MessageBinary, Data: data}, err
				}}
			})
		})
	}
}

func TestOnlySocketsAreTried(t *testing.T) {
	plain, _ := pair(t, false)
	_, err := plain.TryWrite(plain.AppendFrame(nil, nodebus.Frame{Data: []byte("x")}))
	require.NoError(t, err)
	secure, _ := pair(t, true)
	_, err = secure.TryWrite(secure.AppendFrame(nil, nodebus.Frame{Data: []byte("x")}))
	require.ErrorIs(t, err, errors.ErrUnsupported)
}

// handshake connects without a WebSocket library, so that the client can misbehave.
func handshake(t *testing.T, url string, early string) (net.Conn, *bufio.Reader) {
	addr := strings.TrimPrefix(url, "http://")
	c, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = c.Close() })
	return c, greet(t, c, addr, early)
}

// greet does a handshake. It sends early at once, without waiting for the handshake
// response.
func greet(t *testing.T, c net.Conn, addr, early string) *bufio.Reader {
	_, err := io.WriteString(c, "GET /?clientId=odd HTTP/1.1\r\nHost: "+addr+"\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"+early)
	require.NoError(t, err)
	r := bufio.NewReader(c)
	res, err := http.ReadResponse(r, nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 101, res.StatusCode)
	return r
}

// frameOf reads one frame from the server.
func frameOf(t *testing.T, c net.Conn, r *bufio.Reader) (op byte, data []byte, err error) {
	t.Helper()
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	return readFrame(r)
}

func readFrame(r *bufio.Reader) (op byte, data []byte, err error) {
	var h [2]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return 0, nil, err
	}
	n := int(h[1])
	switch h[1] {
	case 126:
		var b [2]byte
		_, err = io.ReadFull(r, b[:])
		n = int(b[0])<<8 | int(b[1])
	case 127:
		err = errors.New("unexpected length")
	}
	if err != nil {
		return 0, nil, err
	}
	data = make([]byte, n)
	_, err = io.ReadFull(r, data)
	return h[0], data, err
}

// masked returns a client's frame, masked with zeros.
func masked(op byte, data string) string {
	return string([]byte{op, 0x80 | byte(len(data)), 0, 0, 0, 0}) + data
}

func TestClientThatDoesNotWaitForTheAnswer(t *testing.T) {
	got := make(chan string, 1)
	s := serve(t, nil, &ws.Options{Receive: func(_ *nodebus.Session, data []byte, _ bool) { got <- string(data) }})
	handshake(t, s.URL, masked(0x81, "early"))
	require.Equal(t, "early", <-got)
}

func TestPingsAreAnsweredInTheMiddleOfTheStream(t *testing.T) {
	s := serve(t, nil, nil)
	c, r := handshake(t, s.URL, "")
	go func() {
		for n := range 200 {
			_ = s.hub.Broadcast(note{n})
			if n%10 == 0 {
				_, _ = io.WriteString(c, masked(0x89, "are you there"))
			}
		}
	}()
	pongs, notes := 0, 0
	for pongs < 20 || notes < 200 {
		op, data, err := frameOf(t, c, r)
		require.NoError(t, err)
		switch {
		case op == 0x8a:
			require.Equal(t, "are you there", string(data))
			pongs++
		case strings.Contains(string(data), "test.note"):
			require.Equal(t, fmt.Sprintf(`{"type":"test.note","data":{"n":%d}}`, notes), string(data))
			notes++
		}
	}
}

// TestStalledClientHarmsNobody checks that other clients, in any shard, receive
// everything while a client does not read. When the client reads, nothing is missing up
// to the end of its connection.
func TestStalledClientHarmsNobody(t *testing.T) {
	// On a slow machine, the events take longer than the default WriteTimeout.
	s := serve(t, &nodebus.HubOptions{QueueLen: 50}, &ws.Options{WriteTimeout: time.Hour})
	live := dial(t, s.URL+"?clientId=live", nil)
	read(t, live)
	var stalled []*bufio.Reader
	for range 4 {
		_, r := handshake(t, s.URL, "")
		stalled = append(stalled, r)
	}
	pad := strings.Repeat("x", 64<<10)
	const events = 300 // 19 MB: more than the system buffers for a client that does not read
	for n := range events {
		require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "x", Data: []any{n, pad}}))
		require.Contains(t, read(t, live)[:40], fmt.Sprintf(`"data":[%d,`, n))
	}
	for _, r := range stalled {
		require.Contains(t, textOf(t, r), "status")
		for n := range events {
			if _, err := r.Peek(10); err != nil {
				break // it took too long
			}
			require.Contains(t, textOf(t, r)[:40], fmt.Sprintf(`"data":[%d,`, n))
		}
	}
}

func TestWriteTimeout(t *testing.T) {
	s := serve(t, nil, &ws.Options{WriteTimeout: 50 * time.Millisecond, PingInterval: -1})
	c, _ := handshake(t, s.URL, "")
	for range 10 {
		require.NoError(t, s.hub.Broadcast(nodebus.Custom{Type: "x", Data: strings.Repeat("x", 1<<20)}))
	}
	require.NoError(t, c.SetReadDeadline(time.Now().Add(time.Minute)))
	// Nothing is read before the connection is closed, so wait for the close by writing.
	for {
		if _, err := io.WriteString(c, masked(0x81, "are you there")); err != nil {
			break
		}
	}
}

// dialTo connects a client to a server, also with TLS.
func dialTo(t *testing.T, srv *httptest.Server) *websocket.Conn {
	c, _, err := websocket.Dial(t.Context(), srv.URL, &websocket.DialOptions{HTTPClient: srv.Client()})
	require.NoError(t, err)
	c.SetReadLimit(-1)
	t.Cleanup(func() { _ = c.CloseNow() })
	return c
}

func TestSecureServer(t *testing.T) {
	hub := nodebus.NewHub(nil)
	srv := httptest.NewTLSServer(ws.New(hub, nil))
	c, _, err := websocket.Dial(t.Context(), srv.URL, &websocket.DialOptions{HTTPClient: &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}},
	}})
	require.NoError(t, err)
	read(t, c)
	require.NoError(t, hub.Broadcast(note{1}))
	require.Contains(t, read(t, c), "test.note")
	require.NoError(t, hub.Close())
	_, _, err = c.Read(t.Context())
	require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
	srv.Close()
}
