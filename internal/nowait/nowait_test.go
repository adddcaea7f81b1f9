package nowait_test

import (
	"crypto/tls"
	"io"
	"net"
	"testing"

	"github.com/nodebus/nodebus/internal/nowait"
	"github.com/stretchr/testify/require"
)

// TestWriterFillsTheSocketAndReturns writes to a client that does not read, until the
// socket is full, and then lets the client read everything.
func TestWriterFillsTheSocketAndReturns(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	defer client.Close()
	server, err := l.Accept()
	require.NoError(t, err)
	w := nowait.Of(server)
	require.NotNil(t, w)
	total := 0
	for n := 1; n > 0; total += n {
		n, err = w.Write(make([]byte, 1<<20))
		require.NoError(t, err)
	}
	require.Positive(t, total)
	go func() { _ = server.(*net.TCPConn).CloseWrite() }()
	read, err := io.Copy(io.Discard, client)
	require.NoError(t, err)
	require.EqualValues(t, total, read)
	require.NoError(t, server.Close())
	_, err = w.Write([]byte("late"))
	require.ErrorIs(t, err, net.ErrClosed)
}

func TestNoWriterForOtherConnections(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	require.Nil(t, nowait.Of(a))
	require.Nil(t, nowait.Of(tls.Server(a, &tls.Config{})))
}
