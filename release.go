package nodebus

import "slices"

// Release sends the events that were held; it is for servers that set [SessionOptions].Hold.
// It sends the kept events of prompts that the session follows, that began before the
// session joined, and that still run: first all events of the first type, then all events of
// the second type, and so on. The second and later types need not have been held; their kept
// events are then sent once more. If Hold does not contain the first type, Release does nothing.
//
// Each call sends once more what is still kept, and what the session has received of these
// prompts since it joined. This is for a client that drops events while it starts, like a web
// page that is still loading.
//
// Release leaves out prompts that have no event of the first type, events that a newer event
// has replaced, pictures (see [Preview].Final), which are never held, and prompts that have
// ended. Therefore the client never receives an older state of a node after a newer state of the
// same type. It also leaves out what earlier attempts of a prompt have sent, and the previews, progress
// and texts of nodes that have ended, as far as the newest [ProgressState] of the prompt says so.
func (s *Session) Release(types ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil || len(types) == 0 || !slices.Contains(s.holds, types[0]) {
		return
	}
	s.read(&reading{release: types})
}

// readReleased returns the messages that [Session.Release] sends.
func (s *Session) readReleased(r *reading) (p page, err error) {
	q := s.hub.runningFor(s)
	found := make([][]*message, len(r.release))
	begun, states := map[string]uint64{}, map[string]ProgressState{} // by prompt: of the newest attempt
	for q.After < q.UpTo && len(q.Prompts) > 0 {
		read, msgs, err := s.hub.readLog(q)
		if err != nil {
			return p, err
		}
		for _, m := range msgs {
			switch p := m.payload.(type) {
			case ExecutionStart:
				begun[m.to.promptID] = m.id
				delete(states, m.to.promptID)
			case ProgressState:
				states[m.to.promptID] = p
			}
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
	ended := endedNodes(states)
	for i, msgs := range found {
		found[i] = slices.DeleteFunc(msgs, func(m *message) bool {
			return m.id < begun[m.to.promptID] || ended[promptNode{m.to.promptID, nodeOf(m.payload)}]
		})
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

type promptNode struct{ promptID, node string }

// endedNodes returns the nodes that have ended. states has the newest state of each prompt.
func endedNodes(states map[string]ProgressState) map[promptNode]bool {
	ended := map[promptNode]bool{}
	for promptID, s := range states {
		for n := range s.each {
			if n.State != "running" && n.UniqueID != "" {
				ended[promptNode{promptID, n.UniqueID}] = true
			}
		}
	}
	return ended
}

// nodeOf returns the node whose unfinished work p shows, or "".
func nodeOf(p Payload) string {
	switch p := p.(type) {
	case Preview:
		return p.UniqueID
	case Progress:
		return p.UniqueID
	case ProgressText:
		return p.UniqueID
	}
	return ""
}

// runningFor returns a query for the events that s has received or left out, of the prompts
// that s follows, that began before s joined and that still run.
func (h *Hub) runningFor(s *Session) (q LogQuery) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	q.UpTo = max(s.joined, s.taken)
	for _, p := range h.dueAtJoin(s) {
		if !p.over && p.first <= s.joined {
			q.Prompts = append(q.Prompts, p.id)
		}
	}
	return q
}
