package ws_test

import (
	"io"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// run publishes a short prompt of the client "odd".
func run(t *testing.T, hub *nodebus.Hub, id string) {
	t.Helper()
	for _, p := range []nodebus.Payload{
		nodebus.ExecutionStart{PromptID: id}, nodebus.ExecutionSuccess{PromptID: id}, nodebus.Executing{PromptID: id},
	} {
		require.NoError(t, hub.Publish(nodebus.Event{PromptID: id, To: "odd", Payload: p}))
	}
}

// TestClientWithoutCursorComesBack checks what a client is sent again, by how it left.
func TestClientWithoutCursorComesBack(t *testing.T) {
	for name, c := range map[string]struct {
		leave func(ping string) string // what the client sends before the line breaks
		again bool
	}{
		"it says nothing":      {func(string) string { return "" }, true},
		"it sends a message":   {func(string) string { return masked(0x81, `{"type":"x"}`) }, true},
		"it sends a ping":      {func(ping string) string { return masked(0x89, ping) }, true},
		"it sends other pongs": {func(string) string { return masked(0x8a, "") + masked(0x8a, "nb1") }, true},
		"it answers the ping":  {func(ping string) string { return masked(0x8a, ping) }, false},
		"it closes":            {func(string) string { return masked(0x88, "\x03\xe9") }, false},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, nil)
			client, r := handshake(t, s.URL, "")
			require.Contains(t, textOf(t, r), "status")
			run(t, s.hub, "p")
			require.Contains(t, textOf(t, r), "execution_start")
			ping := nextPing(t, client, r)
			require.Contains(t, textOf(t, r), "execution_success")
			require.Contains(t, textOf(t, r), `"node":null`)
			_, err := io.WriteString(client, c.leave(ping)+masked(0x89, "read?"))
			require.NoError(t, err)
			for { // until the server has read everything
				if op, data, err := frameOf(t, client, r); err != nil || op == 0x8a && string(data) == "read?" {
					break
				}
			}
			require.NoError(t, client.Close())

			for range 2 { // a connection that breaks without receipts changes nothing
				client, r = handshake(t, s.URL, "")
				require.Contains(t, textOf(t, r), "status")
				require.NoError(t, s.hub.Broadcast(note{1}))
				if c.again {
					require.Contains(t, textOf(t, r), "execution_start")
					require.Equal(t, ping, nextPing(t, client, r))
					require.Contains(t, textOf(t, r), "execution_success")
					require.Contains(t, textOf(t, r), `"node":null`)
				}
				require.Contains(t, textOf(t, r), `"n":1`)
				require.NoError(t, client.Close())
			}
		})
	}
}
