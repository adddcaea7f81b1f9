package conform

import (
	"fmt"
	"slices"
	"testing"
	"time"
)

// unknownTypes: "any other: a node or the program sends it". The client yields types that
// it does not know, with all data. "Readers ignore members that they do not know, and
// members of the envelope that have another type."
func unknownTypes(t *testing.T, s *stage) {
	s.begin(t)
	s.auto()
	for _, data := range []string{
		`{}`, `[]`, `null`, `true`, `0`, `-1.5e-7`, `""`, `"\u0000\ud83d\ude00\u2028"`, `{"type":"status","data":{"sid":"no"}}`,
		`{"cursor":"first-1","":{"":[[[[]]]]}}`, `[{"a":null},[1,2.5,"x"]]`, `{"__proto__":{"x":1},"constructor":1}`,
	} {
		for _, typ := range []string{"conform.unknown", "nodebus.later", "message", "error", "a b:c/ä\"", "constructor"} {
			s.expect(t, typ+" "+data, s.publish(scripted{typ: typ, prompt: "p", data: data})...)
		}
	}
	s.expect(t, "unknown members", s.publish(scripted{typ: "conform.more", data: `{"n":1}`, prompt: "q", attempt: 3, more: `,"later":{"a":[1]},"id":7`})...)
	known := stepped(1)
	known.data = `{"later":[1],"value":1,"max":100000,"prompt_id":"p","node":"7"}`
	got := s.publish(known)
	got[0].data = stepped(1).data // a client that decodes a type may leave out what it does not know
	s.expect(t, "unknown members of a known type", got...)
	odd := scripted{typ: "conform.odd", data: `{"n":1}`, more: `,"cursor":5,"prompt_id":{"a":1},"time":"x","attempt":"two"`}
	s.turn.Lock()
	s.send(s.now, odd)
	s.turn.Unlock()
	s.expect(t, "members of other types", odd)
}

// The broken frames. What is no JSON, and JSON that is no message.
var brokenTexts = []string{
	"", " ", "x", "{", `{"type":`, `{"type":"a","data":{}`, `{"type":"a","data":{}}}`, "null", "5", `"a"`, "[]", "[1]", "{}",
	`{"data":{}}`, `{"type":null,"data":{}}`, `{"type":5,"data":{}}`, `{"type":["a"],"data":{}}`,
	`{"type":"conform.nan","data":{"value":NaN,"max":Infinity}}`, "\x00",
}

// brokenText returns the bytes of a broken text message.
func brokenText(stream bool, text string) []byte {
	if stream {
		return []byte("data: " + text + "\n\n")
	}
	return appendWSFrame(nil, true, opText, []byte(text))
}

// The broken binary frames, in an envelope and without one.
func brokenFrames() [][]byte {
	inner := slices.Concat(u32(3), sized("7"), []byte("text"))
	envelope := `{"type":"progress_text","prompt_id":"p"}`
	var all [][]byte
	for _, f := range [][]byte{
		{},
		{0},
		{0, 0},
		{0, 0, 3},                                                           // shorter than the type
		u32(0), u32(99), append(u32(5), "x"...), append(u32(1<<31), "x"...), // unknown types
		u32(1), u32(1, 9), append(u32(1), 0, 0), // a preview without a format, or with an unknown format
		u32(3), u32(3, 0), append(u32(3, 9), "7text"...), append(u32(3, 1<<31-1), "7"...), append(u32(3, 1<<32-1), "7"...),
		u32(4), u32(4, 0), append(u32(4, 99), "{}"...), append(u32(4, 1), 'x', 1, 2), append(u32(4, 4), "null\xff"...), append(u32(4, 1<<32-1), "{}"...),
	} {
		all = append(all, f, slices.Concat(u32(20034), sized(envelope), f))
	}
	return append(all,
		u32(20034), append(u32(20034), 0, 0), u32(20034, 0), // no envelope
		slices.Concat(u32(20034, len(envelope)+1000), []byte(envelope), inner), // its length is wrong
		slices.Concat(u32(20034, len(envelope)-1), []byte(envelope), inner),
		slices.Concat(u32(20034, 1<<32-1), []byte(envelope), inner),
		slices.Concat(u32(20034), sized("no JSON"), inner),
		slices.Concat(u32(20034), sized("null"), inner),
		slices.Concat(u32(20034), sized(envelope), u32(20034), sized(envelope), inner), // an envelope in an envelope
	)
}

// survivesBroken sends frames that the wire does not have, as a proxy or another program
// may. They harm nothing: the events before and after them arrive once. The client may
// leave the broken frames out, and it may connect again.
func survivesBroken(t *testing.T, s *stage) {
	s.begin(t)
	s.auto()
	n := 0
	after := func(what string) {
		t.Helper()
		n++
		s.skipsUntil(t, what, s.publish(marked(n))[0])
	}
	for _, text := range brokenTexts {
		s.inject(brokenText(s.claims.Stream, text))
		after(fmt.Sprintf("after the text %.40q", text))
	}
	for _, f := range brokenFrames() {
		if !s.claims.Stream {
			s.inject(appendWSFrame(nil, true, opBinary, f))
			after(fmt.Sprintf("after the binary frame % x", f))
		}
	}
	for _, data := range []string{`7`, `"x"`, `[]`, `null`, `{"node":7,"prompt_id":{}}`, `{"nodes":7,"value":"x","prompt_id":[]}`} {
		for _, typ := range []string{"executing", "progress", "progress_state", "executed", "execution_error", "status", "nodebus.watching"} {
			s.publish(scripted{typ: typ, data: data})
			after(fmt.Sprintf("after %s with the data %s", typ, data))
		}
	}
}

// inject writes bytes to the newest connection.
func (s *stage) inject(b []byte) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.now.write(b)
}

// skipsUntil waits for an event. The client may yield others before it, without its
// cursor.
func (s *stage) skipsUntil(t *testing.T, when string, want scripted) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		select {
		case got := <-s.events:
			if got.Cursor != want.cursor && got.Type != want.typ {
				continue
			}
			if diff := want.differs(got, s.plain); diff != "" {
				t.Fatalf("%s: the next event: %s", when, diff)
			}
			return
		case err := <-s.gaveUp:
			t.Fatalf("%s: the client has given up: %v", when, err)
		case <-late.C:
			t.Fatalf("%s: no further event", when)
		}
	}
}
