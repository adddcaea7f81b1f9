package comfy

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/crowd"
	"github.com/nodebus/nodebus/ws"
)

// conn is one connection of a client.
type conn struct {
	id      string
	session *nodebus.Session
	sock    *ws.Conn
	replies atomic.Bool   // the client has replied to the last ping of a head start
	gone    chan struct{} // closed when the connection has ended

	codec  nodebus.JSONCodec // only the goroutine that reads uses it
	spoken bool              // the first message has arrived; only the reading goroutine uses it
}

// clients lists the connections of each client. The hub knows what a client has missed.
type clients struct {
	serving sync.WaitGroup // the goroutines of the connections, and the handlers that follow a run
	ctx     context.Context
	end     context.CancelCauseFunc // ends ctx

	mu     sync.Mutex
	byID   map[string][]*conn
	closed bool // no connection may enter

	crowd *crowd.Crowd // counts the connections, and the handlers that follow a run
}

func (cs *clients) init(bounds *crowd.Crowd) {
	cs.crowd = bounds
	cs.byID = map[string][]*conn{}
	cs.ctx, cs.end = context.WithCancelCause(context.Background())
}

// follow counts a handler that follows a run for a client, or for nobody in particular, in
// serving and in crowd. The handler must end soon after ctx ends, and then call unfollow.
// If the server is closed or there are too many, follow counts nothing and returns the
// status of the answer and an error for the client.
func (cs *clients) follow(client string) (status int, err error) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return http.StatusServiceUnavailable, errServerClosed
	}
	if status, err = cs.crowd.Enter(client); err == nil {
		cs.serving.Add(1)
	}
	return status, err
}

// unfollow counts the end of a handler that follow has counted.
func (cs *clients) unfollow(client string) {
	cs.crowd.Leave(client)
	cs.serving.Done()
}

// errServerClosed refuses a client because Close was called.
var errServerClosed = errors.New("the server is closed")

// enter adds a connection and counts it in serving. The caller has counted it in crowd. It
// returns false if the server is closed.
func (cs *clients) enter(c *conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return false
	}
	cs.byID[c.id] = append(cs.byID[c.id], c)
	cs.serving.Add(1)
	return true
}

// exit removes a connection, from crowd too.
func (cs *clients) exit(c *conn) {
	cs.crowd.Leave(c.id)
	cs.mu.Lock()
	defer cs.mu.Unlock()
	rest := slices.DeleteFunc(cs.byID[c.id], func(o *conn) bool { return o == c })
	if cs.byID[c.id] = rest; len(rest) == 0 {
		delete(cs.byID, c.id)
	}
	close(c.gone)
	cs.serving.Done()
}

// close lets no further connection enter. It returns all connections.
func (cs *clients) close() (all []*conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
	cs.end(nodebus.ErrClosed)
	for _, conns := range cs.byID {
		all = append(all, conns...)
	}
	return all
}

// isClosed reports whether close was called.
func (cs *clients) isClosed() bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return cs.closed
}

// of returns the connections of a client.
func (cs *clients) of(id string) []*conn {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Clone(cs.byID[id])
}

// present reports whether a client is connected.
func (cs *clients) present(id string) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return len(cs.byID[id]) > 0
}
