package conform

import (
	"fmt"
	"math"
	"slices"
	"testing"
)

// cuts are the ways in which a connection ends, see [peer.cut].
var cuts = []string{"RST", "FIN", "half", "1001 the server is going away", "1013 too far behind; reconnect", "1011 a fault"}

// resumes: "Store the cursor of the last frame that has a cursor, text or binary. …
// To come back, connect with the same clientId and since=<cursor>. As long as the events
// are kept, nothing is lost, doubled or reordered, previews and other binary frames
// included." The client comes back after each close code of the server.
func resumes(t *testing.T, s *stage) {
	p := s.begin(t)
	for round := range 3 * len(cuts) {
		how := cuts[round%len(cuts)]
		when := fmt.Sprintf("round %d, %s", round, how)
		all := s.publish(mixed(10 * round)[:1+round%5]...)
		if round%2 == 0 { // otherwise the client may lose what it was sent, and comes back for it
			s.expect(t, when, all...)
			all = nil
		}
		p.cut(how)
		all = append(all, s.say(mixed(10*round+5)...)...)
		p = s.serve(s.accept(t))
		s.expect(t, when+", after it", all...)
	}
}

// resumesFromGreeting: "The greeting has a cursor, so a client can come back before its
// first event."
func resumesFromGreeting(t *testing.T, s *stage) {
	p := s.begin(t)
	for round := range 3 {
		p.cut("FIN")
		p = s.accept(t)
		if p.since != s.place() {
			t.Fatalf("round %d: the client comes back with since=%q, want the cursor of the greeting, %q", round, p.since, s.place())
		}
		s.serve(p)
	}
	p.cut("FIN")
	all := s.say(mixed(0)...)
	s.serve(s.accept(t))
	s.expect(t, "after the break", all...)
}

// continues: a cursor is for the next run of a program, too: the client connects with the
// cursor that its program has stored.
func continues(t *testing.T, s *stage) {
	all := s.say(mixed(0)...)
	s.launch(t, ClientStart{ID: testerID, Since: all[1].cursor})
	p := s.accept(t)
	if p.since != all[1].cursor {
		t.Fatalf("the client connects with since=%q, want the cursor that it was given, %q", p.since, all[1].cursor)
	}
	s.serve(p)
	s.up(t)
	s.expect(t, "events since the cursor", all[2:]...)
}

// keepsItsID: "status with sid, the client id" and "connect with the same clientId". The
// server or the client has made the id.
func keepsItsID(t *testing.T, s *stage) {
	s.launch(t, ClientStart{})
	p := s.serve(s.accept(t)) // stage.check compares the ids
	s.up(t)
	s.expect(t, "before the break", s.publish(mixed(0)...)...)
	p.cut("RST")
	all := s.say(mixed(5)...)
	s.serve(s.accept(t))
	s.expect(t, "after the break", all...)
}

// opaque: "A cursor is a string. Treat it as opaque." Its epoch may have 43 letters, and
// its number does not fit into a float64.
func opaque(t *testing.T, s *stage) {
	s.restart("0123456789abcdefghijklmnopqrstuvwxyzABCDEFG", math.MaxUint64-10000)
	resumes(t, s)
}

// moves: "A frame without a cursor does not move the cursor". Such events are yielded,
// and the client comes back with the cursor before them.
func moves(t *testing.T, s *stage) {
	p := s.begin(t)
	all := s.publish(texted(0), previewed(1))
	past := mixed(2)
	s.send(p, past...)
	s.expect(t, "events without a cursor", append(all, past...)...)
	p.cut("FIN")
	p = s.accept(t)
	if p.since != all[1].cursor {
		t.Fatalf("the client comes back with since=%q, want the cursor of the preview, %q", p.since, all[1].cursor)
	}
	s.serve(p)
}

// newLife: a server whose log has a new life "sends nodebus.gap with since 0, all its
// events that are kept, then new events". In the greeting the cursor is "the client's own
// cursor, until the gap".
func newLife(t *testing.T, s *stage) {
	p := s.begin(t)
	s.expect(t, "in the first life", s.publish(mixed(0)...)...)
	old := s.place()
	for life, epoch := range []string{"second", "third"} {
		s.restart(epoch, 7)
		kept := s.say(mixed(10)...)
		p.cut("RST")

		// The line breaks after the greeting: the client has not been told yet.
		p = s.accept(t)
		p.write(p.opening())
		s.send(p, greeting(testerID, p.since))
		p.cut("FIN")
		if p = s.accept(t); p.since != old {
			t.Fatalf("life %d: the client comes back with since=%q before the gap, want %q", life, p.since, old)
		}
		gap := s.gap(p.since)
		s.serve(p)
		s.expect(t, "in life "+epoch, append([]scripted{gap}, kept...)...)
		p.cut("RST")
		all := s.say(mixed(20)...)
		p = s.serve(s.accept(t))
		s.expect(t, "again in life "+epoch, all...)
		old = s.place()
	}
}

// hasGap: "nodebus.gap, if events that belong to the replay are no longer kept". The
// client yields it once, before the events that are kept, and goes on.
func hasGap(t *testing.T, s *stage) {
	p := s.begin(t)
	for round := range 3 {
		s.expect(t, "before the gap", s.publish(mixed(20*round)...)...)
		p.cut("FIN")
		kept := s.say(mixed(20*round + 10)...)[3:]
		s.lose(8)
		p = s.accept(t)
		gap := s.gap(p.since)
		s.serve(p)
		s.expect(t, "a gap", append([]scripted{gap}, kept...)...)
		s.lose(2)
	}
}

// plainComfyUI: a server that knows no envelope ignores since; no message has a cursor,
// "a text message has two members, as in ComfyUI", and binary frames have no envelope. The
// client yields the events, comes back after a break under its id, and never invents a
// cursor. What the client misses meanwhile is lost.
func plainComfyUI(t *testing.T, s *stage) {
	s.plain = true
	p := s.begin(t)
	preview := previewed(3)
	preview.data, preview.binary = `{}`, slices.Concat(u32(1, 1), preview.image)
	all := append(mixed(0), preview, scripted{typ: "executing", data: `{"node":"7","display_node":"7","prompt_id":"p"}`},
		scripted{typ: "executing", data: `{"node":null,"prompt_id":"p"}`})
	for round := range 2 * len(cuts) {
		s.publish(all...)
		s.expect(t, "of plain ComfyUI", all...)
		p.write(appendWSFrame(nil, true, opText, []byte(`{"type":"conform.nan","data":{"value":NaN,"max":Infinity}}`)))
		p.cut(cuts[round%len(cuts)])
		s.say(mixed(10)...)
		p = s.serve(s.accept(t))
	}
}
