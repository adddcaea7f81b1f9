package conform

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// cutAnywhere: "nothing is lost, doubled or reordered", after whichever byte the line is
// cut: in the answer to the handshake, in the greeting, in and between frames.
func cutAnywhere(t *testing.T, s *stage) {
	p := s.begin(t)
	size := len(p.opening())
	for _, e := range append(mixed(0), greeting(testerID, s.place())) {
		e.cursor = s.place()
		size += len(p.wire(&e))
	}
	for at := 1; at < size; at += 1 + size/60 {
		p.cut("RST")
		all := s.say(mixed(at)...)
		bad := s.accept(t)
		bad.budget = at
		s.serve(bad)
		reset(bad.conn)
		p = s.serve(s.accept(t))
		s.expect(t, fmt.Sprintf("cut after %d bytes", at), all...)
	}
}

// crawls: "One WebSocket message is one event", and one block of a stream is one event, in
// however small pieces it comes.
func crawls(t *testing.T, s *stage) {
	p := s.begin(t)
	for _, chunk := range []int{1, 2, 7} {
		p.cut("FIN")
		all := s.say(mixed(10 * chunk)...)
		p = s.accept(t)
		p.chunk = chunk
		s.serve(p)
		s.expect(t, fmt.Sprintf("pieces of %d bytes", chunk), append(all, s.publish(mixed(10*chunk+5)...)...)...)
	}
}

// stalls: the line stops in the middle of the answer to the handshake, of the greeting,
// and of each kind of frame, and goes on.
func stalls(t *testing.T, s *stage) {
	wait := func() { time.Sleep(20 * time.Millisecond) }
	s.launch(t, ClientStart{ID: testerID})
	p := s.accept(t)
	p.halves(p.opening(), 20, wait)
	hello := greeting(testerID, s.place())
	s.note(hello.cursor)
	p.halves(p.wire(&hello), 30, wait)
	s.up(t)
	for i, e := range s.say(mixed(0)...) {
		b := p.wire(&e)
		s.note(e.cursor)
		p.halves(b, min(len(b)-1, 1+40*i), wait)
		s.expect(t, "a frame that stalls", e)
	}
	s.turn.Lock()
	defer s.turn.Unlock()
	s.now = p
}

// greetsLate: "status with sid" is the first message, and can come long after the
// connection. A client that is already cut off before comes again.
func greetsLate(t *testing.T, s *stage) {
	s.launch(t, ClientStart{ID: testerID})
	p := s.accept(t)
	p.write(p.opening())
	if p.control(opPing, "before the greeting"); !p.stream {
		p.pong(t, "before the greeting")
	}
	s.greet(p)
	s.up(t)
	s.expect(t, "after the greeting", s.publish(mixed(0)...)...)
	p.cut("FIN")
	all := s.say(mixed(5)...)
	p = s.accept(t)
	p.write(p.opening())
	if p.control(opPing, "again"); !p.stream {
		p.pong(t, "again")
	}
	s.greet(p)
	s.expect(t, "after the second greeting", all...)
}

// fragments: a WebSocket message may come in several frames, with control frames between
// them, RFC 6455, section 5.4. The frames end inside of characters, and some are empty.
func fragments(t *testing.T, s *stage) {
	p := s.begin(t)
	for pieces := 2; pieces < 60; pieces += 19 {
		for _, e := range s.say(mixed(pieces)...) {
			s.note(e.cursor)
			op, payload := e.frame(true)
			var b []byte
			for i := range pieces {
				from, to := i*len(payload)/pieces, (i+1)*len(payload)/pieces
				b = appendWSFrame(b, false, op, payload[from:to])
				b = appendWSFrame(b, true, opPing, fmt.Appendf(nil, "%d", i))
				op = opMore
			}
			p.write(appendWSFrame(b, true, opMore, nil))
			p.pong(t, fmt.Sprint(pieces-1))
			s.expect(t, fmt.Sprintf("a message in %d frames", pieces+1), e)
		}
	}
}

