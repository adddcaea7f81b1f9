package ws_test

import (
	"io"
	"net/http/httptest"
	"testing"

	"github.com/nodebus/nodebus"
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
