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
	tooLong := make(chan struct{})
	timer := time.AfterFunc(h.opts.Drain, func() { close(tooLong) })
	defer timer.Stop()
	// late is true if foreign code is stuck, for example a transport that does not return.
	late := !within(tooLong, func() {
		<-last
		h.awaitEvents(h.newestPlace().ID, tooLong)
	})
	sessions := h.shut()
	late = !within(tooLong, h.stopFollowing) || late
	late = late || !h.drain(tooLong)
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
	case <-tooLong:
		for _, s := range sessions {
			s.Close(ErrClosed)
		}
	}
	return nil
}

// within calls f, which may call foreign code, in a goroutine and waits until f has
// returned. It returns false if tooLong closes first.
func within(tooLong <-chan struct{}, f func()) bool {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return true
	case <-tooLong:
		return false
	}
}

func (h *Hub) stopFollowing() {
	_ = Protect(func() error {
		h.unfollow()
		return nil
	})
}

// awaitEvents waits until the log has passed on the event with this ID, or tooLong closes.
func (h *Hub) awaitEvents(id uint64, tooLong <-chan struct{}) {
	h.mu.Lock()
	if h.lastID >= id {
		h.mu.Unlock()
		return
	}
	arrived := make(chan struct{})
	h.awaited, h.arrived = id, arrived
	h.mu.Unlock()
	select {
	case <-arrived:
	case <-tooLong:
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
// false if tooLong closes first.
func (h *Hub) drain(tooLong <-chan struct{}) bool {
	for _, s := range h.shards {
		select {
		case <-s.drained():
		case <-tooLong:
			return false
		}
	}
	return true
}
