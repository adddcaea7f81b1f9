package embed

import (
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
)

// leaveTime is how long Close waits for servers that still need this one.
var leaveTime = 10 * time.Second

const (
	leavePause   = 50 * time.Millisecond // between two words that this server leaves
	leaveSubject = "_NODEBUS.leaving"
	metaGroup    = "_meta_" // the servers of a cluster
)

// leavers are the servers that have said that they leave. If all processes of a cluster end
// at the same time, each has something to store until its end. So a server that others
// need for their majority stays until they leave, too.
type leavers struct {
	mu  sync.Mutex
	ids map[string]bool
}

func (l *leavers) add(m *natsgo.Msg) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ids == nil {
		l.ids = map[string]bool{}
	}
	l.ids[string(m.Data)] = true
}

func (l *leavers) has(id string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.ids[id]
}

// hear notes the servers that leave from now on.
func (s *Server) hear() error {
	_, err := s.conn.Subscribe(leaveSubject, s.leaving.add)
	return err
}

// leave waits until this server has settled, says that it leaves, and waits while others need
// it, for at most leaveTime. It says so again and again, because a server may come meanwhile;
// and once in any case, so that two servers which leave at the same time know of each other.
func (s *Server) leave() {
	for end := time.Now().Add(leaveTime); len(s.others()) > 0; {
		late := time.Now().After(end)
		settled := late || s.settled()
		if settled {
			_ = s.conn.Publish(leaveSubject, []byte(s.s.ID()))
		}
		time.Sleep(leavePause)
		if late || settled && !s.isNeeded() && s.settled() {
			return
		}
	}
}

// settled reports whether the server has made all that the cluster has told it to make. NATS
// leaves files open, and goroutines running, if it stops while it makes a stream. A server
// that has lost the majority hears nothing more, and has settled.
func (s *Server) settled() bool {
	meta, member := s.meta()
	return !member || len(s.others())+1 < meta.QuorumNeeded || meta.Applied >= meta.PIndex && meta.IPQApplyLen == 0
}

// isNeeded reports whether there is a majority that others need, and that ends with this
// server.
func (s *Server) isNeeded() bool {
	others := s.others()
	stay := 0
	for id := range others {
		if !s.leaving.has(id) {
			stay++
		}
	}
	majority := s.majority()
	return stay > 0 && stay < majority && len(others)+1 >= majority
}

// others returns the ids of the servers that are connected to this one.
func (s *Server) others() map[string]bool {
	ids := map[string]bool{}
	if routes, err := s.s.Routez(nil); err == nil {
		for _, r := range routes.Routes {
			ids[r.RemoteID] = true
		}
	}
	return ids
}

// majority returns how many servers must be connected, with this one.
func (s *Server) majority() int {
	if meta, member := s.meta(); member {
		return meta.QuorumNeeded
	}
	return 1
}

// meta returns what the server knows of the group of all servers. member is false if it is not
// in a cluster.
func (s *Server) meta() (meta server.RaftzGroup, member bool) {
	if status := s.s.Raftz(&server.RaftzOptions{GroupFilter: metaGroup}); status != nil {
		for _, groups := range *status {
			meta, member = groups[metaGroup]
		}
	}
	return meta, member
}

// HasMajority reports whether this server is connected to so many others that the cluster
// can store something. A server that cannot write its files does not count.
func (s *Server) HasMajority() bool {
	work := len(s.others())
	if s.Err() == nil {
		work++
	}
	return work >= s.majority()
}
