package nats

import (
	"sync"
	"time"
)

const (
	endsMax  = 1 << 14          // prompts
	endsTime = 10 * time.Minute // by the clock of the stream, and longer if no prompt ends
)

// ends remembers which attempts are over, although their events may still come. A process that is
// cut off for longer than its lease stores its events when it is back, and does not know that
// another process has taken its prompt meanwhile. Readers leave such events out, all at the same
// place of the stream:
//
//   - Whoever takes a prompt again stores a note first, see [eventLog.taken]. From there on, the
//     earlier attempts of all others are over. So if a process has told the end of a prompt, its
//     end is either before the note, and whoever has taken the prompt finds it, or it is left out.
//   - A prompt that has ended with a later attempt than the first has no older attempts any more.
//
// A new prompt may have the id of an old one. So a process says, before the first event of a
// prompt, how far it has read, see [eventLog.begins]: if it has read that the old prompt was over,
// the prompt is a new one.
type ends struct {
	mu     sync.Mutex
	known  map[string]end
	oldest []end // the oldest first; some are not known any more
}

// end says that the attempts before attempt are over, except for what its publisher still tells of
// them.
type end struct {
	promptID string
	attempt  int
	lease    uint64 // the newest lease of the prompt that is known; 0 if none is
	over     bool   // the prompt has ended with attempt, or a later one
	by       string // the publisher
	id       uint64 // where it was said
	at       time.Time
}

// add says that attempts are over. The note of an older lease is no news: it comes late. Its attempt
// may be the same, because a lease that is given back does not count.
func (x *ends) add(e end) {
	x.mu.Lock()
	defer x.mu.Unlock()
	old := x.known[e.promptID]
	news := e.lease >= old.lease
	if e.lease == 0 {
		news, e.lease, e.over = e.attempt >= old.attempt, old.lease, true
	}
	if e.attempt > 1 && news {
		if x.known == nil {
			x.known = map[string]end{}
		}
		x.known[e.promptID] = e
		x.oldest = append(x.oldest, e)
	}
	for len(x.oldest) > 0 && (len(x.oldest) > endsMax || e.at.Sub(x.oldest[0].at) > endsTime) {
		if old := x.oldest[0]; x.known[old.promptID].id == old.id {
			delete(x.known, old.promptID)
		}
		x.oldest = x.oldest[1:]
	}
}

// begins says that a publisher begins or ends a prompt, and has read all events up to the ID read.
// If it has read that attempts of a prompt with this id are over, these attempts are forgotten,
// unless the publisher has taken that prompt itself: then it may tell how the old prompt has ended.
// The lease stays: notes of the old prompt may still come.
func (x *ends) begins(promptID, by string, read uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, is := x.known[promptID]; is && e.id <= read && (e.over || e.by != by) {
		e.attempt = 0
		x.known[promptID] = e
	}
}

// forget says that a prompt was dropped.
func (x *ends) forget(promptID string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.known, promptID)
}

// isLate reports whether an attempt is over for a publisher. The attempt 0 is unknown, and never
// late.
func (x *ends) isLate(promptID string, attempt int, by string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.known[promptID]
	return 0 < attempt && attempt < e.attempt && by != e.by
}
