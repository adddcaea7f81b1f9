package conform

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// Site is a server that [Server] tests.
type Site struct {
	Hub      *nodebus.Hub
	Listener net.Listener // where clients connect
	// Receive must be called with each message of a client, if [ServerClaims].Receives is
	// true. It may wait and it may panic.
	Receive func(data []byte)
}

// Dial says how a client of [Server] connects.
type Dial struct {
	Addr    string // the host and port of the server
	Client  string // the client's id
	Cursors bool   // the client asks for events with cursors
	// Since is the cursor of the last event that the client has received. It is set only
	// if Cursors is true, and may be empty then.
	Since string
}

// Reader is the connection of a client. One goroutine calls Next. Another goroutine may
// call Close and Send.
type Reader interface {
	// Next waits for the next event. If the client has asked for cursors, the ID and the
	// Epoch of the event are set. Events that the hub does not know, such as a greeting,
	// have no ID or the ID of the place where the client's events begin; Next may leave
	// them out.
	Next() (nodebus.Event, error)
	// Send sends a message to the server. It is called only if [ServerClaims].Receives is
	// true.
	Send(data []byte) error
	Close() error
}

// ServerClaims lists what a transport can do beyond delivering events to clients with
// cursors. Nil claims nothing.
type ServerClaims struct {
	// Stock says that clients without cursors may connect, and that they confirm what
	// they receive, see [nodebus.SessionOptions].Confirms.
	Stock    bool
	Binary   bool // binary events arrive as binary events; otherwise only their cursors count
	Receives bool // clients may send messages
}

// HTTP returns a function for [Server]: it serves the handler of a hub.
func HTTP(handler func(Site) http.Handler) func(*testing.T, Site) {
	return func(t *testing.T, s Site) {
		srv := httptest.NewUnstartedServer(handler(s))
		_ = srv.Listener.Close()
		srv.Listener = s.Listener
		srv.Start()
		t.Cleanup(srv.Close)
	}
}

// Server tests a transport together with its server, over TCP connections that break,
// stall and crawl. serve begins to serve a site and returns; the test closes the hub
// first and then calls the cleanup functions of serve. dial connects a client.
func Server(t *testing.T, serve func(*testing.T, Site), dial func(context.Context, Dial) (Reader, error), claims *ServerClaims) {
	if claims == nil {
		claims = &ServerClaims{}
	}
	tests := map[string]struct {
		skip bool
		test func(*testing.T, *network)
	}{
		"promise 1: a stalled client slows nobody down":        {false, servesStalled},
		"promise 2: a client connects at the end of a prompt":  {false, servesEnds},
		"promise 3: a client receives its own events":          {false, servesOwn},
		"promise 4: a slow line is not cut":                    {false, servesCrawling},
		"promise 5: a line is cut after any byte":              {false, servesCut},
		"promise 5: a line is cut while events are published":  {false, servesCutLive},
		"promise 5: a client returns after each event":         {false, servesReturns},
		"promise 5: a cursor of another log begins with a gap": {false, servesGap},
		"promise 5: a client continues at another server":      {false, servesShared},
		"promise 6: what was not received is sent again":       {!claims.Stock, servesAgain},
		"promise 7: sessions of a client are independent":      {false, servesTwice},
		"promise 10: Close ends clients that take nothing":     {false, servesClose},
		"promise 10: a session is ended while it is written":   {false, servesEnd},
		"promise 11: garbage ends only its connection":         {false, servesGarbage},
		"promise 11: a payload panics":                         {false, servesPanic},
		"promise 11: a receiver panics":                        {!claims.Receives, servesPanicOfReceiver},
		"promise 11: a receiver outlives its connection":       {!claims.Receives, servesLongReceiver},
	}
	for name, c := range tests {
		t.Run(name, func(t *testing.T) {
			if c.skip {
				t.Skipf("this transport does not claim: %s", name)
			}
			c.test(t, &network{serve: serve, dial: dial, claims: claims, log: nodebus.NewMemoryLog(nil)})
		})
	}
}

// network makes sites that share a log.
type network struct {
	serve  func(*testing.T, Site)
	dial   func(context.Context, Dial) (Reader, error)
	claims *ServerClaims
	log    nodebus.Log
}

// server is a site with a line to it.
type server struct {
	*network
	hub  *nodebus.Hub
	line *line
}

// open serves a new hub.
func (n *network) open(t *testing.T, opts nodebus.HubOptions, receive func([]byte)) *server {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatalf("listen: %v", err)
	}
	opts.Log = n.log
	opts.Drain = cmp.Or(opts.Drain, patience)
	s := &server{network: n, hub: nodebus.NewHub(&opts)}
	n.serve(t, Site{Hub: s.hub, Listener: listener, Receive: receive})
	t.Cleanup(func() {
		within(t, "closing the hub", func() { _ = s.hub.Close() })
	})
	s.line = newLine(t, listener.Addr().String())
	return s
}

// client is a client with a connection.
type client struct {
	Reader
	*network
	seen uint64 // ID of the newest event
}

// connect connects a client. since is its cursor.
func (s *server) connect(t *testing.T, id string, since nodebus.Cursor) *client {
	t.Helper()
	c, err := s.try(t, id, since)
	if err != nil {
		t.Fatalf("client %q cannot connect: %v", id, err)
	}
	return c
}

// try connects a client, perhaps over a bad line.
func (s *server) try(t *testing.T, id string, since nodebus.Cursor) (*client, error) {
	return s.tryAs(t, Dial{Client: id, Cursors: true, Since: since.String()}, since.ID)
}

func (s *server) tryAs(t *testing.T, d Dial, seen uint64) (*client, error) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	d.Addr = s.line.addr()
	r, err := s.dial(ctx, d)
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = r.Close() })
	return &client{Reader: r, network: s.network, seen: seen}, nil
}

// next returns the next event of the hub.
func (c *client) next() (ev nodebus.Event, err error) {
	for {
		if ev, err = c.Next(); err != nil {
			return ev, err
		}
		switch ev.Payload.(type) {
		case nodebus.Status, nodebus.Gap, nodebus.Watching:
			continue // not an event of the tests
		}
		return ev, nil
	}
}

// same compares events as far as the transport must deliver them.
func (n *network) same(t *testing.T, what string, got, want []nodebus.Event) {
	t.Helper()
	texts := func(events []nodebus.Event) (all []string) {
		for i, ev := range events {
			text := fmt.Sprintf("%d %s", ev.ID, body(ev.Payload))
			if !n.claims.Binary && i < len(want) && strings.HasPrefix(body(want[i].Payload), "true") {
				text = fmt.Sprint(ev.ID)
			}
			all = append(all, text)
		}
		return all
	}
	equal(t, what, texts(got), texts(want))
}

var errLate = errors.New("no further event came in time")

// take reads n events. It closes the connection if that takes too long.
func (c *client) take(n int) (events []nodebus.Event, err error) {
	late := time.AfterFunc(patience, func() { _ = c.Close() })
	defer late.Stop()
	for len(events) < n {
		ev, err := c.next()
		switch {
		case err != nil && !late.Stop():
			return events, errLate
		case err != nil:
			return events, err
		}
		if ev.ID != 0 {
			c.seen = ev.ID
		}
		events = append(events, ev)
	}
	return events, nil
}

// expect reads exactly these events.
func (c *client) expect(t *testing.T, what string, want []nodebus.Event) {
	t.Helper()
	got, err := c.take(len(want))
	if err != nil {
		t.Errorf("%s: after %d events: %v", what, len(got), err)
	}
	c.same(t, what, got, want)
}

// until waits until ok is true.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s did not happen in time", what)
		}
	}
}
