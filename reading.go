package nodebus

import (
	"cmp"
	"fmt"
	"slices"
	"time"
)

// A session reads from the log what its queue does not have: what the client missed, the
// prompts of its own that run, the past of a prompt that it begins to watch, and the
// events that found no room in the queue.

const (
	// pageLen and pageBytes limit the events that a session reads from the log at once.
	pageLen   = 1024
	pageBytes = 1 << 20
)

// reading is a part of the log that a session must read before it continues with its
// queue.
type reading struct {
	query LogQuery // After moves forward with each page
	// queued is an ID: events in the queue up to this ID are written before the reading.
	queued uint64
	// tail is true for the part of the log up to Session.from. If the queue overflows, it
	// becomes longer.
	tail      bool
	announced uint64 // the newest lost ID of the gaps so far
	// exact is true if the client has received the events before the reading: a session
	// without cursors cannot be told about lost events, so it ends.
	exact bool
	// otherLife is true if the client's cursor is of another life of the log, until the
	// gap is announced.
	otherLife bool
	// fresh is true if the client has nothing that a gap could be in.
	fresh   bool
	hold    []string // event types to leave out
	release []string // see Session.Release; the reading then has no query
	// past is true if the events are older than events that the client already has. They
	// are sent without a cursor.
	past    bool
	dropped bool    // the session does not watch the prompt of the past any more
	reply   Payload // sent at the end; may be nil
}

// page holds the messages of one page, and what goes before and after them.
type page struct {
	gap   Payload // sent before the messages; nil without a gap
	msgs  []*message
	reply Payload // sent after the messages; nil if the reading continues
	past  bool
}

// readLog calls the log. It holds no lock.
func (h *Hub) readLog(q LogQuery) (found LogPage, msgs []*message, err error) {
	q.Limit, q.LimitBytes = pageLen, pageBytes
	err = Protect(func() (err error) {
		found, err = h.log.Read(q)
		return err
	})
	if err != nil {
		return found, nil, fmt.Errorf("nodebus: the log cannot be read: %w", err)
	}
	msgs = make([]*message, 0, len(found.Events))
	for i := range found.Events {
		m, _ := found.Events[i].message()
		if m == nil {
			m = newMessage(&found.Events[i])
		}
		msgs = append(msgs, m)
	}
	return found, msgs, nil
}

// readPage reads the next page of the first reading into w. Only the writer calls it.
//
//go:noinline
func (s *Session) readPage(w *outgoing) (err error) {
	if w.reading.release != nil {
		w.page, err = s.readReleased(w.reading)
		return err
	}
	w.page, err = s.nextPage(w.reading, w.query)
	return err
}

