package flow

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
)

// entry is what an engine knows about a prompt that was submitted to it, or that it has
// taken from the queue, until the prompt has ended. The queue says whether the prompt
// waits; the entry has what the queue cannot hold.
type entry struct {
	p     *nodebus.Prompt
	ready <-chan struct{} // see SubmitOptions; nil: the prompt is ready
	told  chan struct{}   // closed when Submit has told everybody; nil: the prompt was not submitted here
	anew  bool            // Submit has chosen the id
	freed chan struct{}   // closed when the prompt need not be ready any more; nil if ready is nil

	done   chan struct{} // closed when the prompt has ended
	record *Record       // nil if there is no outcome
	err    error         // set if there is no outcome
	cause  error         // why the context of the last attempt ended

	// Engine.mu guards these.
	seq         uint64                  // order of arrival
	priority    float64                 // of the waiting prompt
	pushed      bool                    // Queue.Push has returned
	isFree      bool                    // freed is closed
	run         *job                    // the newest attempt that runs here
	attempts    int                     // the number of the last attempt that ran here
	failures    int                     // the number of attempts that have failed here
	interrupted bool                    // the next attempt ends at once
	ends        bool                    // somebody here ends the prompt
	reopened    chan struct{}           // closed when ends becomes false again; nil if nobody waits for that
	untold      *untoldEnd              // how the prompt has ended here; nil: it has not, or it has a record
	again       Lease                   // of a failed attempt; the next attempt begins when it lapses
	dueAgain    time.Time               // when again lapses
	unlisten    func()                  // ends the receiving of signals before the next attempt; nil: none
	start       *nodebus.ExecutionStart // of the last attempt that has begun here; nil: none
	started     time.Time               // when it began
	last        *Record                 // of the last attempt that has failed here; nil: none
	expires     *time.Timer
	watch       func() bool // stops waiting for the end of the prompt in another process

	// The attempts follow each other: each waits until the one before it has returned.
	prepared   any // see nodebus.Preparer
	isPrepared bool
	refused    error // why Prepare refused a prompt that was in the queue already
}

func newEntry(p *nodebus.Prompt) *entry {
	return &entry{p: p, priority: p.Priority, done: make(chan struct{})}
}

func (en *entry) wait(ctx context.Context) (nodebus.Outcome, error) {
	select {
	case <-en.done:
		return en.record.outcomeOr(en.err)
	case <-ctx.Done():
		return nodebus.Outcome{}, context.Cause(ctx)
	}
}

// isDone reports whether the prompt has ended.
func (en *entry) isDone() bool {
	select {
	case <-en.done:
		return true
	default:
		return false
	}
}

// isPushing reports whether Submit has no answer of the queue yet. Engine.mu is held.
func (en *entry) isPushing() bool {
	if en.told == nil || en.pushed {
		return false
	}
	select {
	case <-en.told:
		return false
	default:
		return true
	}
}

func (en *entry) isReady() bool {
	if en.ready == nil {
		return true
	}
	select {
	case <-en.ready:
		return true
	default:
		return false
	}
}

// holdsUp reports whether the prompt makes its client wait: it is not ready. A prompt
// that was interrupted need not be. Engine.mu is held.
func (en *entry) holdsUp() bool { return !en.isFree && !en.isReady() }

// free says that the prompt need not be ready any more. Engine.mu is held.
func (en *entry) free() {
	if en.freed != nil && !en.isFree {
		close(en.freed)
	}
	en.isFree = true
}

// isOf reports whether p is the prompt of the entry, and not another with the same id.
func (en *entry) isOf(p *nodebus.Prompt) bool { return en.p.Created.Equal(p.Created) }

// job is one attempt to run a prompt. It is in one of these states:
//
//	state   claimed  silent  lost  what the attempt may do
//	speaks  -        -       -     sends events, and may claim the end of the prompt
//	ends    x        -       -     stores the record, then tells the end
//	lost    x        -       x     does not begin to tell the end of its record: somebody else may run the prompt
//	silent  -        x       any   says nothing: another attempt, or somebody else, ends the prompt
//
// These functions change the state:
//
//	from        to      function      when
//	-           speaks  newJob        the prompt was taken from the queue, to run it
//	-           ends    claimWaiting  the prompt waits, and is to end: interrupt, deadline, deletion
//	speaks      ends    claim         the attempt has returned; or the prompt has ended before, and
//	                                  that end is stored or told
//	speaks      silent  lapse         the lease has lapsed, or the prompt has ended elsewhere
//	speaks      silent  tryAgain      the attempt has failed, and another one follows
//	speaks      silent  handOver      this process ends, and gives the prompt back to the queue
//	speaks      silent  endsHere      somebody else here ends the prompt; the attempt waits for that
//	silent      speaks  endsHere      that end was taken back, and the lease has not lapsed
//	ends        lost    lapse         as above
//	ends, lost  silent  reopen        the record is not stored, or the lease was lost
//
// An attempt that tells the end settles the entry, see lastWord. When nothing of an attempt runs
// any more, over is closed, in whatever state it is; an attempt of claimWaiting does not run, has
// no place, and is never over.
//
// entry.ends is true while an attempt has claimed the end. Without an attempt, forget and
// endedElsewhere set it.
type job struct {
	en      *entry
	p       *nodebus.Prompt
	gate    *gate
	ctx     context.Context
	cancel  context.CancelCauseFunc
	attempt int // only the attempt's goroutine changes it, see renumber
	newest  int // the newest attempt that may have begun: attempt, before renumber
	secrets map[string]string
	lease   Lease         // nil if the prompt was deleted from the queue
	lapses  atomic.Int64  // when the lease lapses, by Engine.now; 0: never
	older   *job          // an attempt that may still run here
	refused error         // why Prepare refused the prompt
	over    chan struct{} // closed when nothing of the attempt runs any more

	queueAttempt int // the number that the queue has given to the attempt; 0: none

	// Engine.mu guards these.
	placed  bool          // counts as one that runs; see places.go
	silent  bool          // the attempt says nothing more, and does not end the prompt
	givenUp chan struct{} // closed some time after lapse has made the attempt silent; nil before
	claimed bool          // the attempt ends the prompt
	lost    bool          // the lease was lost while the attempt ended the prompt
	halted  bool          // the context of Run has ended

	stopStoring context.CancelCauseFunc // ends the tries to store the record; nil before the first
}

