package nodebus

import "slices"

// Release sends the events that were held; it is for servers that set [SessionOptions].Hold.
// It sends the kept events, from before the session joined, of running prompts that the
// session follows: first all events of the first type, then all events of the second type,
// and so on. If no event of the first type is held, Release does nothing, so a second call
// with the same first type does nothing.
//
// The second and later types need not have been held; their kept events are then sent
// once more. Release leaves out prompts that have no event of the first type, events
// that a newer event has replaced, pictures (see [Preview].Final), which are never held, and
// prompts that have ended. Therefore the client
// never receives an outdated state after a newer one.
func (s *Session) Release(types ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || len(types) == 0 || !slices.Contains(s.holds, types[0]) {
		return
	}
	s.holds = slices.DeleteFunc(s.holds, func(typ string) bool { return slices.Contains(types, typ) })
	s.read(&reading{release: types})
}

// readReleased returns the messages that [Session.Release] sends.
func (s *Session) readReleased(r *reading) (p page, err error) {
	q := s.hub.runningFor(s)
	found := make([][]*message, len(r.release))
	for q.After < q.UpTo && len(q.Prompts) > 0 {
		read, msgs, err := s.hub.readLog(q)
		if err != nil {
			return p, err
		}
		for _, m := range msgs {
			if typ, ok := m.typeIn(r.release); ok && !m.isPicture() {
				i := slices.Index(r.release, typ)
				found[i] = append(found[i], m)
			}
		}
		q.After = q.UpTo
		if read.More && len(msgs) > 0 {
			q.After = msgs[len(msgs)-1].id
		}
	}
	prompts := map[string]bool{}
	for _, m := range found[0] {
		prompts[m.to.promptID] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, msgs := range found {
		for _, m := range msgs {
			if prompts[m.to.promptID] && s.mayReplay(r, m) {
				p.msgs = append(p.msgs, m)
			}
		}
	}
	if len(s.readings) > 0 && s.readings[0] == r {
		s.readings = slices.Delete(s.readings, 0, 1)
	}
	return p, nil
}

// runningFor returns a query for the events, from before s joined, of the running
// prompts that s follows.
func (h *Hub) runningFor(s *Session) (q LogQuery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	q.UpTo = s.joined
	for _, p := range h.dueAtJoin(s) {
		if !p.over {
			q.Prompts = append(q.Prompts, p.id)
		}
	}
	return q
}
