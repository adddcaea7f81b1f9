package ws_test

import (
	"net/http"
	"slices"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

// ask sends a message to the hub and returns the messages up to the answer.
func ask(t *testing.T, c *websocket.Conn, message string) (answer string) {
	t.Helper()
	require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte(message)))
	return read(t, c)
}

// tell publishes an event of a prompt of somebody else.
func tell(t *testing.T, hub *nodebus.Hub, prompt string, n int) {
	t.Helper()
	require.NoError(t, hub.Publish(nodebus.Event{PromptID: prompt, To: "carol", Payload: note{n}}))
}

// TestWatchMessages checks that a client can follow prompts while it is connected, also
// if the program does not receive messages.
func TestWatchMessages(t *testing.T) {
	var got []string
	for name, receive := range map[string]func(*nodebus.Session, []byte, bool){
		"without Receive": nil,
		"with Receive":    func(_ *nodebus.Session, data []byte, _ bool) { got = append(got, string(data)) },
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, nil, &ws.Options{Receive: receive})
			c := dial(t, s.URL, nil)
			read(t, c)
			tell(t, s.hub, "p1", 1)
			require.NoError(t, c.Write(t.Context(), websocket.MessageText, []byte(`{"type":"nodebus.watch","data":{"prompt_id":"p1"}}`)))
			require.Contains(t, read(t, c), `"n":1`, "what was kept comes before the answer")
			require.JSONEq(t, `{"type":"nodebus.watching","data":{"prompt_id":"p1","watching":true}}`, read(t, c))
			tell(t, s.hub, "p2", 2)
			tell(t, s.hub, "p1", 3)
			require.Contains(t, read(t, c), `"n":3`)
			require.JSONEq(t, `{"type":"nodebus.watching","data":{"prompt_id":"p1","watching":false}}`,
				ask(t, c, `{"type":"nodebus.unwatch","data":{"prompt_id":"p1"}}`))
			tell(t, s.hub, "p1", 4)
			require.NoError(t, s.hub.Broadcast(note{5}))
			require.Contains(t, read(t, c), `"n":5`)
			require.Contains(t, ask(t, c, `{"type":"nodebus.watch","data":{}}`), `"error"`)
		})
	}
	require.Empty(t, got, "the messages are for the hub")
}

// TestWatchIsGranted checks which prompts a client may watch, by the query and by
// messages.
func TestWatchIsGranted(t *testing.T) {
	may := func(ids ...string) func(string) bool {
		return func(id string) bool { return slices.Contains(ids, id) }
	}
	for name, c := range map[string]struct {
		grant     *nodebus.Grant // nil: without Authorize
		query     string
		follows   []string // of p1 to p4
		watchable []string
	}{
		"no Authorize":              {nil, "?watch=p1&watch=p3&watch=p1", []string{"p1", "p3"}, []string{"p1", "p2", "p3", "p4"}},
		"no rights":                 {&nodebus.Grant{}, "?watch=p1", nil, nil},
		"Watch":                     {&nodebus.Grant{Watch: []string{"p1", "p2"}}, "?watch=p2&watch=p3", []string{"p1", "p2"}, []string{"p1", "p2"}},
		"WatchAll":                  {&nodebus.Grant{WatchAll: true}, "?watch=p2", []string{"p1", "p2", "p3", "p4"}, []string{"p1", "p2", "p3", "p4"}},
		"May":                       {&nodebus.Grant{May: may("p2", "p3")}, "?watch=p1&watch=p2", []string{"p2"}, []string{"p2", "p3"}},
		"Watch and May":             {&nodebus.Grant{Watch: []string{"p1"}, May: may("p2")}, "?watch=p2&watch=p4", []string{"p1", "p2"}, []string{"p1", "p2"}},
		"May that panics":           {&nodebus.Grant{May: func(string) bool { panic("no") }}, "?watch=p1", nil, nil},
		"Watch without being asked": {&nodebus.Grant{Watch: []string{"p4"}}, "", []string{"p4"}, []string{"p4"}},
	} {
		t.Run(name, func(t *testing.T) {
			opts := &ws.Options{}
			if c.grant != nil {
				opts.Authorize = func(*http.Request) (nodebus.Grant, error) { return *c.grant, nil }
			}
			s := serve(t, nil, opts)
			conn := dial(t, s.URL+c.query, nil)
			read(t, conn)
			all := []string{"p1", "p2", "p3", "p4"}
			for i, p := range all {
				tell(t, s.hub, p, i)
			}
			require.NoError(t, s.hub.Broadcast(note{-1}))
			for i, p := range all {
				if slices.Contains(c.follows, p) {
					require.Equal(t, `{"type":"test.note","data":{"n":`+string(rune('0'+i))+`}}`, read(t, conn))
				}
			}
			require.Contains(t, read(t, conn), `"n":-1`)
			for _, p := range all {
				require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"nodebus.watch","data":{"prompt_id":"`+p+`"}}`)))
				answer := read(t, conn)
				if slices.Contains(c.watchable, p) {
					for answer[:len(`{"type":"test.note"`)] == `{"type":"test.note"` {
						answer = read(t, conn)
					}
					require.JSONEq(t, `{"type":"nodebus.watching","data":{"prompt_id":"`+p+`","watching":true}}`, answer)
				} else {
					require.Contains(t, answer, `"watching":false,"error":"nodebus: the client may not watch this prompt`)
				}
			}
		})
	}
}
