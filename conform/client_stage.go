package conform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// The names that the tests use.
const (
	testerID = "tester"
	token    = "a+b&c=d ä"          // in the query of the URL
	soonTry  = 2 * time.Millisecond // the time before a reconnect
)

// stage is a scripted server and the client under test.
type stage struct {
	*script
	claims   ClientClaims
	starts   func(context.Context, ClientStart) (ClientUnderTest, error)
	listener net.Listener
	arrivals chan *peer
	busy     sync.WaitGroup
	over     chan struct{}    // closed at the end of the test
	spoil    func(*peer) bool // see auto; nil: nothing is spoiled
	plain    bool             // the server knows no cursors, as ComfyUI

	client   ClientUnderTest // set before started is closed
	launched bool
	idle     bool // the client's program takes no events before pump is called
	closed   bool // the test has closed the client
	ended    bool // the test has waited for the end of Next
	started  chan struct{}
	failed   chan error       // why the client has not started
	events   chan ClientEvent // what the client has yielded
	gaveUp   chan error       // why Next has ended

	turn sync.Mutex // held while the script grows or is repeated, and its events are sent
	now  *peer      // the connection that the server uses; guarded by turn

	mu       sync.Mutex
	conns    map[net.Conn]struct{}
	sent     map[string]int // by cursor, its place among the cursors that the client was sent
	yielded  string         // the newest cursor that the client has yielded
	optional map[string]bool
	faults   []string
	id       string // the client's id
	requests int
}

func newStage(t *testing.T, starts func(context.Context, ClientStart) (ClientUnderTest, error), claims *ClientClaims) *stage {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	s := &stage{
		script: newScript(), starts: starts, listener: listener, arrivals: make(chan *peer, 10000),
		over: make(chan struct{}), started: make(chan struct{}), failed: make(chan error, 1),
		events: make(chan ClientEvent, 10000), gaveUp: make(chan error, 1), conns: map[net.Conn]struct{}{}, sent: map[string]int{}, optional: map[string]bool{},
	}
	if claims != nil {
		s.claims = *claims
	}
	s.busy.Go(s.listen)
	t.Cleanup(func() { s.stop(t) })
	return s
}

// stop closes the client, then the server.
func (s *stage) stop(t *testing.T) {
	close(s.over)
	if s.launched {
		within(t, "the end of the client", func() {
			select {
			case <-s.started:
				if !s.closed {
					_ = s.client.Close()
				}
			case err := <-s.failed:
				t.Logf("the client has not started: %v", err)
			}
		})
	}
	_ = s.listener.Close()
	s.mu.Lock()
	for c := range s.conns {
		_ = c.Close()
	}
	s.mu.Unlock()
	within(t, "the end of the connections", s.busy.Wait)
	for _, f := range s.faults {
		t.Error(f)
	}
}

// blame notes a fault of the client that a goroutine of the server has found.
func (s *stage) blame(format string, args ...any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) < 5 {
		s.faults = append(s.faults, fmt.Sprintf(format, args...))
	}
}

func (s *stage) listen() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.mu.Lock()
		s.conns[conn] = struct{}{}
		s.mu.Unlock()
		s.busy.Go(func() {
			defer func() {
				s.mu.Lock()
				delete(s.conns, conn)
				s.mu.Unlock()
				_ = conn.Close()
			}()
			s.receive(conn)
		})
	}
}

// receive handles a connection.
func (s *stage) receive(conn net.Conn) {
	p, err := newPeer(conn)
	if err != nil {
		return
	}
	p.stream, p.plain = s.claims.Stream, s.plain
	if path := map[bool]string{false: "/ws", true: "/events"}[p.stream]; p.req.URL.Path != path {
		p.refuse(http.StatusNotFound, "404 page not found")
		return
	}
	s.check(p)
	s.arrivals <- p
	p.read()
	if p.fault != nil {
		s.blame("%v", p.fault)
	}
}

// check tests a request of the client.
func (s *stage) check(p *peer) {
	if wrong := p.wrong(); wrong != "" {
		s.blame("a request of the client is wrong: %s", wrong)
	}
	s.mu.Lock()
	first := s.requests == 0
	if s.requests++; first && s.id == "" {
		s.id = p.query.Get("clientId")
	}
	id := s.id
	at, known := s.sent[p.since]
	least, has := s.sent[s.yielded]
	yielded := s.yielded
	s.mu.Unlock()
	if got := p.query.Get("clientId"); got != id {
		s.blame("the client %q comes back as %q", id, got)
	}
	switch {
	case p.since == "" && !has:
	case !known:
		s.blame("the client comes back with since=%q; it was never sent this cursor", p.since)
	case has && at < least:
		s.blame("the client comes back with since=%q, although it has yielded the later cursor %q", p.since, yielded)
	}
}

