package conform

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// answersPings: "The server sends a ping every 25 seconds", and before the end of a prompt
// a ping whose payload the pong must have ("nb and a decimal number"). A ping is answered
// with its payload, which may be empty or have 125 bytes, while the client waits and while
// events come.
func answersPings(t *testing.T, s *stage) {
	p := s.begin(t)
	for _, payload := range []string{"", "nb123", "\x00\xff\x80", strings.Repeat("x", 125)} {
		p.control(opPing, payload)
		p.pong(t, payload)
	}
	var all []scripted
	for i := range 20 {
		p.control(opPing, fmt.Sprint("nb", i))
		all = append(all, s.publish(marked(i))...)
	}
	p.pong(t, "nb19")
	s.expect(t, "between pings", all...)
}

// ignoresPongs: "A Pong frame MAY be sent unsolicited", RFC 6455, section 5.5.3. The
// connection stays.
func ignoresPongs(t *testing.T, s *stage) {
	p := s.begin(t)
	for _, payload := range []string{"", "never asked", "nb5"} {
		p.control(opPong, payload)
		p.control(opPing, "still there?")
		p.pong(t, "still there?")
		s.expect(t, "after a pong", s.publish(mixed(0)...)...)
	}
}

// oddPongs lets the server answer the pings of the client late, out of order, twice, and
// with payloads that are older. A client that pings may give such a connection up; it
// loses nothing then.
func oddPongs(t *testing.T, s *stage) {
	s.launch(t, ClientStart{ID: testerID, Ping: 20 * time.Millisecond})
	p := s.accept(t)
	var mu sync.Mutex
	var held []string
	p.onPing = func(payload []byte) {
		mu.Lock()
		defer mu.Unlock()
		if held = append(held, string(payload)); len(held)%3 == 0 {
			slices.Reverse(held)
			for _, h := range slices.Concat(held, held[:1]) {
				p.control(opPong, h)
			}
			held = held[1:]
		}
	}
	s.serve(p)
	s.auto()
	s.up(t)
	for i := range 30 {
		time.Sleep(5 * time.Millisecond) // so that there are pings
		s.expect(t, "with odd pongs", s.publish(mixed(5*i)...)...)
	}
}

// noticesSilence: a line can die without a word, so that no FIN and no RST arrives. A
// client that claims Pings notices that, and comes back.
func noticesSilence(t *testing.T, s *stage) {
	s.launch(t, ClientStart{ID: testerID, Ping: 100 * time.Millisecond})
	s.serve(s.accept(t))
	s.auto() // on a slow machine, a client may also give up a line that is alive
	s.up(t)
	for round := range 3 {
		s.expect(t, "before the silence", s.publish(mixed(10*round)...)...)
		s.turn.Lock()
		s.now.mute()
		all := s.say(mixed(10*round + 5)...)
		s.turn.Unlock()
		s.expect(t, "after the silence", all...)
	}
}

// handlesClose: the client ends when its program closes it: it leaves with a close frame
// or ends the connection, Next ends, and the client does not come back.
func handlesClose(t *testing.T, s *stage) {
	p := s.begin(t)
	s.expect(t, "before the end", s.publish(mixed(0)...)...)
	s.close(t)
	select {
	case <-p.ended:
	case <-time.After(patience):
		t.Fatal("the connection of a closed client does not end")
	}
	s.quiet(t, "a closed client")
}

// closesWhileAway: a client is closed while the server cannot be reached.
func closesWhileAway(t *testing.T, s *stage) {
	p := s.begin(t)
	s.expect(t, "before the break", s.publish(mixed(0)...)...)
	p.cut("RST")
	for range 3 {
		s.accept(t).refuse(503, "not now")
	}
	s.close(t)
	for len(s.arrivals) > 0 {
		(<-s.arrivals).refuse(503, "not now")
	}
	s.quiet(t, "a closed client")
}
