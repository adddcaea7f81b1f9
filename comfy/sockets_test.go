package comfy_test

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// TestSeveralSocketsOfOneClient: all sockets of a client stay and receive everything. The
// end of a socket, and requests that are no handshakes, do not affect the others.
func TestSeveralSocketsOfOneClient(t *testing.T) {
	h := newHost(t, nil)
	a, b := h.connect("me"), h.connect("me")
	a.next()
	b.next()
	for range 3 {
		h.send("GET", "/ws?clientId=me", "")
		h.send("GET", "/ws?clientId=me", "", "Upgrade", "websocket", "Connection", "Upgrade")
		h.connect("me").close()
	}
	h.submit("me", quick)
	for _, s := range []*socket{a, b} { // the hub may replace status and progress_state, so the sockets can differ in these
		require.Equal(t, allEvents, without(s.until("executing <nil>"), "status", "progress_state"))
	}
	a.close()
	h.engine.Free()
	h.submit("me", quick)
	require.Equal(t, allEvents, without(b.until("executing <nil>"), "status", "progress_state"))
}

// TestFlagsAreOfOneSocket: the answer to feature flags goes to the socket that sent them,
// and only this socket changes the form of its previews.
func TestFlagsAreOfOneSocket(t *testing.T) {
	h := newHost(t, nil)
	a, b := h.connect("me"), h.connect("me")
	a.next()
	b.next()
	a.say(`{"type":"feature_flags","data":{"supports_preview_metadata":true}}`)
	require.Equal(t, "feature_flags", a.next().Type)
	told(t, h.hub, nodebus.ExecutionStart{PromptID: "run"}, previewOf("1", 50))
	require.Equal(t, []string{"execution_start", "binary 4"}, a.until("binary 4"))
	require.Equal(t, []string{"execution_start", "binary 1"}, b.until("binary 1"))
}

// TestSince: a client with a cursor receives exactly the events that it missed, also if
// its prompt runs.
func TestSince(t *testing.T) {
	h := newHost(t, nil)
	s := h.dial("clientId=me&since=", nil)
	m := s.next()
	require.NotEmpty(t, m.Cursor, "who asks for cursors gets them")
	id := h.submit("me", `{"1":{"class_type":"Wait","inputs":{"name":"a","words":"one two three"}}}`)
	for m.short() != "spoken two" {
		m = s.next()
	}
	require.Equal(t, id, m.PromptID)
	require.NotZero(t, m.Time)
	s.close()
	s.closed()

	s = h.dial("clientId=me&since="+m.Cursor, nil)
	hello := s.next()
	require.Equal(t, "status 1", hello.short())
	require.Equal(t, m.Cursor, hello.Cursor)
	require.Equal(t, "spoken three", s.next().short(), "no greeting names the node again")
	s.close()
	h.gate.open("a")
	h.ended(id)

	s = h.dial("clientId=me&since="+m.Cursor, nil)
	require.Equal(t, "status 0", s.next().short())
	require.Equal(t, []string{"spoken three", "executed 1", "execution_success", "executing <nil>"},
		without(s.until("executing <nil>"), "progress_state", "status"))
}

// TestSinceOfAnotherLife: a client whose cursor is of another life receives a gap, and
// what is kept.
func TestSinceOfAnotherLife(t *testing.T) {
	h := newHost(t, nil)
	h.ended(h.submit("me", quick))
	for _, cursor := range []string{"7", "otherlife-3", "otherlife-999999"} {
		s := h.dial("clientId=me&since="+cursor, nil)
		hello := s.next()
		require.Equal(t, "status 0", hello.short())
		require.True(t, strings.HasSuffix(hello.Cursor, cursor), "until the gap, the client's own cursor counts")
		gap := s.next()
		require.Equal(t, "nodebus.gap", gap.Type)
		require.EqualValues(t, 0, gap.Data["since"])
		require.True(t, strings.HasPrefix(gap.Cursor, h.hub.Epoch()+"-"))
		require.Equal(t, allEvents, without(s.until("executing <nil>"), "progress_state", "status"))
	}
}

