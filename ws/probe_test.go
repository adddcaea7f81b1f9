package ws_test

import (
	"io"
	"net"
	"net/http/httptest"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestProbe checks that a client gets only one ping until it answers, even after many
// probes.
func TestProbe(t *testing.T) {
	accepted := make(chan *ws.Conn, 1)
	done := make(chan struct{})
	defer close(done)
	srv := httptest.NewServer(accepting(t, accepted, done))
	defer srv.Close()
	c, r := handshake(t, srv.URL, "")
	conn := <-accepted
	const many = 100
	heard := make(chan int, many)
	for range 2 {
		for n := range many {
			conn.Probe(func() { heard <- n })
		}
		op, _, err := frameOf(t, c, r)
		require.NoError(t, err)
		require.Equal(t, byte(0x89), op)
		require.Empty(t, heard)
		_, err = io.WriteString(c, masked(0x8a, ""))
		require.NoError(t, err)
		for n := range many {
			require.Equal(t, n, <-heard)
		}
	}
	require.NoError(t, conn.Close(nodebus.ErrSlow))
	op, _, err := frameOf(t, c, r)
	require.NoError(t, err)
	require.Equal(t, byte(0x88), op, "there was no second ping")
	require.Empty(t, heard)
}

// TestProbeDuringAWrite checks that the ping of a probe is sent after a write that waits
// for room.
func TestProbeDuringAWrite(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		there, here := net.Pipe()
		conn := ws.NewConn(here, &ws.Options{PingInterval: -1})
		read, written := make(chan error, 1), make(chan error, 1)
		go func() {
			_, _, err := conn.Read()
			read <- err
		}()
		go func() { written <- conn.Write(t.Context(), []nodebus.Frame{{Data: []byte("{}")}}) }()
		synctest.Wait() // the write waits for the client
		heard := false
		conn.Probe(func() { heard = true })
		wire := make([]byte, 6)
		_, err := io.ReadFull(there, wire)
		require.NoError(t, err)
		require.Equal(t, "\x81\x02{}\x89\x00", string(wire))
		require.NoError(t, <-written)
		_, err = io.WriteString(there, masked(0x8a, ""))
		require.NoError(t, err)
		require.NoError(t, there.Close())
		require.Error(t, <-read)
		require.True(t, heard)
	})
}
