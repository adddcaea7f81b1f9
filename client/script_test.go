package client_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/coder/websocket"
	"github.com/nodebus/nodebus"
)

// script is a server whose messages a test chooses.
type script struct {
	*httptest.Server
	accepted chan *scripted
	routes   atomic.Pointer[http.HandlerFunc] // nil: status 404
}

// scripted is a connection of a client.
type scripted struct {
	*websocket.Conn
	since string
	heard chan string // messages of the client
}

func newScript(t *testing.T) *script {
	s := &script{accepted: make(chan *scripted, 10)}
	s.Server = httptest.NewServer(s.handler())
	t.Cleanup(s.Close)
	return s
}

// handler returns the server without its socket.
func (s *script) handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			if f := s.routes.Load(); f != nil {
				(*f)(w, r)
			} else {
				http.NotFound(w, r)
			}
			return
		}
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		on := &scripted{c, r.URL.Query().Get("since"), make(chan string, 1000)}
		s.accepted <- on
		for {
			_, data, err := c.Read(context.Background())
			if err != nil {
				return
			}
			on.heard <- string(data)
		}
	})
}

// serve sets what the HTTP routes answer.
func (s *script) serve(f http.HandlerFunc) { s.routes.Store(&f) }

// says sends a text message. Any goroutine may call it.
func (c *scripted) says(t *testing.T, format string, args ...any) {
	t.Helper()
	if err := c.Write(t.Context(), websocket.MessageText, fmt.Appendf(nil, format, args...)); err != nil {
		t.Error(err)
	}
}

// greets sends the first message, with a cursor if there is one.
func (c *scripted) greets(t *testing.T, cursor string) {
	t.Helper()
	if cursor != "" {
		cursor = fmt.Sprintf(`,"cursor":%q`, cursor)
	}
	c.says(t, `{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"me"}%s}`, cursor)
}

// placeOf returns the cursor of an event of a script; 0 is the start.
func placeOf(id int) nodebus.Cursor { return nodebus.Cursor{Epoch: "e", ID: uint64(id)} }