// TestBadQueries: a query that is not valid is refused with a reason.
func TestBadQueries(t *testing.T) {
	h := newHost(t, nil)
	many := func(n int, name func(int) string) string {
		q := url.Values{}
		for i := range n {
			q.Add("watch", name(i))
		}
		return q.Encode()
	}
	each := func(i int) string { return fmt.Sprint(i) }
	for query, status := range map[string]int{
		"since=":                        101,
		"since=5":                       101,
		"since=" + h.hub.Epoch() + "-5": 101,
		"since=x":                       400,
		"since=a-b":                     400,
		"since=a_b-5":                   400,
		"since=" + strings.Repeat("a", 80) + "-5":     400,
		"clientId=" + strings.Repeat("x", 512):        101,
		"clientId=" + strings.Repeat("x", 513):        400,
		"watch=" + strings.Repeat("x", 512):           101,
		"watch=" + strings.Repeat("x", 513):           400,
		many(256, each):                               101,
		many(257, each):                               400,
		many(9990, func(int) string { return "one" }): 400,
	} {
		_, res, err := websocket.Dial(t.Context(), h.url+"/ws?"+query, nil)
		require.Equal(t, status, res.StatusCode, query)
		require.Equal(t, status != 101, err != nil)
	}
	require.Contains(t, h.send("GET", "/ws?since=x", "", "Upgrade", "websocket").body, "is not a cursor")
}

func TestWatch(t *testing.T) {
	h := newHost(t, nil)
	id := h.submit("me", waitFor("a"))
	watcher, stranger := h.dial("clientId=w&watch=&watch="+id+"&watch="+id, nil), h.connect("s")
	watcher.next()
	stranger.next()
	h.gate.open("a")
	require.Equal(t, allEvents, without(watcher.until("executing <nil>"), "status", "progress_state"))
	for _, m := range stranger.until("status 0") {
		require.Contains(t, m, "status", "of the prompts of others only the count is told")
	}
}

// TestWatchOnAnOpenSocket: a client follows and leaves a prompt with messages. They are
// not the client's first message: feature flags may come later.
func TestWatchOnAnOpenSocket(t *testing.T) {
	h := newHost(t, nil)
	id := h.submit("me", waitFor("a"))
	h.dial("watch="+id, nil).until("executing 1")
	s := h.connect("w")
	s.next()
	s.say(`{"type":"nodebus.watch","data":{"prompt_id":"` + id + `"}}`)
	require.Equal(t, []string{"execution_start", "execution_cached", "executing 1", "nodebus.watching"},
		without(s.until("nodebus.watching"), "status", "progress_state"))
	s.say(`{"type":"nodebus.watch","data":{}}`)
	require.Contains(t, s.next().Data["error"], "needs data with a prompt_id")
	s.say(`{"type":"nodebus.unwatch","data":{"prompt_id":"` + id + `"}}`)
	require.Equal(t, map[string]any{"prompt_id": id, "watching": false}, s.next().Data)
	s.say(`{"type":"feature_flags","data":{}}`)
	require.Equal(t, "feature_flags", s.next().Type)
	h.gate.open("a")
	require.Empty(t, without(s.until("status 0"), "status"))
}

// TestGrantMay: a socket watches the prompts that the grant allows, whether it names them
// in the query or in a message.
func TestGrantMay(t *testing.T) {
	h := newHost(t, &comfy.Options{Authorize: func(r *http.Request) (nodebus.Grant, error) {
		return nodebus.Grant{
			Client: r.Header.Get("Who"), Watch: []string{"given"},
			May: func(promptID string) bool { return strings.HasPrefix(promptID, r.Header.Get("Who")) },
		}, nil
	}})
	say := func(promptID string) {
		for _, p := range []nodebus.Payload{nodebus.ExecutionStart{PromptID: promptID}, nodebus.Executing{PromptID: promptID}} {
			require.NoError(t, h.hub.Publish(nodebus.Event{PromptID: promptID, To: "somebody", Payload: p}))
		}
	}
	s := h.dial("watch=ann-1&watch=bob-1", http.Header{"Who": {"ann"}})
	s.next()
	for _, id := range []string{"bob-1", "ann-1", "given", "bob-2", "ann-2"} {
		say(id)
	}
	got := map[string]bool{}
	for _, id := range []string{"bob-2", "ann-2"} {
		s.say(`{"type":"nodebus.watch","data":{"prompt_id":"` + id + `"}}`)
		for m := s.next(); ; m = s.next() {
			if m.Type == "nodebus.watching" {
				require.Equal(t, id == "ann-2", m.Data["watching"])
				break
			}
			got[m.Data["prompt_id"].(string)] = true
		}
	}
	mark := h.mark("ann") // the answers may have overtaken events of other prompts
	for m := s.next(); m.short() != mark; m = s.next() {
		got[m.Data["prompt_id"].(string)] = true
	}
	require.Equal(t, map[string]bool{"ann-1": true, "given": true, "ann-2": true}, got)
}
