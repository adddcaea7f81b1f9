package comfy_test

import (
	"fmt"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

var allEvents = []string{"execution_start", "execution_cached", "executing 1", "executed 1", "execution_success", "executing <nil>"}

// reads makes a socket read everything, as most clients do: it answers pings. synced
// returns when the server has handled what the client answered so far.
func (s *socket) reads() (synced func()) {
	go func() {
		for err := error(nil); err == nil; {
			_, err = s.read()
		}
	}()
	return func() { require.NoError(s.t, s.c.Ping(s.t.Context())) }
}

// mark sends an event to a client. What the client receives before it was sent before it.
func (h *host) mark(client string) string {
	h.t.Helper()
	require.NoError(h.t, h.hub.SendSync(spoken{Text: "mark"}, client))
	return "spoken mark"
}

// afterTheEnd reads up to the end of a prompt. It returns an event that the server has
// sent when it knows that it has sent the end.
func (h *host) afterTheEnd(s *socket) string {
	h.t.Helper()
	s.until("executing <nil>")
	return h.mark("me")
}

// back connects a client again. It returns what the client is sent, without states.
func (h *host) back(client string) []string {
	h.t.Helper()
	s := h.connect(client)
	all := s.until(h.mark(client))
	require.Equal(h.t, "status 0", all[0])
	s.reads()()
	return without(all[:len(all)-1], "status", "progress_state")
}

// TestBackWithTheOldSocketOpen: the old socket of a client is still open when the client
// comes back. If the client has read the end of its prompt, it receives only the status.
func TestBackWithTheOldSocketOpen(t *testing.T) {
	h := newHost(t, nil)
	old := h.connect("me")
	h.submit("me", quick)
	old.until(h.afterTheEnd(old))
	old.reads()()
	for range 3 {
		require.Empty(t, h.back("me"))
	}
}

// TestBackFromALostConnection: a connection is lost, and the server does not notice
// it. When the client reconnects, it receives the events of a prompt that ended in
// the meantime. It then receives them no more.
func TestBackFromALostConnection(t *testing.T) {
	for name, say := range map[string]string{
		"silent":               "",
		"has sent a message":   `{"type":"feature_flags","data":{}}`,
		"has asked for others": `{"type":"nodebus.watch","data":{"prompt_id":"x"}}`,
	} {
		t.Run(name, func(t *testing.T) {
			h := newHost(t, nil)
			lost := h.connect("me")
			id := h.submit("me", waitFor("a"))
			lost.until("executing 1") // the client reads no more from this socket
			h.gate.open("a")
			h.ended(id)
			if say != "" {
				lost.say(say)
			}
			require.Equal(t, allEvents, h.back("me"))
			require.Empty(t, h.back("me"), "it has confirmed the prompt")
		})
	}
}

// TestBackAfterABrokenLine: a client reads nothing after its prompt began, but sends a
// message. Then the line breaks. The client receives the whole prompt when it is back.
func TestBackAfterABrokenLine(t *testing.T) {
	h := newHost(t, nil)
	s := h.connect("me")
	id := h.submit("me", waitFor("a"))
	s.until("executing 1")
	h.gate.open("a")
	h.ended(id)
	s.say(`{"type":"feature_flags","data":{}}`)
	_ = s.c.CloseNow()
	require.Equal(t, allEvents, h.back("me"))
	require.Empty(t, h.back("me"))
}

// TestBackAfterTheEnd: a prompt ends while its client is disconnected. The client
// receives the events of the prompt once, when it reconnects, also if it connects in
// vain before: the line of that connection breaks before the client has read anything.
func TestBackAfterTheEnd(t *testing.T) {
	h := newHost(t, nil)
	s := h.connect("me")
	s.next()
	id := h.submit("me", waitFor("a"))
	s.until("executing 1")
	s.close()
	s.closed()
	h.gate.open("a")
	h.ended(id)
	for range 20 {
		h.connectInVain("me")
	}
	require.Equal(t, allEvents, h.back("me"))
	require.Empty(t, h.back("me"))
}

// connectInVain connects a client and resets the connection before it reads anything.
func (h *host) connectInVain(client string) {
	h.t.Helper()
	addr := strings.TrimPrefix(h.url, "http://")
	c, err := net.Dial("tcp", addr)
	require.NoError(h.t, err)
	_, err = fmt.Fprintf(c, "GET /ws?clientId=%s HTTP/1.1\r\nHost: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"+
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n", client, addr)
	require.NoError(h.t, err)
	require.NoError(h.t, c.(*net.TCPConn).SetLinger(0))
	require.NoError(h.t, c.Close())
}

// TestBackInTheMiddleOfARun: a client that reconnects without a cursor receives the
// kept events of its running prompt.
func TestBackInTheMiddleOfARun(t *testing.T) {
	h := newHost(t, nil)
	s := h.connect("me")
	s.next()
	id := h.submit("me", `{"1":{"class_type":"Wait","inputs":{"name":"a","words":"one two"}}}`)
	s.until("spoken two")
	s.close()
	s.closed()

	s = h.connect("me")
	require.Equal(t, "status 1", s.next().short())
	at := s.next()
	require.Equal(t, "executing 1", at.short())
	require.Equal(t, id, at.Data["prompt_id"], "it says of which prompt")
	require.Equal(t, []string{"execution_start", "execution_cached", "executing 1", "spoken one", "spoken two"},
		without(s.until("spoken two"), "status", "progress_state"))
	h.gate.open("a")
	require.Equal(t, []string{"executed 1", "execution_success", "executing <nil>"},
		without(s.until("executing <nil>"), "status", "progress_state"))
}

// TestBackFromAQueue: a client submits and leaves while its prompt waits in the queue. It
// is away while the prompt runs, and for longer than late clients may be. It receives the
// prompt when it is back.
func TestBackFromAQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced(t, &comfy.Options{HeadStart: 200 * time.Millisecond})
		s := p.dial("me")
		s.next()
		p.submit("me", "p")
		_ = s.c.CloseNow()
		require.Equal(t, "p", <-p.begun)
		time.Sleep(time.Minute)
		require.Equal(t, allEvents, without(p.dial("me").until("executing <nil>"), "status", "progress_state"))
	})
}

