package nodebus

import (
	"cmp"
	"slices"
)

// replay returns what s is due of the past, in order, and tells it of a gap if
// part of that is gone.
func (l *eventLog) replay(s *Session, since, last uint64) []*message {
	if since == 0 {
		return l.soFar(s)
	}
	from, unknown := since, since > last // from another process, or made up
	if unknown {
		from = 0
	}
	lost := max(l.lost.everyone, l.lost.clients.of(s.client))
	if s.watchAll {
		lost = max(lost, l.lost.all)
	}
	for _, id := range s.watch {
		lost = max(lost, l.lost.prompts.of(id))
	}
	var due []*message
	for _, st := range l.prompts {
		if s.isFor(&st.addr) {
			lost = max(lost, st.lost)
		} else if !st.mixed {
			continue
		}
		if st.last > from {
			due = st.appendTo(due, s, from)
		}
	}
	if from < lost {
		s.tellGap(from, lost)
	}
	due = l.lobby.appendTo(due, s, from)
	slices.SortFunc(due, byID)
	return due
}

// soFar returns what is kept of the prompts that s follows: those of its own
// that run, and those that it asked for.
func (l *eventLog) soFar(s *Session) (due []*message) {
	var lost uint64
	for id, st := range l.prompts {
		mine := s.isFor(&st.addr)
		if !mine && !st.mixed || st.over && !slices.Contains(s.watch, id) {
			continue
		}
		if mine {
			lost = max(lost, st.lost)
		}
		due = st.appendTo(due, s, 0)
	}
	if lost > 0 {
		s.tellGap(0, lost)
	}
	slices.SortFunc(due, byID)
	return due
}

func (s *Session) tellGap(since, lost uint64) {
	s.hello = append(slices.Clip(s.hello), Gap{Since: since, Next: lost + 1})
}

func byID(a, b *message) int { return cmp.Compare(a.id, b.id) }

// appendTo appends what is for s and newer than from.
func (st *story) appendTo(due []*message, s *Session, from uint64) []*message {
	for m := range st.q.All() {
		if m.id > from && s.isFor(m.to) {
			due = append(due, m.message)
		}
	}
	return due
}

// isFor reports whether s is due what is addressed to a.
func (s *Session) isFor(a *address) bool {
	switch {
	case a.to != "" && a.to == s.client:
		return true
	case a.promptID != "":
		_, found := slices.BinarySearch(s.watch, a.promptID)
		return s.watchAll || found
	}
	return a.to == ""
}

// unfinished returns what is kept of the prompts that run and that s follows, from
// before s joined.
func (l *eventLog) unfinished(s *Session) (kept []*message) {
	for _, st := range l.prompts {
		kept = append(kept, st.keptFor(s)...)
	}
	return kept
}

// keptFor returns what is kept of a prompt that runs for s from before s joined.
func (st *story) keptFor(s *Session) (kept []*message) {
	if st.over || !st.mixed && !s.isFor(&st.addr) {
		return nil
	}
	for m := range st.q.All() {
		if m.id <= s.from && s.isFor(m.to) {
			kept = append(kept, m.message)
		}
	}
	return kept
}

// release returns what is kept of messages, by kind and then by ID. kinds holds the kind of
// each message, less than n; messages without a kind and prompts without a message of
// kind 0 are left out.
func (l *eventLog) release(s *Session, kinds map[*message]int, n int) (due []*message) {
	byKind := make([][]*message, n)
	for _, st := range l.prompts {
		found := make([][]*message, n)
		for _, m := range st.keptFor(s) {
			if kind, ok := kinds[m]; ok {
				found[kind] = append(found[kind], m)
			}
		}
		for kind := range found {
			if len(found[0]) > 0 {
				byKind[kind] = append(byKind[kind], found[kind]...)
			}
		}
	}
	for _, messages := range byKind {
		slices.SortFunc(messages, byID)
		due = append(due, messages...)
	}
	return due
}
