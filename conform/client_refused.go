package conform

import (
	"fmt"
	"testing"
	"time"
)

// comesBack: the server "answers a request that it does not accept with an HTTP status",
// for example "503 if the server … is closed". A client tries again after a status of the
// 5xx, after a line that breaks at once, and after an answer that is no HTTP.
func comesBack(t *testing.T, s *stage) {
	p := s.begin(t)
	for round := range 2 {
		s.expect(t, "before the break", s.publish(mixed(10*round)...)...)
		p.cut("RST")
		all := s.say(mixed(10*round + 5)...)
		for _, status := range []int{503, 502, 500} {
			s.accept(t).refuse(status, "<html>not now</html>")
		}
		reset(s.accept(t).conn)
		s.accept(t).finish()
		garbage := s.accept(t)
		garbage.write([]byte("\x16\x03\x01 this is no HTTP\r\n\r\n"))
		garbage.finish()
		p = s.serve(s.accept(t))
		s.expect(t, "after the server was away", all...)
	}
}

// pacesRetries is no promise of the wire: a client that cannot connect waits before it tries
// again, so that a server that has trouble is not flooded.
func pacesRetries(t *testing.T, s *stage) {
	const retry = 15 * time.Millisecond
	s.launch(t, ClientStart{ID: testerID, Retry: retry})
	p := s.serve(s.accept(t))
	s.up(t)
	p.cut("FIN")
	s.accept(t).refuse(503, "not now")
	began := time.Now()
	for range 6 {
		s.accept(t).refuse(503, "not now")
	}
	if took := time.Since(began); took < 4*retry {
		t.Errorf("the client has made 6 attempts in %v, although it must wait %v after each", took, retry)
	}
	s.serve(s.accept(t))
}

// givesUp: "401 or 403 for a refusal of Authorize". A client that claims Status ends with
// an error then, also when it was connected before, and does not try again.
func givesUp(t *testing.T, s *stage) {
	p := s.begin(t)
	s.expect(t, "before the refusal", s.publish(mixed(0)...)...)
	p.cut("RST")
	s.accept(t).refuse(401, "the token has expired")
	s.ends(t, "after status 401")
	s.quiet(t, "a client that was refused with status 401")
}

// neverStarts: the same at the first attempt. The client does not start, or its Next ends.
func neverStarts(t *testing.T, s *stage) {
	s.launch(t, ClientStart{ID: testerID})
	s.accept(t).refuse(401, "who are you?")
	select {
	case <-s.started:
		s.ends(t, "after status 401")
	case err := <-s.failed:
		s.failed <- err
	case <-time.After(patience):
		t.Fatal("the client has not given up after status 401")
	}
	s.quiet(t, "a client that was refused with status 401")
}

// close closes the client, and waits until Next has ended.
func (s *stage) close(t *testing.T) {
	t.Helper()
	within(t, "closing the client", func() { _ = s.client.Close() })
	s.closed = true
	s.ends(t, "after Close")
}

// ends waits until Next has ended with an error.
func (s *stage) ends(t *testing.T, when string) {
	t.Helper()
	s.ended = true
	for {
		select {
		case err := <-s.gaveUp:
			t.Logf("%s: Next has ended: %v", when, err)
			return
		case ev := <-s.events:
			t.Errorf("%s: the client yields %s", when, ev.Type)
		case p := <-s.arrivals:
			p.refuse(503, "not now")
			t.Fatalf("%s: the client connects", when)
		case <-time.After(patience):
			t.Fatalf("%s: Next does not end", when)
		}
	}
}

// quiet fails if the client connects within a hundred times the time before a reconnect.
func (s *stage) quiet(t *testing.T, who string) {
	t.Helper()
	select {
	case p := <-s.arrivals:
		t.Errorf("%s connects again: %s", who, fmt.Sprint(p.req.URL))
	case <-time.After(100 * soonTry):
	}
}
