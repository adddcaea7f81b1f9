package nodebus

import (
	"slices"
	"time"
)

// This file decides what a client has received. Only a client that confirms an outcome
// has received the prompt: bytes that were written may still be lost on the way. A
// transport asks for a confirmation with each frame that is an [Frame].Outcome.

const (
	// confirmWait is how long Join waits for another session of the client to confirm a
	// recent outcome. A client that reconnects at once would otherwise be judged before
	// its confirmation is read.
	confirmWait = 100 * time.Millisecond
	// recentOutcome is the maximum age of a recent outcome.
	recentOutcome = 2 * time.Second
)

// Confirm says that the client has received the outcome with this ID, and all outcomes
// before it. A client without a cursor is not sent these prompts again. A transport calls
// Confirm when the client has answered for the frame of the outcome, see [Frame].Outcome. It
// must not call Confirm for a frame that it was not given, even if the client says so.
func (s *Session) Confirm(id uint64) {
	s.mu.Lock()
	s.answered = max(s.answered, id)
	s.mu.Unlock()
	s.settle()
}

// ConfirmWritten says that the client has received all that was written to the
// transport. A transport calls it when the client itself says that it ends the
// connection in an orderly way.
func (s *Session) ConfirmWritten() {
	s.mu.Lock()
	s.answered, s.leaving = max(s.answered, s.written), true
	s.mu.Unlock()
	s.settle()
}

// Outcomes counts the writes that held the frame of an outcome, see [Frame].Outcome. The
// write that the transport is being given counts already. A transport that looks for
// outcomes in the bytes of a TryWrite needs to look only if Outcomes has grown since its
// last TryWrite. It is 0 for a session that confirms nothing. It is safe for concurrent use.
func (s *Session) Outcomes() uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asks
}

// settle records the answers of the client at the hub. If a prompt's last event is still
// in our buffers, the next write settles it.
func (s *Session) settle() {
	if !s.confirms {
		return
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.record()
}

// record tells the index of the hub which outcomes the client has confirmed. The hub's
// lock is held.
func (s *Session) record() {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.hub.index.clients[s.client]
	if c == nil || s.answered == 0 {
		return
	}
	s.answered = min(s.answered, s.hub.lastID)
	s.unsettled = !c.confirm(s.answered, s.written)
	c.notify()
}

// settleForGood settles a session that has ended, when nobody writes any more. Before
// that, the session counts as a session that may still confirm something.
func (s *Session) settleForGood() {
	if !s.confirms {
		return
	}
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.record()
	s.hub.index.leave(s.client, s)
}

// ask records that the transport is about to be given an outcome, or 0 for none. The client
// may have it, and may reconnect, before the write has returned. No lock is held.
func (s *Session) ask(outcome uint64) {
	if outcome == 0 || !s.confirms {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asks++
	if outcome > s.asked {
		s.asked, s.askedAt = outcome, time.Now()
	}
}

// wrote records that the transport has taken the messages up to an ID. It reports whether
// the caller must call settle, without a lock. s.mu is held.
func (s *Session) wrote(id uint64) (settle bool) {
	s.written = max(s.written, id)
	if s.leaving { // a write has ended that ran when the client said so
		s.answered = max(s.answered, s.written)
		s.unsettled = true
	}
	return s.unsettled
}

// Expect says that a client waits for a prompt that has not begun. It is for an engine:
// flow.Engine calls it for each prompt that is submitted. If the client's
// connection breaks and the client returns without a cursor, it is sent the events of the
// prompt again, also if the prompt began and ended in the meantime. Expect has no effect
// for a client without a session that confirms outcomes. It is safe for concurrent use.
func (h *Hub) Expect(client, promptID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.index.clients[client]
	if c == nil || len(c.sessions) == 0 || slices.Contains(c.expected, promptID) {
		return
	}
	h.index.expect(c, promptID)
}

// Unexpect takes back [Hub.Expect]: the prompt will not begin, for example because it was
// deleted from the queue. It is for an engine, too. It has no effect on a prompt that has
// begun. It is safe for concurrent use.
func (h *Hub) Unexpect(client, promptID string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.index.clients[client]
	if c == nil {
		return
	}
	c.expected = slices.DeleteFunc(c.expected, func(id string) bool { return id == promptID })
	h.index.tidy(c)
}

// awaitConfirmations waits, at most confirmWait, until no session of the client has a
// recent outcome without a confirmation, or until the client has confirmed all its outcomes:
// a client may have sockets that it does not read any more.
func (h *Hub) awaitConfirmations(client string) {
	var timeout <-chan time.Time
	for {
		changed := h.unconfirmed(client)
		if changed == nil {
			return
		}
		if timeout == nil {
			timer := time.NewTimer(confirmWait)
			defer timer.Stop()
			timeout = timer.C
		}
		select {
		case <-changed:
		case <-timeout:
			return
		}
	}
}

// unconfirmed returns nil if there is nothing to wait for. Otherwise it returns a channel that
// is closed when this may have changed.
func (h *Hub) unconfirmed(client string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.index.clients[client]
	if c == nil || !c.hasUnconfirmed() {
		return nil
	}
	for _, s := range c.sessions {
		if s.owes() {
			if c.changed == nil {
				c.changed = make(chan struct{})
			}
			return c.changed
		}
	}
	return nil
}

func (s *Session) owes() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return (s.unsettled || s.answered < s.asked) && time.Since(s.askedAt) < recentOutcome
}
