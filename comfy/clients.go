package comfy

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/ws"
)

// conn is one connection of a client.
type conn struct {
	id      string
	session *nodebus.Session
	sock    *ws.Conn

	codec  nodebus.JSONCodec // only the goroutine that reads uses it
	spoken bool              // the first message has arrived; only the reading goroutine uses it
}

// clients lists the connections of each client, and the prompts that disconnected
// clients were waiting for.
type clients struct {
	serving sync.WaitGroup // the goroutines of the connections

	mu     sync.Mutex
	byID   map[string][]*conn
	away   map[string]absence
	closed bool // no connection may enter
}

// absence records what a disconnected client may miss: the prompts that it was
// waiting for, and the time when the server last heard from it. For lateMax after
// that time, the client may also miss other prompts that end.
type absence struct {
	prompts []string
	since   time.Time
}

// awayMax is the maximum number of absences that are kept.
const awayMax = 4096

// leaveTime is the maximum time for finding the prompts of a client that has left.
const leaveTime = 30 * time.Second

// lateMax is the time for which a client without a connection still receives the
// events of a prompt that has ended. Some clients submit first and connect only
// after they have the answer.
const lateMax = 2 * time.Second

func (cs *clients) init() {
	cs.byID = map[string][]*conn{}
	cs.away = map[string]absence{}
}

// enter adds a connection and counts it in serving. If keepOlder is false, the
// connection replaces the older connections of the client, and the caller must close
// the older connections. If ok is false, the server is closed.
func (cs *clients) enter(c *conn, keepOlder bool) (older []*conn, ok bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if cs.closed {
		return nil, false
	}
	if !keepOlder {
		older = cs.byID[c.id]
		delete(cs.byID, c.id)
	}
	cs.byID[c.id] = append(cs.byID[c.id], c)
	delete(cs.away, c.id)
	cs.serving.Add(1)
	return older, true
}

// close lets no further connection enter. It returns all connections.
func (cs *clients) close() (all []*conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.closed = true
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

// exit removes a connection. If it was the last connection of the client, exit
// keeps the absence. If the connection was replaced, exit does nothing.
func (cs *clients) exit(c *conn, misses absence) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	all := cs.byID[c.id]
	at := slices.Index(all, c)
	if at < 0 { // a newer connection has replaced it
		return
	}
	if len(all) > 1 {
		cs.byID[c.id] = slices.Delete(all, at, at+1)
		return
	}
	delete(cs.byID, c.id)
	if len(cs.away) >= awayMax {
		cs.forget()
	}
	cs.away[c.id] = misses
}

// forget makes room in away. It removes all clients that no longer miss anything,
// and then other clients until there is room. The caller holds mu.
func (cs *clients) forget() {
	late := time.Now().Add(-lateMax)
	for id, gone := range cs.away {
		if len(gone.prompts) == 0 && gone.since.Before(late) {
			delete(cs.away, id)
		}
	}
	for id := range cs.away {
		if len(cs.away) < awayMax {
			break
		}
		delete(cs.away, id)
	}
}

// has reports whether c is still connected and no newer connection has replaced it.
func (cs *clients) has(c *conn) bool {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	return slices.Contains(cs.byID[c.id], c)
}

// sockets returns the connections of a client.
func (cs *clients) sockets(id string) (socks []*ws.Conn) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for _, c := range cs.byID[id] {
		socks = append(socks, c.sock)
	}
	return socks
}

// present reports whether a client is connected.
func (cs *clients) present(id string) bool { return len(cs.sockets(id)) > 0 }

// missed returns the prompts that a client was waiting for when it disconnected,
// the time when the server last heard from the client, and whether the client has
// a connection now. The client may have missed all events after that time. The
// time is zero if the server does not know the client.
func (cs *clients) missed(id string) (prompts []string, since time.Time, connected bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	gone := cs.away[id]
	since = gone.since
	return slices.Clone(gone.prompts), since, len(cs.byID[id]) > 0
}

// leave removes a connection; the server last heard from its client at the time
// heard. When the client reconnects, it receives again the events of its prompts
// that ended after heard or while it was away. To find these prompts takes time,
// and the client may reconnect in that time. Therefore the connection stays
// registered until the prompts are found: missed treats a registered connection as
// possibly lost.
func (s *Server) leave(c *conn, heard time.Time) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTime)
	defer cancel()
	var ids []string
	for _, p := range s.ofClient(ctx, c.id) {
		ids = append(ids, p.ID)
	}
	ids = append(ids, s.endedSince(ctx, c.id, heard)...)
	slices.Sort(ids)
	s.clients.exit(c, absence{slices.Compact(ids), heard})
}

// endedSince returns the ids of a client's prompts that ended at or after a time. If
// the store fails, endedSince logs the error and returns the ids that it has.
func (s *Server) endedSince(ctx context.Context, client string, at time.Time) (ids []string) {
	err := nodebus.Protect(func() error {
		for rec, err := range s.engine.Store().List(ctx) {
			if err != nil || rec.Ended.Before(at) {
				return err
			}
			if rec.Prompt.ClientID == client {
				ids = append(ids, rec.Prompt.ID)
			}
		}
		return nil
	})
	if err != nil {
		s.opts.Logger.Error("store failed; a client may not be sent the end of a prompt again", "error", err)
	}
	return ids
}

// missed returns the ids of the prompts whose end a connecting client may not have
// seen. If the client still has an older connection, that connection may be lost:
// the server notices a lost connection late.
func (s *Server) missed(ctx context.Context, client string) []string {
	ids, since, connected := s.clients.missed(client)
	switch late := time.Now().Add(-lateMax); {
	case connected && s.opts.KeepOlder:
		return ids
	case !connected && since.Before(late):
		since = late
	}
	for _, id := range s.endedSince(ctx, client, since) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