// nextPage reads the next page of a reading.
func (s *Session) nextPage(r *reading, q LogQuery) (p page, err error) {
	var found LogPage
	if q.Own || q.All || len(q.Prompts) > 0 { // otherwise the reading has only a reply
		if found, p.msgs, err = s.hub.readLog(q); err != nil {
			return p, err
		}
	}
	p.past = r.past
	if len(r.hold) > 0 {
		p.msgs = slices.DeleteFunc(p.msgs, func(m *message) bool {
			_, hold := m.typeIn(r.hold)
			return hold && !m.isPicture()
		})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p.msgs = slices.DeleteFunc(p.msgs, func(m *message) bool { return !s.mayReplay(r, m) })
	if err := s.announceGap(r, &q, &found, &p); err != nil {
		return p, err
	}
	s.turnPage(r, &q, &found, &p)
	return p, nil
}

// mayReplay reports whether a message that was read is for the session. s.mu is held.
func (s *Session) mayReplay(r *reading, m *message) bool {
	switch {
	case s.cause != nil:
		return false
	case r.past: // the session already has its own events
		return !r.dropped && (m.to.to == "" || m.to.to != s.client)
	}
	return s.mayReceive(m)
}

// mayReceive reports whether a message is for the session: it may have left the prompt, or
// have read the message as a part of the past. s.mu is held.
func (s *Session) mayReceive(m *message) bool {
	if m.to.promptID == "" || m.to.to != "" && m.to.to == s.client || s.watchAll {
		return true
	}
	after, watches := s.watch[m.to.promptID]
	return watches && m.id > after
}

// announceGap adds a gap to the page if events are lost. s.mu is held.
func (s *Session) announceGap(r *reading, q *LogQuery, found *LogPage, p *page) error {
	if found.Lost <= r.announced && !r.otherLife || r.fresh {
		return nil
	}
	if w, ok := r.reply.(Watching); ok { // a gap would move the cursor of the client
		w.Incomplete = true
		r.reply = w
		return nil
	}
	r.announced = found.Lost
	if !s.cursors {
		if r.exact {
			return ErrSlow
		}
		return nil
	}
	gap := Gap{Since: q.After, Next: found.Lost + 1}
	if r.otherLife && len(p.msgs) > 0 {
		gap.Next = max(gap.Next, p.msgs[0].id)
	} else if r.otherLife {
		gap.Next = max(gap.Next, q.UpTo+1)
	}
	r.otherLife = false
	p.gap = gap
	s.gaps++
	return nil
}

// turnPage moves the reading forward. At its end, it removes the reading. s.mu is held.
func (s *Session) turnPage(r *reading, q *LogQuery, found *LogPage, p *page) {
	if len(s.readings) == 0 || s.readings[0] != r { // the session has ended
		return
	}
	if n := len(found.Events); found.More && n > 0 && !r.dropped {
		r.query.After = found.Events[n-1].ID
	} else {
		r.query.After = q.UpTo
	}
	r.exact = true
	if !r.past {
		s.taken = max(s.taken, r.query.After)
	}
	if r.query.After >= r.query.UpTo {
		p.reply = r.reply
		s.readings = slices.Delete(s.readings, 0, 1)
	}
}

// fallBehind makes the session read the events up to id from the log instead of its
// queue. s.mu is held. Only the shard's worker calls it.
func (s *Session) fallBehind(id uint64) {
	if s.include != nil { // the log does not know which events Include has accepted
		s.end(ErrSlow)
		return
	}
	after := max(s.taken, s.from)
	if oldest, ok := s.q.Peek(); ok { // the client has everything before it
		after = max(after, oldest.id-1)
	}
	s.q.Clear()
	s.fellBehind++
	s.from = id
	if n := len(s.readings); n > 0 && s.readings[n-1].tail {
		s.readings[n-1].query.UpTo = id
		return
	}
	q := s.ownQuery()
	q.After, q.UpTo = after, id
	s.readings = append(s.readings, &reading{query: q, tail: true, exact: true})
}

// skip makes the session read the events up to id from the log. Only the shard's worker
// calls it.
func (s *Session) skip(id uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause == nil && s.from < id {
		s.fallBehind(id)
		s.signal()
	}
}

// ownQuery returns a query for the events that the session receives. s.mu is held.
func (s *Session) ownQuery() LogQuery {
	q := LogQuery{Own: true, Client: s.client, All: s.watchAll}
	for p := range s.watch {
		q.Prompts = append(q.Prompts, p)
	}
	return q
}

// follows reports whether the session receives m without Include.
func (s *Session) follows(m *message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.mayReceive(m)
}

// begin decides what the session reads first. It returns the place that the greeting
// names: with it, a client whose connection breaks before the first event can continue
// at the right event. A cursor of another life stays until the client has the gap. ahead
// is true if the client has received events that the hub has not yet received, see
// isAhead. h.mu is held.
func (h *Hub) begin(s *Session, opts *SessionOptions, ahead bool) (start Cursor) {
	from := h.lastID
	if ahead {
		from = max(from, opts.Since.ID)
	}
	s.from, s.joined = from, from
	if opts.Since != (Cursor{}) {
		r := &reading{query: s.ownQuery(), tail: true, hold: opts.Hold}
		r.query.UpTo = from
		if opts.Since.Epoch == h.epoch && opts.Since.ID <= from {
			r.query.After = opts.Since.ID
		} else {
			r.otherLife = true
		}
		if r.query.After < from || r.otherLife {
			s.readings = append(s.readings, r)
		}
		s.taken, s.resumed = r.query.After, true
		return opts.Since
	}
	due := h.dueAtJoin(s)
	first := from + 1
	q := LogQuery{UpTo: from}
	for _, p := range due {
		q.Prompts = append(q.Prompts, p.id)
		first = min(first, p.first)
		if n := p.now; opts.Current && !p.over && n.UniqueID != "" && p.isOf(s.client) {
			shown := cmp.Or(n.DisplayID, n.UniqueID)
			s.hello = append(slices.Clip(s.hello), Executing{UniqueID: shown, DisplayID: shown, PromptID: p.id})
		}
	}
	q.After = first - 1
	if len(q.Prompts) > 0 {
		s.readings = append(s.readings, &reading{query: q, hold: opts.Hold})
	}
	only := LogQuery{UpTo: from} // prompts that only the log may know
	for id := range s.watch {
		if h.index.prompts[id] == nil {
			only.Prompts = append(only.Prompts, id)
		}
	}
	if len(only.Prompts) > 0 {
		s.readings = append(s.readings, &reading{query: only, hold: opts.Hold, fresh: true})
	}
	return Cursor{h.epoch, first - 1}
}

// isAhead reports whether c is a place in the log that the log has not yet passed on to
// this hub. Hubs that share a log receive an event at different times, so a client may
// bring the cursor of an event that only the other hub has received. While the log is away, it
// is asked again: a client that had to hear of a Gap then would have missed nothing.
func (h *Hub) isAhead(c Cursor) bool {
	for range placeTries {
		h.mu.Lock()
		newer := c.Epoch == h.epoch && c.ID > h.lastID && !h.closed
		h.mu.Unlock()
		if !newer {
			return false
		}
		if at := h.newestPlace(); at != (Cursor{}) {
			return at.Epoch == c.Epoch && c.ID <= at.ID
		}
	}
	return false
}

// newestPlace asks the log for its newest place, not earlier than now. It returns the zero
// Cursor if the log fails.
func (h *Hub) newestPlace() Cursor {
	a, wait, own := h.places.join(time.Now())
	if !own {
		<-a.answered
		return a.at
	}
	if wait > 0 {
		time.Sleep(wait)
	}
	h.places.begin()
	defer close(a.answered)
	_ = Protect(func() error {
		at, stop, err := h.log.Follow(func(Event) {})
		if err != nil {
			return err
		}
		a.at = at
		stop()
		return nil
	})
	return a.at
}

// dueAtJoin returns the prompts whose events a session without a cursor receives first,
// each once. h.mu is held.
func (h *Hub) dueAtJoin(s *Session) (due []*promptState) {
	if c := h.index.clients[s.client]; c != nil {
		due = c.due(s.confirms, time.Now())
	}
	add := func(p *promptState) {
		if p != nil && (!p.isOf(s.client) || !slices.Contains(due, p)) {
			due = append(due, p)
		}
	}
	if s.watchAll {
		for _, p := range h.index.prompts {
			if _, watched := s.watch[p.id]; !p.over && !watched {
				add(p)
			}
		}
	}
	for id := range s.watch {
		add(h.index.prompts[id])
	}
	return due
}

// isPicture reports whether m is a finished picture. Pictures are not held, because they must
// come before the outputs of their node.
func (m *message) isPicture() bool {
	p, ok := m.payload.(Preview)
	return ok && p.Final != 0
}

// typeIn returns the event type of m. ok is true if types contains it. No lock is held.
func (m *message) typeIn(types []string) (typ string, ok bool) {
	_ = Protect(func() error {
		typ = m.typeName()
		return nil
	})
	return typ, slices.Contains(types, typ)
}
