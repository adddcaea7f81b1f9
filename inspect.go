package nodebus

import (
	"cmp"
	"context"
	"slices"
	"strings"
)

// Stats returns the statistics of the hub. It takes time in proportion to the number of
// sessions.
func (h *Hub) Stats() HubStats {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.total
	for s := range h.sessions {
		x := s.stats(h.lastID)
		t.add(x)
		t.Sessions++
		t.Queued += x.Queued
		t.QueuedBytes += x.QueuedBytes
		if x.Unconfirmed {
			t.Unconfirmed++
		}
	}
	return t
}

// Sessions returns the statistics of each session, sorted by client and then by the time
// of joining.
func (h *Hub) Sessions() []SessionStats {
	h.mu.Lock()
	var all []SessionStats
	for s := range h.sessions {
		all = append(all, s.stats(h.lastID))
	}
	h.mu.Unlock()
	slices.SortFunc(all, func(a, b SessionStats) int {
		return cmp.Or(strings.Compare(a.Client, b.Client), cmp.Compare(len(a.Name), len(b.Name)), strings.Compare(a.Name, b.Name))
	})
	return all
}

// End ends the session with this name with a cause; nil means [ErrClosed]. It reports
// whether the hub has the session. It does not wait.
func (h *Hub) End(name string, cause error) bool {
	h.mu.Lock()
	var found *Session
	for s := range h.sessions {
		if s.name == name {
			found = s
		}
	}
	h.mu.Unlock()
	if found == nil {
		return false
	}
	found.Close(cause)
	return true
}

// Ended reports whether the log has the outcome of a prompt, and whether it has the
// closing [Executing] event after that. It is for an engine, which tells the end of a
// prompt again if the process that ran the prompt ended too early. Both are false for
// a prompt that the log does not know, or has forgotten long ago. An error is an error of
// the log.
func (h *Hub) Ended(promptID string) (outcome, closed bool, err error) {
	h.mu.Lock()
	p := h.index.prompts[promptID]
	upTo := h.lastID
	if p != nil {
		outcome, closed = p.outcome != 0, p.over
	}
	h.mu.Unlock()
	if closed {
		return outcome, closed, nil
	}
	if l, remembers := h.log.(RememberingLog); remembers { // it may have accepted an end that the hub has not received yet
		if err = Protect(func() error { closed = l.Closed(promptID); return nil }); err != nil || closed {
			return closed, closed, err
		}
	}
	if p != nil {
		return outcome, false, nil
	}
	q := LogQuery{Prompts: []string{promptID}, UpTo: upTo}
	for more := true; more; {
		found, _, err := h.readLog(q)
		if err != nil {
			return false, false, err
		}
		for i := range found.Events {
			ev := &found.Events[i]
			t, _ := standardTraits(ev.Payload, true)
			e, isExecuting := ev.Payload.(Executing)
			closed = isExecuting && e.UniqueID == ""
			outcome = t.outcome || closed && outcome
			q.After = ev.ID
		}
		more = found.More && len(found.Events) > 0
	}
	return outcome, closed, nil
}

// Flush waits until the log has stored the events that were published before. It is for an
// engine, which then takes a prompt out of a queue that the log does not know: if the
// process dies in between, nobody would tell the end of the prompt. An engine also calls Flush
// before it gives back a prompt that has failed or is handed over, so that the events of the
// next attempt, which may run in another process, come later; and before it asks Ended about a
// prompt that it has taken again. Only a [FlushingLog] stores
// events later than it accepts them; with another log, Flush returns nil at once. The error
// is the error of the log.
func (h *Hub) Flush(ctx context.Context) error {
	l, late := h.log.(FlushingLog)
	if !late {
		return nil
	}
	return Protect(func() error { return l.Flush(ctx) })
}

// LastStatus returns the newest Status that was told to every client, by anybody whose
// events the hub receives. It is for engines that share a queue: each of them may have told
// a number that is not true any more. ok is false if there was none since NewHub. If the
// log passes on the events of other processes late, so does LastStatus.
func (h *Hub) LastStatus() (s Status, ok bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.status, h.hasStatus
}

// AfterEnd calls f in a goroutine of its own when the hub delivers the next closing
// [Executing] event of the prompt. It is for an engine that waits for a prompt which
// another process runs. stop takes the call back; it returns false if f was called
// already. If the hub never receives such an event, it never calls f, and keeps f until
// stop is called.
func (h *Hub) AfterEnd(promptID string, f func()) (stop func() bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	calls, own := h.index.afterEnd, &f
	calls[promptID] = append(calls[promptID], own)
	return func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		at := slices.Index(calls[promptID], own)
		if at < 0 {
			return false
		}
		if calls[promptID] = slices.Delete(calls[promptID], at, at+1); len(calls[promptID]) == 0 {
			delete(calls, promptID)
		}
		return true
	}
}