// launch starts the client and does not wait for it. The client's program takes all
// events, unless idle is true.
func (s *stage) launch(t *testing.T, how ClientStart) {
	how.URL = "http://" + s.listener.Addr().String() + "/?token=" + url.QueryEscape(token)
	how.Retry = cmp.Or(how.Retry, soonTry)
	s.id, s.launched = how.ID, true
	s.note(how.Since)
	ctx := t.Context()
	s.busy.Go(func() {
		c, err := s.starts(ctx, how)
		switch {
		case err != nil:
			s.failed <- err
		case c == nil:
			s.failed <- errors.New("the function has returned no client")
		default:
			s.client = c
			if !s.idle {
				s.pump(ctx)
			}
			close(s.started)
		}
	})
}

// up waits until the client has started.
func (s *stage) up(t *testing.T) {
	t.Helper()
	select {
	case <-s.started:
	case err := <-s.failed:
		s.failed <- err
		t.Fatalf("the client does not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the client does not start in time")
	}
}

// begin starts the client, and serves its first connection.
func (s *stage) begin(t *testing.T) *peer {
	t.Helper()
	s.launch(t, ClientStart{ID: testerID})
	p := s.serve(s.accept(t))
	s.up(t)
	return p
}

// pump lets the client's program take all events.
func (s *stage) pump(ctx context.Context) {
	s.busy.Go(func() {
		for {
			ev, err := s.client.Next(ctx)
			if err != nil {
				s.gaveUp <- err
				return
			}
			s.mu.Lock()
			if _, ok := s.sent[ev.Cursor]; ok && ev.Cursor != "" {
				s.yielded = ev.Cursor
			}
			unknown := ev.Type != "" && strings.Trim(ev.Type, "0123456789") == ""
			own := s.plain && ev.Type == "nodebus.gap" && ev.Cursor == ""
			skip := unknown || own || ev.Type == "conform.nan" || ev.Type == "status" || ev.Type == "nodebus.watching" || s.optional[ev.Cursor]
			s.mu.Unlock()
			if !skip {
				s.events <- ev
			}
		}
	})
}

// accept waits for the next request of the client.
func (s *stage) accept(t *testing.T) *peer {
	t.Helper()
	select {
	case p := <-s.arrivals:
		return p
	case err := <-s.gaveUp:
		t.Fatalf("the client has given up instead of connecting again: %v", err)
	case err := <-s.failed:
		s.failed <- err
		t.Fatalf("the client does not start: %v", err)
	case <-time.After(patience):
		t.Fatal("the client does not connect")
	}
	return nil
}

// auto serves all further requests of the client. First it calls spoil, which may end the
// connection and return false.
func (s *stage) auto() {
	s.busy.Go(func() {
		for {
			select {
			case p := <-s.arrivals:
				if s.spoil == nil || s.spoil(p) {
					s.serve(p)
				}
			case <-s.over:
				return
			}
		}
	})
}

// serve accepts a request, greets the client, and sends what is due. From then on, it is
// the connection that the server uses.
func (s *stage) serve(p *peer) *peer {
	p.write(p.opening())
	s.greet(p)
	return p
}

// greet sends the first messages of a connection.
func (s *stage) greet(p *peer) {
	s.turn.Lock()
	defer s.turn.Unlock()
	s.now = p
	s.mu.Lock()
	s.id = cmp.Or(s.id, "made-by-the-server")
	id := s.id
	s.mu.Unlock()
	at := cmp.Or(p.since, s.first()) // a client without a cursor is sent all that is kept
	s.send(p, greeting(id, at))
	if s.plain {
		return
	}
	due, lost := s.after(at)
	if lost {
		s.send(p, s.gap(at))
	}
	s.send(p, due...)
}

// greeting returns the first message of a connection.
func greeting(id, cursor string) scripted {
	return scripted{typ: "status", cursor: cursor, data: `{"status":{"exec_info":{"queue_remaining":0}},"sid":` + quoted(id) + `}`}
}

// send sends events over a connection, and notes which cursors the client has now.
func (s *stage) send(p *peer, events ...scripted) {
	for i := range events {
		b := p.wire(&events[i])
		p.mu.Lock()
		if p.whole(b) {
			s.note(events[i].cursor)
		}
		p.put(b)
		p.mu.Unlock()
	}
}

// note notes that the client is sent a cursor.
func (s *stage) note(cursor string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.sent[cursor]; !ok && cursor != "" && !s.plain {
		s.sent[cursor] = len(s.sent)
	}
}

// publish adds events to the script, and sends them over the newest connection.
func (s *stage) publish(events ...scripted) []scripted {
	s.turn.Lock()
	defer s.turn.Unlock()
	events = s.say(events...)
	if s.now != nil {
		s.send(s.now, events...)
	}
	return events
}

// expect waits until the client has yielded exactly these events.
func (s *stage) expect(t *testing.T, when string, want ...scripted) {
	t.Helper()
	for i := range want {
		select {
		case got := <-s.events:
			if diff := want[i].differs(got, s.plain); diff != "" {
				t.Fatalf("%s: event %d of %d (%s %s): %s", when, i+1, len(want), want[i].typ, want[i].cursor, diff)
			}
		case err := <-s.gaveUp:
			t.Fatalf("%s: the client has given up after %d of %d events: %v", when, i, len(want), err)
		case <-time.After(patience):
			t.Fatalf("%s: no further event after %d of %d", when, i, len(want))
		}
	}
}
