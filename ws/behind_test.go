package ws_test

import (
	"encoding/binary"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// TestStalledClientIsToldWhy checks that a client without a cursor that reads nothing for
// a while, and has then lost events, receives whole frames and then a close frame that
// says why.
func TestStalledClientIsToldWhy(t *testing.T) {
	var hub *nodebus.Hub
	serve := func(*nodebus.Hub) http.Handler {
		hub = nodebus.NewHub(&nodebus.HubOptions{QueueLen: 5, KeepLen: 5})
		return ws.New(hub, nil)
	}
	onPipes(t, serve, func(t *testing.T, n *pipes) {
		_, r := n.knock(t)
		op, _, err := readFrame(r)
		require.NoError(t, err)
		require.Equal(t, byte(0x81), op, "the greeting")
		begin := time.Now()
		for i := range 100 {
			require.NoError(t, hub.Broadcast(nodebus.Custom{Type: "x", Data: i}))
			synctest.Wait()
		}
		require.Zero(t, time.Since(begin), "a publish has waited for the client")
		whole := 0
		var data []byte
		for op, data, err = readFrame(r); op == 0x81; op, data, err = readFrame(r) {
			whole++
		}
		require.NoError(t, err)
		require.Equal(t, byte(0x88), op)
		require.Equal(t, uint16(1013), binary.BigEndian.Uint16(data))
		require.Contains(t, string(data[2:]), "too far behind")
		require.Positive(t, whole)
		require.Less(t, whole, 100)
		require.NoError(t, hub.Close())
	})
}
