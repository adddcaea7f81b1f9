package nats

import (
	"sync"
	"time"
)

const (
	endsMax  = 1 << 14          // prompts
	endsTime = 10 * time.Minute // by the clock of the stream, and longer if no prompt ends
)

// ends remembers which prompts have ended with a later attempt than the first. A process that was
// away may store events of an older attempt after the end, which it has not read: without ends,
// the start of such an attempt would look like a new prompt with the id. So a process says, before
// the first event of a prompt, how far it has read, see [eventLog.begins]: if it has read the end,
// the prompt is a new one.
type ends struct {
	mu     sync.Mutex
	known  map[string]end
	oldest []end // the oldest first; some are not known any more
}

type end struct {
	promptID string
	attempt  int
	id       uint64 // of the last event
	at       time.Time
}

// add says that a prompt has ended.
func (x *ends) add(e end) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e.attempt > 1 {
		if x.known == nil {
			x.known = map[string]end{}
		}
		x.known[e.promptID] = e
		x.oldest = append(x.oldest, e)
	}
	for len(x.oldest) > 0 && (len(x.oldest) > endsMax || e.at.Sub(x.oldest[0].at) > endsTime) {
		if old := x.oldest[0]; x.known[old.promptID] == old {
			delete(x.known, old.promptID)
		}
		x.oldest = x.oldest[1:]
	}
}

// begins says that a process begins a prompt, and has read all events up to the ID read. If it has
// read the end of a prompt with this id, that one is forgotten.
func (x *ends) begins(promptID string, read uint64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if e, is := x.known[promptID]; is && e.id <= read {
		delete(x.known, promptID)
	}
}

// forget says that a prompt has begun again, or was dropped.
func (x *ends) forget(promptID string) { x.begins(promptID, ^uint64(0)) }

// isOlder reports whether a prompt has ended with a newer attempt. The attempt 0 is unknown, and
// never older.
func (x *ends) isOlder(promptID string, attempt int) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return 0 < attempt && attempt < x.known[promptID].attempt
}
