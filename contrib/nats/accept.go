package nats

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/stored"
)

// entry is an event that waits to be sent, or to be seen by the reader.
type entry struct {
	record
	ev     nodebus.Event
	beside []byte // the data of a preview; its record has the name
	begins bool   // the event may be the first event of a prompt that has ended
	weight int    // bytes that the event takes while it waits; 0: it needs no room
}

// state is what the events that the reader has not seen say about a prompt.
type state struct {
	events  int
	anew    bool // the prompt has begun again, or was dropped: what the cache says is old
	over    bool
	attempt int
}

// Append implements [nodebus.Log]. It waits only while 8 MiB wait for NATS. A preview does
// not wait: if there is no room, nobody receives it.
func (l *eventLog) Append(ev nodebus.Event) error {
	e, err := newEntry(&ev)
	if err != nil {
		return err
	}
	if e.weight > eventBytes {
		return fmt.Errorf("nats: an event of %d bytes: the largest event of the log has %d bytes; keep large data elsewhere, and publish where it is", e.weight, eventBytes)
	}
	if _, ok := ev.Payload.(nodebus.Preview); ok && e.kind == recordBinary {
		l.beside.name(e)
	}
	return l.add(e)
}

// newEntry returns the entry of an event.
func newEntry(ev *nodebus.Event) (*entry, error) {
	f, foreign, err := stored.Encode(ev)
	if err != nil {
		return nil, err
	}
	_, start := ev.Payload.(nodebus.ExecutionStart)
	e := &entry{ev: *ev, begins: start || f.Outcome}
	e.ev.Attempt = min(max(ev.Attempt, 0), math.MaxInt32) // as the others read it
	e.record = record{kind: recordEvent, promptID: ev.PromptID, to: ev.To, attempt: e.ev.Attempt, data: f.Data}
	switch {
	case foreign:
		if err := e.asForeign(ev.Payload, f.Binary); err != nil {
			return nil, err
		}
	case f.Binary:
		e.kind = recordBinary
	}
	e.weight = e.size()
	return e, nil
}

// takeTurn waits until e is the first that waits for room: otherwise small events would take
// all room that a large event waits for. l.mu is held before and after, and not meanwhile.
func (l *eventLog) takeTurn() (leave func()) {
	l.queued++
	l.mu.Unlock()
	l.turn <- struct{}{}
	l.mu.Lock()
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.queued--
		<-l.turn
	}
}

// add waits for room, and queues an entry for the writer.
func (l *eventLog) add(e *entry) error {
	l.mu.Lock()
	known := l.read // what comes while e waits may say that its attempt is over
	l.mu.Unlock()
	for first := false; ; {
		l.mu.Lock()
		if others := l.queued > 0 && e.weight > 0; !first && e.beside == nil && (others || l.isFull(e)) {
			first = true
			defer l.takeTurn()()
		}
		for l.refusal() == nil && l.isFull(e) && e.beside == nil {
			changed := l.changed
			l.mu.Unlock()
			<-changed
			l.mu.Lock()
		}
		read, err := l.read, l.refusal()
		l.mu.Unlock()
		if err != nil {
			return err
		}
		old, over := error(nil), false
		if e.promptID != "" && e.kind != recordDrop {
			old, over = l.cache.Check(e.ev), l.cache.Closed(e.promptID)
		}
		l.mu.Lock()
		full := l.isFull(e)
		// The reader has changed what the cache says, or others have taken the room.
		if l.read != read || l.refusal() != nil || full && e.beside == nil {
			l.mu.Unlock()
			continue
		}
		defer l.mu.Unlock()
		now, may := l.after(e, old, over)
		switch {
		case !may:
			return nodebus.ErrClosed
		case full: // it is a preview
			return nil
		}
		if e.begins && e.promptID != "" {
			l.accept(l.begins(e, known), state{})
		}
		l.accept(e, now)
		return nil
	}
}

// begins returns the entry that says, before e, how far this process had read when e came: so
// readers can tell the first event of a new prompt from a late event of an old prompt with its id.
// l.mu is held.
func (l *eventLog) begins(e *entry, known uint64) *entry {
	read := idOf(known+1, 0) - 1
	if s := l.prompts[e.promptID]; s != nil && (s.over || s.anew) { // the end is on its way, before e
		read = math.MaxUint64
	}
	return &entry{record: record{kind: recordBegins, promptID: e.promptID, data: binary.AppendUvarint(nil, read)}}
}

// taken says that this process has taken a prompt whose number of attempts is given, or has
// removed the prompt: events of earlier attempts that other processes store after this are left
// out. Each lease of a prompt has a larger number. taken does not wait.
func (l *eventLog) taken(promptID string, attempt int, lease uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if attempt > 1 && l.refusal() == nil {
		r := record{kind: recordTaken, promptID: promptID, attempt: attempt, data: binary.AppendUvarint(nil, lease)}
		l.accept(&entry{record: r}, state{})
	}
}

// refusal returns why the log accepts nothing. l.mu is held.
func (l *eventLog) refusal() error {
	if l.failed == nil && l.closing {
		return nodebus.ErrClosed
	}
	return l.failed
}

// isFull reports whether there is no room for e. An event that is larger than all room has
// room when it is alone. l.mu is held.
func (l *eventLog) isFull(e *entry) bool {
	return l.bytes > 0 && e.weight > 0 && l.bytes+e.weight > waitingBytes
}

// accept queues e for the writer. now is what e says about its prompt. l.mu is held.
func (l *eventLog) accept(e *entry, now state) {
	if e.promptID != "" && !e.isNote() {
		now.events++
		l.prompts[e.promptID] = &now
	}
	l.accepted++
	l.waiting = append(l.waiting, e)
	l.bytes += e.weight
	if len(l.waiting) == 1 {
		l.change()
	}
}

// after returns what is known about the prompt of e after e. It returns false if e may not
// follow. old is what the cache says about e, and over whether the prompt has ended there.
// l.mu is held.
func (l *eventLog) after(e *entry, old error, over bool) (now state, ok bool) {
	if e.promptID == "" {
		return now, true
	}
	if s := l.prompts[e.promptID]; s != nil {
		now = *s
	}
	s := now
	switch {
	case e.kind == recordDrop:
		return state{events: s.events, anew: true}, true
	case s.over && !e.begins, !s.over && e.attempt > 0 && e.attempt < s.attempt, !s.anew && !s.over && old != nil:
		return now, false
	}
	if s.over || !s.anew && over {
		now.anew, now.attempt = true, 0
	}
	now.attempt = max(now.attempt, e.attempt)
	now.over = closes(e.ev.Payload)
	return now, true
}

// closes reports whether p is the last event of its prompt.
func closes(p nodebus.Payload) bool {
	e, ok := p.(nodebus.Executing)
	return ok && e.UniqueID == ""
}

var _ nodebus.RememberingLog = (*eventLog)(nil)

// Closed reports whether a prompt has ended, as far as this process knows. [nodebus.Hub]
// asks it before an engine publishes the end of a prompt again.
func (l *eventLog) Closed(promptID string) bool {
	l.mu.Lock()
	s := l.prompts[promptID]
	known, over := s != nil && (s.over || s.anew), s != nil && s.over
	l.mu.Unlock()
	if known {
		return over
	}
	return l.cache.Closed(promptID)
}
