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

	codec  nodebus.JSONCodec // the reader's own, as is
	spoken bool              // the first message has come
}

// clients are those connected, and what those who are not were waiting for.
type clients struct {
	mu   sync.Mutex
	byID map[string][]*conn
	away map[string]absence
}

// absence is what a client that has gone may miss: the prompts that it was
// waiting for, and, for a while, others that end after it was last heard of.
type absence struct {
	prompts []string
	since   time.Time
}

// awayMax bounds the clients that are remembered.
const awayMax = 4096

// lateMax is how long ago a prompt may have ended whose client connects only
// then: there are clients that submit first, and connect when they have the
// answer.
const lateMax = 2 * time.Second

func (cs *clients) init() {
	cs.byID = map[string][]*conn{}
	cs.away = map[string]absence{}
}

// enter adds a connection. Unless older ones are to be kept, it closes them: two
// pages under one id would each see half of what happens to the other.
func (cs *clients) enter(c *conn, keepOlder bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	var older []*conn
	if !keepOlder {
		older = cs.byID[c.id]
		delete(cs.byID, c.id)
	}
	for _, o := range older {
		o.session.Close(nodebus.ErrReplaced)
	}
	cs.byID[c.id] = append(cs.byID[c.id], c)
	delete(cs.away, c.id)
}

// exit removes a connection, and only that. If it was the client's last, it
// keeps what the client may miss.
func (cs *clients) exit(c *conn, misses absence) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	all := cs.byID[c.id]
	at := slices.Index(all, c)
	if at < 0 { // it has been replaced
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

// forget makes room in away: first of those who miss nothing any more.
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

// ifPresent calls f unless c has been replaced or is gone. As others are locked
// out meanwhile, f must not log: whoever reads the log may want to know who is
// connected.
func (cs *clients) ifPresent(c *conn, f func() error) error {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	if slices.Contains(cs.byID[c.id], c) {
		return f()
	}
	return nil
}

// sockets are a client's connections.
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

// missed are the prompts that a client was waiting for when it went, and since
// when it has seen no other: since it was last heard of. Of one that has never
// been there that is not known.
func (cs *clients) missed(id string) (prompts []string, since time.Time, connected bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	gone := cs.away[id]
	since = gone.since
	for _, c := range cs.byID[id] {
		if at := c.sock.Heard(); at.After(since) {
			since = at
		}
	}
	return slices.Clone(gone.prompts), since, len(cs.byID[id]) > 0
}

// leave ends a connection of a client that was last heard of at some time. Of its
// prompts, those that have ended since are replayed when it is back, and those
// that end before it is. Until it is known which these are the connection counts
// as one that may have been lost (see missed): the client may be back already.
func (s *Server) leave(c *conn, heard time.Time) {
	var ids []string
	for p, err := range s.engine.Queue().List(context.Background()) {
		if err == nil && p.ClientID == c.id {
			ids = append(ids, p.ID)
		}
	}
	for _, p := range s.engine.Running() {
		if p.ClientID == c.id {
			ids = append(ids, p.ID)
		}
	}
	s.clients.exit(c, absence{append(ids, s.endedSince(c.id, heard)...), heard})
}

// endedSince are the prompts of a client that have ended since some time.
func (s *Server) endedSince(client string, at time.Time) (ids []string) {
	for rec, err := range s.engine.Store().List(context.Background()) {
		if err != nil || rec.Ended.Before(at) {
			break
		}
		if rec.Prompt.ClientID == client {
			ids = append(ids, rec.Prompt.ID)
		}
	}
	return ids
}

// missed are the prompts that a client which connects may not have seen the end
// of. A connection that it still has may be one that has been lost, which is
// noticed late.
func (s *Server) missed(client string) []string {
	ids, since, connected := s.clients.missed(client)
	switch late := time.Now().Add(-lateMax); {
	case connected && s.opts.KeepOlder:
		return ids
	case !connected && since.Before(late):
		since = late
	}
	for _, id := range s.endedSince(client, since) {
		if !slices.Contains(ids, id) {
			ids = append(ids, id)
		}
	}
	return ids
}
