package nodebus

import "slices"

// holdPreviews takes the previews out of the replay. The log still has them.
func (s *Session) holdPreviews() {
	n := len(s.first)
	s.first = slices.DeleteFunc(s.first, isPreview)
	s.held = len(s.first) < n
}

func isPreview(m *message) bool {
	_, yes := m.payload.(Preview)
	return yes
}

// ReleasePreviews sends the previews that were held (see SessionOptions). One that
// a newer one has replaced, or whose prompt has ended, nobody needs any more, so
// that what is sent out of order is what nothing newer has been said about.
func (s *Session) ReleasePreviews() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held || s.cause != nil {
		return
	}
	s.held = false
	var due []*message
	for _, st := range s.hub.log.prompts {
		if st.over {
			continue
		}
		for m := range st.q.All() {
			if m.id <= s.from && isPreview(m.message) && s.isFor(m.to) {
				due = append(due, m.message)
			}
		}
	}
	slices.SortFunc(due, byID)
	s.push(due)
}
