package nats

import (
	"sync"
	"time"
)

const (
	endsMax  = 1 << 14          // prompts
	endsTime = 10 * time.Minute // by the clock of the stream, and longer if no prompt ends
)

// ends remembers which prompts have ended. A process that was away may store events of its attempt
// after the end, which it has not read: the prompt was taken by another process meanwhile. Without
// ends, the start or the outcome of such an attempt would look like a new prompt with the id. So a
// process says, before the first and the last event of a prompt, how far it has read, see
// [eventLog.begins]: if it has read the end, the prompt is a new one.
type ends struct {
	mu     sync.Mutex
	known  map[string]end
	oldest []end           // the oldest first; some are not known any more
	begun  map[string]bool // prompts that have begun for followers, and not ended
}

type end struct {
	promptID string
	attempt  int
	id       uint64 // of the last event
	at       time.Time
	unbegun  bool // followers do not have the start of the attempt: it may still come
}

// starts says that followers have the start of a prompt.
func (x *ends) starts(promptID string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.begun == nil {
		x.begun = map[string]bool{}
	}
	for id := range x.begun {
		if len(x.begun) < endsMax {
			break
		}
		delete(x.begun, id)
	}
	x.begun[promptID] = true
}

// add says that followers have the end of a prompt.
func (x *ends) add(e end) {
	x.mu.Lock()
	defer x.mu.Unlock()
	e.unbegun = !x.begun[e.promptID]
	delete(x.begun, e.promptID)
	if e.attempt > 0 {
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

// forget says that a prompt goes on after its end, because it has begun again.
func (x *ends) forget(promptID string) { x.begins(promptID, ^uint64(0)) }

// drop says that a prompt was dropped.
func (x *ends) drop(promptID string) {
	x.forget(promptID)
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.begun, promptID)
}

// isLate reports whether an event comes after the end of its prompt, although it belongs to the
// attempt that has ended, or to an older one. start says that it is the start of an attempt. A
// start with the attempt that has ended is a new prompt, unless followers never had the start of
// the old one. The attempt 0 is unknown, and never late.
func (x *ends) isLate(promptID string, attempt int, start bool) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	e := x.known[promptID]
	if start && !e.unbegun {
		return 0 < attempt && attempt < e.attempt
	}
	return 0 < attempt && attempt <= e.attempt
}
