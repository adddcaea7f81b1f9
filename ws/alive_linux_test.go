package ws_test

import (
	"io"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestProgramThatDoesNotRead checks with real sockets that a client whose program reads
// nothing, and so answers no pings, keeps its connection: its system acknowledges them.
func TestProgramThatDoesNotRead(t *testing.T) {
	for _, secure := range []bool{false, true} {
		opts := &ws.Options{PingInterval: 20 * time.Millisecond}
		asked := make(chan bool, 100)
		opts.SetLine(ws.Line{Said: func(_ bool, _ time.Duration, ok bool) {
			select {
			case asked <- ok:
			default:
			}
		}})
		hub := nodebus.NewHub(nil)
		srv := httptest.NewUnstartedServer(ws.New(hub, opts))
		if secure {
			srv.StartTLS()
		} else {
			srv.Start()
		}
		c := dialTo(t, srv)
		for range 20 { // the client is silent for too long, and the system is asked
			require.True(t, <-asked, "the system knows sockets, also below TLS")
		}
		require.NoError(t, hub.Broadcast(note{1}))
		require.Contains(t, read(t, c), "status")
		require.Contains(t, read(t, c), `"n":1`)
		require.NoError(t, hub.Close())
		_, _, err := c.Read(t.Context())
		require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(err))
		srv.Close()
	}
}

// TestWhatTheSystemSays checks the questions to the system with a client that has and
// has not room for what it is sent.
func TestWhatTheSystemSays(t *testing.T) {
	conn, client := pair(t, false)
	_, _, ok := conn.Acknowledged()
	require.True(t, ok)
	n, ok := conn.Queued()
	require.True(t, ok)
	require.Zero(t, n)
	frame := conn.AppendFrame(nil, nodebus.Frame{Data: make([]byte, 1<<20)})
	all := true
	for all {
		var err error
		all, err = conn.TryWrite(frame)
		require.NoError(t, err)
	}
	n, ok = conn.Queued()
	require.True(t, ok)
	require.Positive(t, n, "the client does not read, so the system holds something")
	go func() {
		for {
			if _, _, err := client.Read(t.Context()); err != nil {
				return
			}
		}
	}()
	require.NoError(t, conn.Write(t.Context(), nil))
	for n > 0 { // until the client's system has everything
		n, ok = conn.Queued()
		require.True(t, ok)
	}
	unacked, _, ok := conn.Acknowledged()
	require.True(t, ok)
	require.False(t, unacked)
	require.NoError(t, conn.Close(io.EOF))
}
