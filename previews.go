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
// that what is sent out of order is what nothing newer has been said about. The
// progress of their prompts comes once more behind them: there are front ends that
// draw a preview only when they are told of progress.
func (s *Session) ReleasePreviews() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.held || s.cause != nil {
		return
	}
	s.held = false
	var previews, progress []*message
	for _, st := range s.hub.log.prompts {
		if st.over {
			continue
		}
		drawn := st.keeps(s, isPreview)
		if len(drawn) > 0 {
			previews = append(previews, drawn...)
			progress = append(progress, st.keeps(s, isProgress)...)
		}
	}
	slices.SortFunc(previews, byID)
	slices.SortFunc(progress, byID)
	s.push(append(previews, progress...))
}

func isProgress(m *message) bool {
	_, yes := m.payload.(Progress)
	return yes
}

// keeps is what the story had for s, of a kind, when s joined, and still has.
func (st *story) keeps(s *Session, is func(*message) bool) (all []*message) {
	for m := range st.q.All() {
		if m.id <= s.from && is(m.message) && s.isFor(m.to) {
			all = append(all, m.message)
		}
	}
	return all
}
