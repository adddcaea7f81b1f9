package bolt

import (
	"crypto/rand"
	"strings"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"go.etcd.io/bbolt"
)

// log is the log of the file. Append gives an event its ID and its place in plan. The
// writer of the file commits the plan, and only then do followers receive the events: no
// client has seen an event that a crash takes back, and no ID is given twice. The events
// are in memory, too, in the cache, which answers Read.
type log struct {
	db    *DB
	cache *nodebus.LogCache
	epoch string

	mu       sync.Mutex // not held while the cache or foreign code is called
	index    logIndex
	plan     *logPlan      // what was called since the last commit began
	writing  *logPlan      // what the present commit writes; nil between commits
	spare    []logStep     // empty; the memory of the steps of an older plan
	last     uint64        // the newest ID that was given
	passed   uint64        // the newest ID that the cache has
	promised uint64        // Read answers up to this ID; see Follow
	waiting  int           // size of plan and writing, in bytes
	changed  chan struct{} // closed at the end of the next commit; nil if nobody waits
	closed   bool
	failures int // the commits that have failed since the last one that did not
	timer    *time.Timer
	said     <-chan struct{} // closed when the logger was told the newest text; the writer's own
	lazy     bool            // wakeLater wakes the writer soon
}

// waitingMax limits the events that wait for the disk, in bytes. At the limit, Append waits.
const waitingMax = 16 << 20

// Log returns the log of the file, for [nodebus.HubOptions].Log. Events reach clients after
// they are in the file, so they come later than with the log in memory: by the time of
// one synchronization of the disk.
//
// If the disk does not take them, the events wait, and the log tries again until the disk
// takes them or Close is called. When 16 MiB wait, Append waits, too. The memory that waits
// does not count in KeepBytes. Read, and the clients that join, do not wait.
func (d *DB) Log() nodebus.Log { return d.log }

// Append implements [nodebus.Log].
func (l *log) Append(ev nodebus.Event) error {
	e, outcome, err := newEntry(&ev)
	if err != nil {
		return err
	}
	if err := l.lockForRoom(&ev, outcome); err != nil {
		return err
	}
	defer l.mu.Unlock()
	l.last++
	e.at, e.newest = time.Now().UnixNano(), l.index.newest(&e)
	ev.ID, ev.Epoch, ev.Time = l.last, l.epoch, time.Unix(0, e.at)
	data := e.append(make([]byte, 0, e.size()))
	l.push(logStep{id: l.last, ev: ev, data: data, size: e.size()})
	if _, isStatus := ev.Payload.(nodebus.Status); isStatus {
		l.wakeLater()
	} else {
		l.db.writer.wakeUp()
	}
	l.index.add(l.last, &e, ev.Payload)
	if l.timer == nil {
		l.timer = time.AfterFunc(l.index.retain, l.expire)
	}
	return nil
}

// lockForRoom locks l.mu when there is room for an event and the event may follow. If it
// returns an error, l.mu is not locked.
func (l *log) lockForRoom(ev *nodebus.Event, outcome bool) error {
	for {
		l.mu.Lock()
		if l.closed || !l.index.admits(ev, outcome) {
			l.mu.Unlock()
			return nodebus.ErrClosed
		}
		if l.waiting < waitingMax {
			return nil
		}
		changed := l.change()
		l.mu.Unlock()
		<-changed
	}
}

// push adds a step to the plan. l.mu is held.
func (l *log) push(s logStep) {
	l.plan.steps = append(l.plan.steps, s)
	l.plan.bytes += s.size
	l.plan.changed = true
	l.waiting += s.size
}

// statusDelay is how long a Status waits for something else to write. An engine tells the
// length of its queue after each Push: in a commit of its own, it would hold up the next one.
const statusDelay = 10 * time.Millisecond

// wakeLater wakes the writer after statusDelay. l.mu is held.
func (l *log) wakeLater() {
	if l.lazy {
		return
	}
	l.lazy = true
	time.AfterFunc(statusDelay, func() {
		l.mu.Lock()
		l.lazy = false
		l.mu.Unlock()
		l.db.writer.wakeUp()
	})
}