// sizes: a message has any size. The lengths of frames have three forms.
func sizes(t *testing.T, s *stage) {
	s.begin(t)
	s.auto()
	empty := scripted{typ: "conform.size", data: `""`, cursor: s.place()}
	_, payload := empty.frame(true)
	for _, size := range []int{125, 126, 127, 1<<16 - 1, 1 << 16, 1<<16 + 1, 1 << 20} {
		text := strings.Repeat("x", max(0, size-len(payload)))
		s.expect(t, fmt.Sprintf("a message of %d bytes", size), s.publish(scripted{typ: "conform.size", data: quoted(text)})...)
		image := bytes.Repeat([]byte{0, 0xff}, size/2)
		big := previewed(0)
		big.image, big.binary = image, slices.Concat(u32(4), sized(big.data), image)
		s.expect(t, fmt.Sprintf("a preview of %d bytes", size), s.publish(big)...)
	}
}

// readsSlowly: a program that handles events slowly loses nothing. The server gives up a
// client that takes nothing for long, with code 1013 or with none, and the client comes
// back for the rest.
func readsSlowly(t *testing.T, s *stage) {
	s.idle = true
	p := s.begin(t)
	pad := quoted(strings.Repeat("x", 64<<10))
	var all []scripted
	for i := range 128 {
		all = append(all, scripted{typ: "conform.flood", data: fmt.Sprintf(`[%d,%s]`, i, pad)})
	}
	s.say(all...)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.send(p, all...)
	}()
	select {
	case <-sent: // the client has much room
	case <-time.After(300 * time.Millisecond):
	}
	reset(p.conn)
	<-sent
	s.pump(t.Context())
	s.serve(s.accept(t))
	s.expect(t, "a slow program", all...)
}

// meetsEverything mixes the faults of lines and of frames at random. "Nothing is lost,
// doubled or reordered".
func meetsEverything(t *testing.T, s *stage) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	here, there := rand.New(rand.NewPCG(seed, 1)), rand.New(rand.NewPCG(seed, 2))
	var calm atomic.Bool
	s.spoil = func(p *peer) bool {
		switch kind := there.IntN(8); {
		case calm.Load():
		case kind == 0:
			p.refuse(503, "not now")
			return false
		case kind == 1:
			p.cut("RST")
			return false
		case kind < 5:
			p.budget = 1 + there.IntN(4000)
		default:
			p.chunk = there.IntN(50)
		}
		return true
	}
	s.begin(t)
	s.auto()
	var want []scripted
	for i := range 200 {
		switch here.IntN(12) {
		case 0, 1:
			s.turn.Lock()
			p := s.now
			s.turn.Unlock()
			p.cut(cuts[here.IntN(len(cuts))])
		case 2:
			s.inject(brokenText(s.claims.Stream, brokenTexts[here.IntN(len(brokenTexts))]))
		case 3:
			s.turn.Lock()
			s.now.control(opPing, "at random")
			s.turn.Unlock()
		case 4:
			s.expect(t, fmt.Sprintf("step %d", i), want...)
			want = nil
		default:
			want = append(want, s.publish(mixed(5 * i)[:1+here.IntN(5)]...)...)
		}
	}
	calm.Store(true)
	s.expect(t, "after all", want...)
}

// streams: "A line that begins with a colon is a comment", and the stream is as "the HTML
// standard defines it": fields with other names mean nothing, and a block whose end does
// not arrive is no event.
func streams(t *testing.T, s *stage) {
	p := s.begin(t)
	all := s.say(mixed(0)...)
	for i, e := range all {
		s.note(e.cursor)
		block := strings.Replace(e.block(), "\ndata:", "\n: a comment\nother: field\nanother\ndata:", 1)
		p.write([]byte(": a comment\n\n" + block + ":\n\nretry: " + fmt.Sprint(1+i) + "\n\n"))
	}
	s.expect(t, "between comments", all...)
	next := s.say(marked(9))
	block := next[0].block()
	p.write([]byte(strings.TrimSuffix(block, "\n"))) // the empty line is missing
	p.cut("FIN")
	p = s.accept(t)
	if p.since != all[4].cursor {
		t.Fatalf("the client comes back with since=%q after half a block, want %q", p.since, all[4].cursor)
	}
	s.serve(p)
	s.expect(t, "after half a block", next...)
	p.write([]byte(": the server is going away\n\n"))
	p.cut("FIN")
	all = s.say(mixed(10)...)
	s.serve(s.accept(t))
	s.expect(t, "after the last comment", all...)
}
