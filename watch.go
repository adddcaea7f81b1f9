package nodebus

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Watch makes the session also follow a prompt of another client. The session sends the
// kept events of the prompt, then a [Watching], then the later events. The kept events
// have no cursor, because they are older than events that the client may have received:
// if the connection breaks before the Watching, the client must ask again.
//
// Watch returns [ErrForbidden] if neither the options of the session nor
// [SessionOptions].May allow it, and [ErrClosed] if the session has ended. A prompt that
// the session already follows is sent only the Watching. Watch does not wait.
func (s *Session) Watch(promptID string) error {
	if err := s.mayWatch(promptID); err != nil {
		return err
	}
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, in := h.sessions[s]; !in {
		return ErrClosed
	}
	r := &reading{queued: h.lastID, past: true, reply: Watching{PromptID: promptID, Watching: true}}
	_, watches := s.watch[promptID]
	if !watches && !s.watchAll {
		if len(s.watch) >= WatchMax {
			return fmt.Errorf("nodebus: the client watches %d prompts already; leave one first", WatchMax)
		}
		upTo := max(h.lastID, s.joined)
		h.rewatch(s, func() { s.shard.watch(s, promptID, upTo) })
		r.query = LogQuery{Prompts: []string{promptID}, UpTo: upTo}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return ErrClosed
	}
	s.read(r)
	return nil
}

// mayWatch checks that the session may watch a prompt. No lock is held.
func (s *Session) mayWatch(promptID string) error {
	s.mu.Lock()
	_, watches := s.watch[promptID]
	g := Grant{WatchAll: s.watchAll || watches, Watch: s.granted, May: s.may}
	s.mu.Unlock()
	if promptID == "" || !g.Allows(promptID) {
		return fmt.Errorf("%w: %q", ErrForbidden, promptID)
	}
	return nil
}

// Unwatch ends what Watch began, or the watching of a prompt in the options of the
// session. Events of the prompt that wait are dropped. The session then sends a
// [Watching]. A session that follows every prompt continues to follow this prompt.
func (s *Session) Unwatch(promptID string) {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, in := h.sessions[s]; !in {
		return
	}
	h.leavePrompt(s, promptID)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.read(&reading{queued: h.lastID, past: true, reply: Watching{PromptID: promptID, Watching: s.watchAll}})
	}
}

// leavePrompt ends the watching of a prompt. h.mu is held.
func (h *Hub) leavePrompt(s *Session, promptID string) {
	if _, watches := s.watch[promptID]; watches {
		h.rewatch(s, func() { s.shard.unwatch(s, promptID) })
		s.dropPast(promptID)
	}
}

// dropPast ends the readings of the past of a prompt, so that they do not continue with a
// hole if the session watches the prompt again.
func (s *Session) dropPast(promptID string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range s.readings {
		if r.past && len(r.query.Prompts) == 1 && r.query.Prompts[0] == promptID {
			r.dropped = true
		}
	}
}

// rewatch calls change, which changes what s watches, and keeps the count of watchers
// right. h.mu is held.
func (h *Hub) rewatch(s *Session, change func()) {
	h.countWatcher(s, -1)
	change()
	h.countWatcher(s, +1)
}

// Allow replaces the rights of the session to watch prompts of other clients. The session
// leaves the prompts that the grant does not allow. It then follows the prompts in
// grant.Watch, as if by [Session.Watch]. Allow does not change grant.Client, and a session
// that follows every prompt from the start continues to do so only if grant.WatchAll is
// true.
func (s *Session) Allow(grant Grant) {
	h := s.hub
	h.mu.Lock()
	watched := slices.Collect(maps.Keys(s.watch))
	h.mu.Unlock()
	forbidden := slices.DeleteFunc(watched, grant.Allows) // without a lock, because May is foreign code
	h.mu.Lock()
	if _, in := h.sessions[s]; !in {
		h.mu.Unlock()
		return
	}
	for _, p := range forbidden {
		h.leavePrompt(s, p)
	}
	if s.watchAll && !grant.WatchAll {
		h.rewatch(s, func() { s.shard.narrow(s) })
	}
	s.mu.Lock()
	s.granted, s.may = slices.Clone(grant.Watch), grant.May
	s.mu.Unlock()
	h.mu.Unlock()
	for _, p := range grant.Watch {
		_ = s.Watch(p) // fails only if the session has ended, or watches too many prompts
	}
}

// Receive handles a message of the client to the hub: "nodebus.watch" and
// "nodebus.unwatch", with the prompt's id in "data". It reports whether data is such a
// message. A transport calls it with each text message. A request that is refused is
// answered with a [Watching] that says why.
func (s *Session) Receive(data []byte) (handled bool) {
	var m struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	if json.Unmarshal(data, &m) != nil || m.Type != "nodebus.watch" && m.Type != "nodebus.unwatch" {
		return false
	}
	var d struct {
		PromptID string `json:"prompt_id"`
	}
	err := json.Unmarshal(m.Data, &d)
	switch {
	case err != nil || d.PromptID == "" || len(d.PromptID) > promptIDMax:
		err = fmt.Errorf("nodebus: %s needs data with a prompt_id, a text of 1 to %d bytes", m.Type, promptIDMax)
	case m.Type == "nodebus.watch":
		err = s.Watch(d.PromptID)
	default:
		s.Unwatch(d.PromptID)
	}
	if err != nil {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.cause == nil {
			s.read(&reading{past: true, reply: Watching{PromptID: d.PromptID[:min(len(d.PromptID), promptIDMax)], Error: err.Error()}})
		}
	}
	return true
}

// Send sends p to this session only, and not to other sessions of the client: it is for
// an answer to a message of the client. The event has no cursor and is not kept. It may
// overtake events that wait for the session. p must not change any more. Send does not
// wait. It returns an [*EncodeError] if p cannot be encoded, and [ErrClosed] if the
// session has ended. If thousands of answers wait for the client already, the session ends
// with [ErrSlow].
func (s *Session) Send(p Payload) error {
	if _, err := (JSONCodec{}).Encode(Event{Payload: p}); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil {
		s.read(&reading{past: true, reply: p})
	}
	if s.cause != nil {
		return ErrClosed
	}
	return nil
}

// promptIDMax is the maximum length of a prompt's id in a request, in bytes.
const promptIDMax = 512
