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

// settle records the answers of the client at the hub. If a prompt's last event is still
// in our buffers, the next write settles it.
func (s *Session) settle() {
	if !s.confirms {
		return
	}
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	c := h.index.clients[s.client]
	if c == nil || s.answered == 0 {
		return
	}
	s.answered = min(s.answered, h.lastID)
	s.unsettled = !c.confirm(s.answered, s.written)
	c.notify()
}

// wrote records that the transport has taken the messages up to an ID. outcome is the
// newest outcome among them, or 0. It reports whether the caller must call settle, without
// a lock. s.mu is held.
func (s *Session) wrote(id, outcome uint64) (settle bool) {
	s.written = max(s.written, id)
	if s.leaving { // a write has ended that ran when the client said so
		s.answered = max(s.answered, s.written)
		s.unsettled = true
	}
	if outcome > s.asked {
		s.asked, s.askedAt = outcome, time.Now()
	}
	return s.unsettled
}

// Expect says that a client waits for a prompt that has not begun. If the client's
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

// awaitConfirmations waits, at most confirmWait, until no session of the client has a
// recent outcome without a confirmation.
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

// unconfirmed returns nil if no session of the client has a recent outcome without a
// confirmation. Otherwise it returns a channel that is closed when this may have changed.
func (h *Hub) unconfirmed(client string) <-chan struct{} {
	h.mu.Lock()
	defer h.mu.Unlock()
	c := h.index.clients[client]
	if c == nil {
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
	return s.answered < s.asked && time.Since(s.askedAt) < recentOutcome
}