// newJob returns an attempt. Engine.mu is held.
func (e *Engine) newJob(en *entry, attempt int) *job {
	j := &job{en: en, p: en.p, attempt: max(attempt, 1), newest: max(attempt, 1), over: make(chan struct{})}
	j.ctx, j.cancel = context.WithCancelCause(context.Background())
	if en.priority != en.p.Priority {
		p := *en.p
		p.Priority = en.priority
		j.p = &p
	}
	j.gate = newGate(e, j)
	return j
}

// client holds what an engine knows about the prompts of one client.
type client struct {
	waiting  []*entry // submitted here, and not taken yet; by priority, then by order of arrival
	running  int      // the places that the client has
	skipped  bool     // Take skipped the client because a prompt is not ready
	heldBack *entry   // was taken before it was ready; the client is skipped until it is ready
}

// precedes compares entries by the order of the queue.
func precedes(a, b *entry) int {
	return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.seq, b.seq))
}

// admit registers an entry under its id. It returns false if the id is in use. If an
// earlier prompt with this id is about to end, admit returns that prompt: the caller
// waits until it has ended, or reopens is closed, and tries again.
func (e *Engine) admit(en *entry) (admitted bool, earlier *entry, reopens <-chan struct{}) {
	e.mu.Lock()
	defer e.mu.Unlock()
	id := en.p.ID
	if known := e.entries[id]; known != nil && !known.ends {
		return false, nil, nil
	}
	if earlier = cmp.Or(e.entries[id], e.ending[id]); earlier != nil {
		return false, earlier, earlier.reopens()
	}
	e.entries[id] = en
	e.waits(en)
	e.awaitReady(en)
	return true, nil, nil
}

// waits adds an entry to the waiting prompts of its client. e.mu is held.
func (e *Engine) waits(en *entry) {
	e.seq++
	en.seq = e.seq
	c := e.client(en.p.ClientID)
	at, _ := slices.BinarySearchFunc(c.waiting, en, precedes)
	c.waiting = slices.Insert(c.waiting, at, en)
	c.heldBack = nil
}

// client returns the entry of a client, and creates it if needed. e.mu is held.
func (e *Engine) client(id string) *client {
	c := e.clients[id]
	if c == nil {
		c = &client{}
		e.clients[id] = c
	}
	return c
}

// leaves removes an entry from the waiting prompts of its client. e.mu is held.
func (e *Engine) leaves(en *entry) {
	c := e.clients[en.p.ClientID]
	if c == nil {
		return
	}
	if at := slices.Index(c.waiting, en); at >= 0 {
		c.waiting = slices.Delete(c.waiting, at, at+1)
		c.heldBack = nil
	}
	e.tidy(en.p.ClientID, c)
}

// tidy forgets a client without prompts. e.mu is held.
func (e *Engine) tidy(id string, c *client) {
	if len(c.waiting) == 0 && c.running == 0 {
		delete(e.clients, id)
	}
}

// isUnready reports whether the client's first prompt in the queue is not ready. A
// prompt that is being pushed may or may not be in the queue yet: the first prompt
// in the queue is then this prompt or the next, so isUnready checks both.
func (c *client) isUnready() bool {
	for _, en := range c.waiting {
		if en.holdsUp() {
			return true
		}
		if en.pushed {
			break
		}
	}
	return c.heldBack != nil && c.heldBack.holdsUp()
}

// pushed marks a prompt as being in the queue. The prompt may have been taken already.
func (e *Engine) pushed(en *entry) {
	e.mu.Lock()
	defer e.mu.Unlock()
	en.pushed = true
	if c := e.clients[en.p.ClientID]; c != nil && c.skipped {
		e.lookAgain() // skips may now give another answer for this client
	}
}

// forget drops a prompt that will not run: Submit did not succeed, or the prompt was
// deleted. Callers of Wait receive ErrNotFound.
func (e *Engine) forget(en *entry) {
	e.mu.Lock()
	if en.ends {
		e.mu.Unlock()
		return
	}
	en.ends = true
	e.mu.Unlock()
	e.settle(en, nil, fmt.Errorf("nodebus: prompt %s was deleted before it ran: %w", en.p.ID, ErrNotFound))
}

// settle is the end of an entry. Exactly one caller has set en.ends before.
func (e *Engine) settle(en *entry, rec *Record, err error) {
	e.mu.Lock()
	for _, in := range []map[string]*entry{e.entries, e.ending} {
		if in[en.p.ID] == en {
			delete(in, en.p.ID)
		}
	}
	e.leaves(en)
	en.free()
	if en.expires != nil {
		en.expires.Stop()
	}
	unwatch, unlisten := en.watch, en.unlisten
	en.unlisten = nil
	e.mu.Unlock()
	if unlisten != nil {
		unlisten()
	}
	if unwatch != nil {
		unwatch()
	}
	en.record, en.err = rec, err
	close(en.done)
}
