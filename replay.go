package nodebus

import (
	"cmp"
	"slices"
)

// replay returns the kept events for s that are newer than since, in order of IDs. If a
// part of them is lost, it adds a [Gap] to the greeting of s. last is the newest ID of
// the hub.
func (l *eventLog) replay(s *Session, since, last uint64) []*message {
	if since == 0 {
		return l.soFar(s)
	}
	from := since
	if since > last { // the ID is not from this hub
		from = 0
	}
	lost := max(l.lost.broadcast, l.lost.clients.of(s.client))
	if s.watchAll {
		lost = max(lost, l.lost.all)
	}
	for _, id := range s.watch {
		lost = max(lost, l.lost.prompts.of(id))
	}
	var due []*message
	for _, p := range l.prompts {
		if s.isFor(&p.addr) {
			lost = max(lost, p.lost)
		} else if !p.mixed {
			continue
		}
		if p.last > from {
			due = p.appendTo(due, s, from)
		}
	}
	if from < lost {
		s.announceGap(from, lost)
	}
	due = l.general.appendTo(due, s, from)
	slices.SortFunc(due, byID)
	return due
}

// soFar returns the kept events of the prompts that s follows: the client's own prompts
// that run, and the prompts that s watches.
func (l *eventLog) soFar(s *Session) (due []*message) {
	var lost uint64
	for id, p := range l.prompts {
		mine := s.isFor(&p.addr)
		if !mine && !p.mixed || p.over && !s.watches(id) {
			continue
		}
		if mine {
			lost = max(lost, p.lost)
		}
		due = p.appendTo(due, s, 0)
	}
	if lost > 0 {
		s.announceGap(0, lost)
	}
	slices.SortFunc(due, byID)
	return due
}

// announceGap adds a Gap to the greeting.
func (s *Session) announceGap(since, lost uint64) {
	s.hello = append(slices.Clip(s.hello), Gap{Since: since, Next: lost + 1})
}

func byID(a, b *message) int { return cmp.Compare(a.id, b.id) }

// appendTo appends the events for s that are newer than from.
func (p *promptLog) appendTo(due []*message, s *Session, from uint64) []*message {
	for m := range p.q.All() {
		if m.id > from && s.isFor(m.to) {
			due = append(due, m.message)
		}
	}
	return due
}

// isFor reports whether s receives events with the address a, not counting Include. It
// needs no lock.
func (s *Session) isFor(a *address) bool {
	switch {
	case a.to != "" && a.to == s.client:
		return true
	case a.promptID != "":
		return s.watchAll || s.watches(a.promptID)
	}
	return a.to == ""
}

// watches reports whether Watch contains the prompt.
func (s *Session) watches(promptID string) bool {
	_, found := slices.BinarySearch(s.watch, promptID)
	return found
}

// unfinished returns the kept events, from before s joined, of running prompts that s
// follows.
func (l *eventLog) unfinished(s *Session) (kept []*message) {
	for _, p := range l.prompts {
		kept = append(kept, p.keptFor(s)...)
	}
	return kept
}

// keptFor returns the kept events for s, from before s joined, if the prompt still
// runs.
func (p *promptLog) keptFor(s *Session) (kept []*message) {
	if p.over || !p.mixed && !s.isFor(&p.addr) {
		return nil
	}
	for m := range p.q.All() {
		if m.id <= s.from && s.isFor(m.to) {
			kept = append(kept, m.message)
		}
	}
	return kept
}

// release returns the messages in kinds that are still kept for s, sorted by kind and
// then by ID. kinds holds the kind of each message, from 0 to n-1. It leaves out
// messages without a kind, and prompts without a message of kind 0.
func (l *eventLog) release(s *Session, kinds map[*message]int, n int) (due []*message) {
	byKind := make([][]*message, n)
	for _, p := range l.prompts {
		found := make([][]*message, n)
		for _, m := range p.keptFor(s) {
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
