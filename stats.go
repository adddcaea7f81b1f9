package nodebus

import (
	"cmp"
	"slices"
	"strings"
)

// HubStats counts what a hub has done and holds. The counters include sessions that have
// ended.
type HubStats struct {
	Sessions    int    // sessions now
	Queued      int    // events that wait for sessions now
	QueuedBytes int    // estimated bytes of the frames of these events
	Unconfirmed int    // sessions now that were sent an outcome and have not confirmed it
	Replaced    uint64 // events that a newer event has replaced while they waited
	Gaps        uint64 // gaps that were announced
	FellBehind  uint64 // times that the queue of a session was full and the session continued from the log
	Slow        uint64 // sessions that have ended with [ErrSlow]
	Resumed     uint64 // sessions that have joined with a cursor
}

// SessionStats describes one session.
type SessionStats struct {
	Name        string // see [Session.Name]
	Client      string
	Watches     int    // prompts of other clients that the session follows by their ids
	Lag         uint64 // the newest ID of the hub minus the newest ID that was taken to be written; other clients' events count too
	Queued      int
	QueuedBytes int
	Unconfirmed bool // the client was sent an outcome and has not confirmed it
	Replaced    uint64
	Gaps        uint64
	FellBehind  uint64
	Resumed     bool
	Slow        bool // the session has ended with [ErrSlow]
}

// add adds the counters of a session that has left.
func (t *HubStats) add(s SessionStats) {
	t.Replaced += s.Replaced
	t.Gaps += s.Gaps
	t.FellBehind += s.FellBehind
	if s.Resumed {
		t.Resumed++
	}
	if s.Slow {
		t.Slow++
	}
}

// stats returns the statistics of the session. newest is the newest ID of the hub.
func (s *Session) stats(newest uint64) SessionStats {
	s.mu.Lock()
	defer s.mu.Unlock()
	return SessionStats{
		Name: s.name, Client: s.client, Watches: len(s.watch),
		Queued: s.q.Len(), QueuedBytes: s.q.Bytes(), Unconfirmed: s.confirms && s.answered < s.asked,
		Replaced: s.replaced, Gaps: s.gaps, FellBehind: s.fellBehind,
		Resumed: s.resumed, Slow: s.slow,
		Lag: s.lag(newest),
	}
}

// lag returns how many IDs the session is behind the newest. s.mu is held.
func (s *Session) lag(newest uint64) uint64 {
	taken := s.taken
	switch {
	case s.q.Len() == 0 && len(s.readings) == 0:
		return 0
	case s.greet.Epoch == s.hub.epoch:
		taken = max(taken, s.greet.ID)
	}
	return newest - min(newest, taken)
}

const maxID = ^uint64(0)

// Stats returns the statistics of the hub. It takes time in proportion to the number of
// sessions.
func (h *Hub) Stats() HubStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.total
	for s := range h.sessions {
		x := s.stats(h.lastID)
		t.add(x)
		t.Sessions++
		t.Queued += x.Queued
		t.QueuedBytes += x.QueuedBytes
		if x.Unconfirmed {
			t.Unconfirmed++
		}
	}
	return t
}

// Sessions returns the statistics of each session, sorted by client and then by the time
// of joining.
func (h *Hub) Sessions() []SessionStats {
	h.mu.Lock()
	var all []SessionStats
	for s := range h.sessions {
		all = append(all, s.stats(h.lastID))
	}
	h.mu.Unlock()
	slices.SortFunc(all, func(a, b SessionStats) int {
		return cmp.Or(strings.Compare(a.Client, b.Client), cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
	})
	return all
}

// End ends the session with this name with a cause; nil means [ErrClosed]. It reports
// whether the hub has the session. It does not wait.
func (h *Hub) End(name string, cause error) bool {
	h.mu.Lock()
	var found *Session
	for s := range h.sessions {
		if s.name == name {
			found = s
		}
	}
	h.mu.Unlock()
	if found == nil {
		return false
	}
	found.Close(cause)
	return true
}
