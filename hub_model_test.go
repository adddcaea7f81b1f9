package nodebus_test

import (
	"fmt"
	"slices"
	"time"
)

// hubModelRetain is the Retain of the hub. All actions happen at multiples of ten
// seconds, so it is always clear whether an event has expired.
const hubModelRetain = 55 * time.Second

// hubModel is a simple model of the hub: lists of events and the rules, without
// optimizations.
type hubModel struct {
	last     uint64
	now      time.Duration
	keepLen  int
	queueLen int
	prompts  map[string]*hubModelPrompt // by prompt; "" for events without a prompt
	closed   map[string]bool            // prompts that ended and are not kept any more
	ended    []*hubModelPrompt          // in the order in which the prompts ended
	running  []*hubModelPrompt          // the prompt whose newest event is oldest is first
	lost     []hubModelEvent
	sessions []*hubModelSession
}

type hubModelEvent struct {
	id         uint64
	prompt, to string
	key        string // empty: the event is never replaced
	text       string
	at         time.Duration
	steps      int // number of steps of the prompt before it
}

type hubModelPrompt struct {
	kept  []hubModelEvent
	to    string // the client of its first event
	mixed bool   // not all events have the same client
	lost  uint64 // newest event that was dropped to make room while the prompt ran
	steps int
	over  bool
	since time.Duration // time of the end
}

type hubModelSession struct {
	client  string
	watch   []string
	all     bool
	paused  bool
	writing []string        // events of the Write that waits
	waiting []hubModelEvent // events in the queue behind it
	cursors bool            // the session joined with a cursor
	pos     uint64          // everything up to here is written, being written, or in behind or waiting
	behind  *hubModelRange  // what the session must read from the log before waiting
	got     []string
	slow    bool
}

type hubModelRange struct{ after, upTo uint64 }

func (s *hubModelSession) isFor(e hubModelEvent) bool {
	if e.to != "" && e.to == s.client {
		return true
	}
	if e.prompt != "" {
		return s.all || slices.Contains(s.watch, e.prompt)
	}
	return e.to == ""
}

func (e hubModelEvent) String() string { return fmt.Sprint(e.id, " ", e.text) }

// publish adds an event and reports whether the hub accepts it.
func (m *hubModel) publish(e hubModelEvent, starts, step, ends bool) bool {
	st := m.prompts[e.prompt]
	if st != nil && st.over || st == nil && m.closed[e.prompt] {
		if !starts {
			return false
		}
		if st != nil {
			m.drop(st)
			st = nil
		}
		delete(m.closed, e.prompt)
	}
	if st == nil {
		st = &hubModelPrompt{to: e.to, steps: int(m.last)} // an earlier prompt of this id has other numbers
		m.prompts[e.prompt] = st
	}
	st.mixed = st.mixed || e.to != st.to
	m.last++
	e.id, e.at, e.steps = m.last, m.now, st.steps
	if e.prompt == "" {
		e.steps = 0
	} else if step {
		st.steps++
	}
	for _, s := range m.sessions {
		if s.isFor(e) {
			m.deliver(s, e)
		}
	}
	st.kept = append(slices.DeleteFunc(st.kept, func(o hubModelEvent) bool { return replaces(e, o) && e.to == o.to }), e)
	m.running = slices.DeleteFunc(m.running, func(o *hubModelPrompt) bool { return o == st })
	switch {
	case e.prompt != "" && ends:
		st.over, st.since = true, m.now
		m.ended = append(m.ended, st)
	case e.prompt != "":
		m.running = append(m.running, st)
	}
	m.makeRoom(st)
	return true
}

func replaces(e, older hubModelEvent) bool { return e.key != "" && e.key == older.key }

func (m *hubModel) deliver(s *hubModelSession, e hubModelEvent) {
	switch {
	case s.slow:
	case !s.paused:
		s.got, s.pos = append(s.got, e.String()), e.id
	case len(s.writing) == 0:
		s.writing, s.pos = []string{e.String()}, e.id
	default:
		s.waiting = append(slices.DeleteFunc(s.waiting, func(o hubModelEvent) bool { return replaces(e, o) && e.steps == o.steps }), e)
		if len(s.waiting) <= m.queueLen {
			return
		}
		if s.behind == nil { // the client has, or does not need, everything before the first that waits
			s.behind = &hubModelRange{after: max(s.pos, s.waiting[0].id-1)}
		}
		s.waiting = nil
		s.behind.upTo, s.pos = e.id, e.id
	}
}

func (m *hubModel) count() (n int) {
	for _, st := range m.prompts {
		n += len(st.kept)
	}
	return n
}

