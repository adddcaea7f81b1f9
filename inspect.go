package nodebus

import (
	"cmp"
	"slices"
	"strings"
)

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
