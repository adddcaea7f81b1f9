package nodebus

import "time"

// Close ends the hub. It delivers the events that were published before, and then ends
// every session with [ErrClosed]. Loops of [Hub.Subscribe] end without an error, after
// the events that wait. Close waits for clients at most HubOptions.Drain. It returns
// nil. Only the first call has an effect: a later call returns at once, even while the
// first call still waits for clients.
func (h *Hub) Close() error {
	last, first := h.publishing.close()
	if !first {
		return nil
	}
	timer := time.NewTimer(h.opts.Drain)
	defer timer.Stop()
	late := false // true if foreign code is stuck, for example a transport that does not return
	select {
	case <-last:
		late = !h.awaitEvents(h.newestPlace().ID, timer.C)
	case <-timer.C:
		late = true
	}
	sessions := h.shut()
	_ = Protect(func() error {
		h.unfollow()
		return nil
	})
	late = late || !h.drain(timer.C)
	for _, s := range sessions {
		if late || !s.finish() {
			s.Close(ErrClosed)
		}
	}
	if late || len(sessions) == 0 {
		return nil
	}
	select {
	case <-h.left:
	case <-timer.C:
		for _, s := range sessions {
			s.Close(ErrClosed)
		}
	}
	return nil
}

// awaitEvents waits until the log has passed on the event with this ID. It returns false
// if tooLong fires first.
func (h *Hub) awaitEvents(id uint64, tooLong <-chan time.Time) bool {
	h.mu.Lock()
	if h.lastID >= id {
		h.mu.Unlock()
		return true
	}
	arrived := make(chan struct{})
	h.awaited, h.arrived = id, arrived
	h.mu.Unlock()
	select {
	case <-arrived:
		return true
	case <-tooLong:
		return false
	}
}

// shut marks the hub as closed and returns its sessions.
func (h *Hub) shut() (sessions []*Session) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, s := range h.subs {
		s.end(nil)
	}
	h.subs = nil
	for s := range h.sessions {
		sessions = append(sessions, s)
	}
	return sessions
}

// drain waits until every event is written or in the queue of its session. It returns
// false if tooLong fires first.
func (h *Hub) drain(tooLong <-chan time.Time) bool {
	for _, s := range h.shards {
		select {
		case <-s.drained():
		case <-tooLong:
			return false
		}
	}
	return true
}