// TestSubmitsFirst: a client submits, and connects after it has the answer. It
// receives the events of the prompt, which has already ended.
func TestSubmitsFirst(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPaced(t, nil)
		p.submit("me", "p")
		require.Equal(t, "p", <-p.begun)
		time.Sleep(time.Second)
		require.Equal(t, allEvents, without(p.dial("me").until("executing <nil>"), "status", "progress_state"))
	})
}

// TestLateIsNotForEver: a client without a connection receives no events of a prompt that
// ended long before.
func TestLateIsNotForEver(t *testing.T) {
	for ago, want := range map[time.Duration]int{time.Second: 3, 3 * time.Second: 0} {
		synctest.Test(t, func(t *testing.T) {
			p := newPaced(t, nil)
			told(t, p.hub, nodebus.ExecutionStart{PromptID: "run"}, nodebus.ExecutionSuccess{PromptID: "run"}, nodebus.Executing{PromptID: "run"})
			time.Sleep(ago)
			s := p.dial("me")
			require.NoError(t, p.hub.SendSync(spoken{Text: "live"}, "me"))
			require.Len(t, s.until("spoken live"), want+2)
		})
	}
}

// TestIDUsedAgain: the record of a prompt is deleted, its id is used again, and the new
// prompt is interrupted while it waits. The client receives exactly one outcome and the
// last event.
func TestIDUsedAgain(t *testing.T) {
	h := newHost(t, nil)
	s := h.connect("me")
	h.submit("me", quick, `"prompt_id":"p"`)
	s.until("executing <nil>")
	require.Equal(t, 200, h.post("/history", `{"delete":["p"]}`).status)
	h.submit("me", waitFor("a"), `"prompt_id":"first"`)
	s.until("executing 1")
	h.submit("me", quick, `"prompt_id":"p"`)
	require.Equal(t, 200, h.post("/interrupt", `{"prompt_id":"p"}`).status)
	require.Equal(t, []string{"execution_interrupted", "executing <nil>"}, without(s.until("executing <nil>"), "status", "progress_state"))
	s.until(h.mark("me"))
	s.reads()()
	again := h.connect("me").until(h.mark("me"))
	require.NotContains(t, again, "execution_interrupted", "it was received")
	require.Contains(t, again, "execution_start", "the first prompt runs")
	h.gate.open("a")
	h.ended("first")
}
