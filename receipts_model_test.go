package nodebus_test

import (
	"fmt"
	"slices"
	"time"
)

// receiptModel is a simple model of what a client without a cursor is sent when it
// connects: lists, and the rules of the receipts.
type receiptModel struct {
	last     uint64
	now      time.Duration
	prompts  []*receiptPrompt
	expected map[string]bool // client and prompt
	sessions []*receiptSession
}

// receiptPrompt is one life of a prompt's id.
type receiptPrompt struct {
	id, client string
	said       []receiptEvent
	outcome    uint64
	over       bool
	end        time.Duration
	awaited    bool // the client had a session, or expected the prompt, before the end
	confirmed  bool
}

type receiptEvent struct {
	id      uint64
	text    string
	outcome bool
}

func (e receiptEvent) String() string { return fmt.Sprint(e.id, " ", e.text) }

// receiptSession is a connection. seen was recorded by its transport, handed was passed to
// a Write that waits, and queue waits behind it.
type receiptSession struct {
	client          string
	confirms        bool // neither a cursor nor a transport that does not confirm
	paused          bool
	seen            []receiptEvent
	handed, queue   []receiptEvent
	asked, answered uint64
	unsettled       bool // a confirmed prompt is not closed, or its end waits
	askedAt         time.Duration
	got             []string
}

// receiptLate is how long after the end of a prompt a client may connect for the first
// time, and receiptWait how long a reconnect waits for a receipt on another connection.
const (
	receiptLate = 2 * time.Second
	receiptWait = 100 * time.Millisecond
)

// current returns the life of a prompt's id, or nil.
func (m *receiptModel) current(id string) *receiptPrompt {
	for _, p := range m.prompts {
		if p.id == id {
			return p
		}
	}
	return nil
}

// present reports whether a client has a session that confirms outcomes.
func (m *receiptModel) present(client string) bool {
	return slices.ContainsFunc(m.sessions, func(s *receiptSession) bool { return s.client == client && s.confirms })
}

func (m *receiptModel) publish(id, client, text string, outcome, closing bool) {
	p := m.current(id)
	if p != nil && p.over { // the id begins again
		m.prompts = slices.DeleteFunc(m.prompts, func(o *receiptPrompt) bool { return o == p })
		p = nil
	}
	if p == nil {
		key := client + " " + id
		p = &receiptPrompt{id: id, client: client, awaited: m.present(client) || m.expected[key]}
		delete(m.expected, key)
		m.prompts = append(m.prompts, p)
	}
	m.last++
	e := receiptEvent{m.last, text, outcome}
	p.said = append(p.said, e)
	if outcome {
		p.outcome = e.id
	}
	if closing {
		p.over, p.end = true, m.now
		p.awaited = p.awaited || m.present(client)
	}
	for _, s := range m.sessions {
		if s.client == client {
			s.queue = append(s.queue, e)
			m.flow(s)
		}
	}
}

// flow passes the queue on, as far as the transport takes it.
func (m *receiptModel) flow(s *receiptSession) {
	for {
		if len(s.handed) == 0 {
			s.handed, s.queue = s.queue, nil
			for _, e := range s.handed {
				if e.outcome {
					s.asked, s.askedAt = e.id, m.now
				}
			}
		}
		if s.paused || len(s.handed) == 0 {
			return
		}
		for _, e := range s.handed {
			s.got = append(s.got, e.String())
		}
		s.seen, s.handed = append(s.seen, s.handed...), nil
		if s.unsettled {
			m.settle(s)
		}
	}
}

// settle marks the prompts that the client has answered for and that have left our
// buffers.
func (m *receiptModel) settle(s *receiptSession) {
	if !s.confirms || len(s.seen) == 0 {
		return
	}
	for _, p := range m.prompts {
		if p.client == s.client && p.over && p.outcome > 0 && p.outcome <= s.answered && p.said[len(p.said)-1].id <= s.newest() {
			p.confirmed = true
		}
	}
	s.unsettled = m.outstanding(s)
}

// newest returns the ID of the newest event that the transport has taken.
func (s *receiptSession) newest() (id uint64) {
	for _, e := range s.seen {
		id = max(id, e.id)
	}
	return id
}

func (m *receiptModel) confirm(s *receiptSession, id uint64) {
	if id <= s.asked {
		s.answered = max(s.answered, id)
	}
	m.settle(s)
}

func (m *receiptModel) confirmWritten(s *receiptSession) {
	s.answered = max(s.answered, s.newest())
	m.settle(s)
}

func (m *receiptModel) expect(client, id string) {
	if !m.present(client) {
		return
	}
	if p := m.current(id); p != nil && !p.over {
		if p.client == client {
			p.awaited = true
		}
		return
	}
	m.expected[client+" "+id] = true
}

// owed reports whether a connection of the client has a recent outcome without a receipt.
// perhaps is also true for a connection that has not noticed that the receipt of another
// connection, or a new life of the prompt, has settled what it waits for. Neither is true if
// the client has confirmed all outcomes.
func (m *receiptModel) owed(client string) (surely, perhaps bool) {
	if !slices.ContainsFunc(m.prompts, func(p *receiptPrompt) bool { return p.client == client && !p.confirmed && p.outcome > 0 }) {
		return false, false
	}
	for _, s := range m.sessions {
		if s.client == client && s.confirms && m.now-s.askedAt < 2*time.Second {
			surely = surely || s.answered < s.asked || m.outstanding(s)
			perhaps = perhaps || surely || s.unsettled
		}
	}
	return surely, perhaps
}

// outstanding reports whether a prompt that the client has answered for is not confirmed.
func (m *receiptModel) outstanding(s *receiptSession) bool {
	return slices.ContainsFunc(m.prompts, func(p *receiptPrompt) bool {
		return p.client == s.client && !p.confirmed && p.outcome > 0 && p.outcome <= s.answered
	})
}

// join adds a session. cursor is true for a client that asks for the events from now on.
func (m *receiptModel) join(s *receiptSession, cursor bool) {
	var due []receiptEvent
	for _, p := range m.prompts {
		if p.client != s.client || cursor {
			continue
		}
		switch {
		case !p.over:
			p.awaited = p.awaited || s.confirms
		case !s.confirms, p.confirmed, p.outcome == 0, !p.awaited && m.now-p.end > receiptLate:
			continue
		}
		due = append(due, p.said...)
	}
	slices.SortFunc(due, func(a, b receiptEvent) int { return int(a.id) - int(b.id) })
	s.queue = due
	m.sessions = append(m.sessions, s)
	m.flow(s)
}

func (m *receiptModel) leave(s *receiptSession) {
	m.sessions = slices.DeleteFunc(m.sessions, func(o *receiptSession) bool { return o == s })
}