// change returns a channel that is closed at the end of the next commit, or when the log is
// closed. l.mu is held.
func (l *log) change() <-chan struct{} {
	if l.changed == nil {
		l.changed = make(chan struct{})
	}
	return l.changed
}

// Read implements [nodebus.Log]. It waits only for events that Follow has promised, which a
// hub asks for when it begins.
func (l *log) Read(q nodebus.LogQuery) (nodebus.LogPage, error) {
	l.mu.Lock()
	for !l.closed && l.passed < min(q.UpTo, l.promised) {
		changed := l.change()
		l.mu.Unlock()
		<-changed
		l.mu.Lock()
	}
	closed := l.closed
	l.mu.Unlock()
	if closed {
		return nodebus.LogPage{}, nodebus.ErrClosed
	}
	return l.cache.Read(q)
}

// Follow implements [nodebus.Log]. The place is after the newest event that Append has
// accepted, so that a hub that closes knows what it waits for. The cache may not have that
// event yet.
func (l *log) Follow(deliver func(nodebus.Event)) (at nodebus.Cursor, stop func(), err error) {
	l.mu.Lock()
	closed, last := l.closed, l.last
	l.promised = max(l.promised, last)
	l.mu.Unlock()
	if closed {
		return at, nil, nodebus.ErrClosed
	}
	at, stop, err = l.cache.Follow(func(ev nodebus.Event) {
		if ev.ID > last { // the other followers receive the event also if this one panics
			_ = nodebus.Protect(func() error { deliver(ev); return nil })
		}
	})
	at.ID = max(at.ID, last)
	return at, stop, err
}

var _ nodebus.RememberingLog = (*log)(nil)

// Closed reports whether a prompt has ended, as far as the log remembers. [nodebus.Hub] asks
// it before an engine tells the end of a prompt again.
func (l *log) Closed(promptID string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := l.index.prompts[promptID]
	return p != nil && p.over || p == nil && l.index.closed.has(promptID)
}

// Drop implements [nodebus.Log]. It waits until the events are gone from the file.
func (l *log) Drop(promptID string) error {
	done := make(chan error, 1)
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nodebus.ErrClosed
	}
	l.push(logStep{id: l.last, drop: promptID, done: done})
	l.db.writer.wakeUp()
	l.index.forget(promptID)
	l.mu.Unlock()
	return <-done
}

// expire gives up the events that are older than Retain.
func (l *log) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return
	}
	l.timer = nil
	if next := l.index.expire(time.Now()); next > 0 || l.index.count > 0 {
		next = max(next, min(l.index.retain, time.Second))
		l.timer = time.AfterFunc(next, l.expire)
	}
	if l.plan.changed {
		l.db.writer.wakeUp()
	}
}

// newEpoch returns the name of a new life of a log.
func newEpoch() string { return strings.ToLower(rand.Text()[:10]) }

// begins makes what waits the plan of the next transaction. After a transaction that has
// failed, it is called again.
func (l *log) begins() {
	if l == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.writing == nil && l.plan.changed {
		l.writing = l.plan
		l.setPlan()
		l.writing.epoch, l.writing.newest, l.writing.lost = l.epoch, l.last, l.index.lost
		// The plan of a transaction that has failed has names already.
		l.writing.losses = append(l.writing.losses, l.index.losses.take()...)
		l.writing.closed = append(l.writing.closed, l.index.closed.take()...)
	}
}

// write writes the plan that begins has made.
func (l *log) write(tx *bbolt.Tx) error {
	if l == nil {
		return nil
	}
	l.mu.Lock()
	p := l.writing
	l.mu.Unlock()
	if p == nil {
		return nil
	}
	return p.write(tx)
}

// setPlan begins a plan.
func (l *log) setPlan() {
	l.plan = &logPlan{steps: l.spare}
	l.index.plan, l.spare = l.plan, nil
}

// sparesMax limits the steps whose memory is used again.
const sparesMax = 1 << 13

// reuse keeps the memory of steps that are done. l.mu is held.
func (l *log) reuse(steps []logStep) {
	if cap(steps) <= sparesMax {
		clear(steps)
		l.spare = steps[:0]
	}
}

// waits reports whether write has something to write.
func (l *log) waits() bool {
	if l == nil {
		return false
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.writing != nil || l.plan.changed
}