func (m *hubModel) makeRoom(current *hubModelPrompt) {
	shift := func(st *hubModelPrompt) {
		m.lost = append(m.lost, st.kept[0])
		if !st.mixed {
			st.lost = st.kept[0].id
		}
		st.kept = st.kept[1:]
	}
	for m.count() > m.keepLen {
		general := m.prompts[""]
		switch {
		case len(m.ended) > 0 && m.ended[0] != current:
			m.drop(m.ended[0])
		case general != nil && len(general.kept) > 0:
			shift(general)
		case len(current.kept) > 1:
			shift(current)
		case len(m.running) > 0 && m.running[0] != current:
			m.drop(m.running[0])
		default:
			return
		}
	}
}

func (m *hubModel) drop(st *hubModelPrompt) {
	m.lost = append(m.lost, st.kept...)
	is := func(o *hubModelPrompt) bool { return o == st }
	m.ended, m.running = slices.DeleteFunc(m.ended, is), slices.DeleteFunc(m.running, is)
	for id, o := range m.prompts {
		if o == st {
			delete(m.prompts, id)
			if st.over {
				m.closed[id] = true
			}
		}
	}
}

// advance lets time pass and drops expired events.
func (m *hubModel) advance(d time.Duration) {
	m.now += d
	for len(m.ended) > 0 && m.ended[0].since+hubModelRetain < m.now {
		m.drop(m.ended[0])
	}
	if general := m.prompts[""]; general != nil {
		for len(general.kept) > 0 && general.kept[0].at+hubModelRetain < m.now {
			m.lost = append(m.lost, general.kept[0])
			general.kept = general.kept[1:]
		}
	}
}

// join adds s with its replay. ours is true if since is an ID of the hub.
func (m *hubModel) join(s *hubModelSession, ours bool, since uint64) {
	var greeting []string
	switch {
	case !s.cursors:
		for id, st := range m.prompts {
			if id == "" || st.over && !slices.Contains(s.watch, id) {
				continue
			}
			for _, e := range st.kept {
				if s.isFor(e) {
					greeting = append(greeting, e.String())
				}
			}
		}
		slices.SortFunc(greeting, byNumber)
	case ours && since <= m.last:
		greeting = m.read(s, hubModelRange{since, m.last})
	default:
		due, lost := m.kept(s, hubModelRange{0, m.last})
		next := max(lost+1, m.last+1)
		if len(due) > 0 {
			next = max(lost+1, due[0].id)
		}
		greeting = append(greeting, fmt.Sprintf("0 gap 0-%d", next))
		for _, e := range due {
			greeting = append(greeting, e.String())
		}
	}
	if s.pos = m.last; s.paused {
		s.writing = greeting
	} else {
		s.got = greeting
	}
	m.sessions = append(m.sessions, s)
}

// byNumber compares texts by the number at their start.
func byNumber(a, b string) int {
	var x, y int
	_, _ = fmt.Sscan(a, &x)
	_, _ = fmt.Sscan(b, &y)
	return x - y
}

// kept returns the kept events for s in a range, and the newest lost ID.
func (m *hubModel) kept(s *hubModelSession, r hubModelRange) (due []hubModelEvent, lost uint64) {
	for _, e := range m.lost {
		if s.isFor(e) && e.id > r.after {
			lost = max(lost, min(e.id, r.upTo))
		}
	}
	for _, st := range m.prompts {
		for _, e := range st.kept {
			if e.id > r.after && e.id <= r.upTo && s.isFor(e) {
				due = append(due, e)
			}
		}
	}
	slices.SortFunc(due, func(a, b hubModelEvent) int { return int(a.id) - int(b.id) })
	return due, lost
}

// read returns what a session with a cursor is sent for a range.
func (m *hubModel) read(s *hubModelSession, r hubModelRange) (sent []string) {
	due, lost := m.kept(s, r)
	if lost > 0 {
		sent = append(sent, fmt.Sprintf("%d gap %d-%d", r.after, r.after, lost+1))
	}
	for _, e := range due {
		sent = append(sent, e.String())
	}
	return sent
}

// resume ends the pause of s.
func (m *hubModel) resume(s *hubModelSession) {
	s.paused = false
	if s.slow {
		return
	}
	s.got = append(s.got, s.writing...)
	if r := s.behind; r != nil {
		if _, lost := m.kept(s, *r); lost > 0 && !s.cursors {
			s.slow = true
			return
		}
		s.got = append(s.got, m.read(s, *r)...)
	}
	for _, e := range s.waiting {
		s.got = append(s.got, e.String())
	}
	s.writing, s.waiting, s.behind, s.pos = nil, nil, nil, m.last
}
