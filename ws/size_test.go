package ws_test

import (
	"bytes"
	"io"
	"net"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestWriteFramesOfAllSizes checks that frames arrive that just fit into the buffer of a
// write, or just do not, also after an outcome.
func TestWriteFramesOfAllSizes(t *testing.T) {
	accepted(t, &ws.Options{PingInterval: -1}, func(t *testing.T, conn *ws.Conn, client net.Conn) {
		const buffer = 64 << 10
		for size := buffer - 50; size <= buffer+10; size++ {
			for _, outcome := range []bool{false, true} {
				data := bytes.Repeat([]byte{'x'}, size)
				f := nodebus.Frame{ID: 1, Outcome: outcome, Data: data}
				want := conn.AppendFrame(nil, f)
				failed := make(chan error, 1)
				go func() {
					err := nodebus.Protect(func() error { return conn.Write(t.Context(), []nodebus.Frame{f}) })
					if err != nil {
						_ = conn.Close(nil) // so that the client reads no further
					}
					failed <- err
				}()
				got := make([]byte, len(want))
				_, err := io.ReadFull(client, got)
				require.NoError(t, <-failed, "%d bytes, outcome %t", size, outcome)
				require.NoError(t, err)
				require.True(t, bytes.Equal(want, got), "%d bytes, outcome %t", size, outcome)
			}
		}
	})
}
