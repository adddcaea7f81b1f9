package nodebus

import "time"

// LogCache is the memory of a [Log] that stores its events elsewhere, such as in a file
// or on a server: it answers Read and Follow from memory. The log gives each event its ID
// and its time, and adds the events in the order of their IDs. Logs in several processes
// that add the same events in the same order have the same events, because a LogCache
// decides only by its events which of them may follow. All methods are safe for concurrent
// use.
type LogCache struct {
	log  *memoryLog
	read uint64 // the newest ID that Add has seen, also of an event that was left out; log.mu guards it
}

// NewLogCache returns a cache without events. lost.Epoch is the epoch of the log. lost.ID
// is the newest ID of an event that the log no longer has, or 0: a query for events that
// include this ID, or IDs before it, reports a loss, except for a prompt whose start is
// added. Add first the events that the log still has, in the order of their IDs, and then
// let hubs follow. Retain, KeepLen and KeepBytes of opts are the limits of the cache; nil
// means the defaults. The other options have no effect.
func NewLogCache(lost Cursor, opts *HubOptions) *LogCache {
	l := newMemoryLog(opts.withDefaults(), lost.Epoch)
	l.lost.addAll(lost.ID)
	return &LogCache{log: l}
}

// Add keeps ev and passes it to the followers. ev.ID must be greater than the ID of each
// event before; otherwise Add does nothing, because a log may read an event twice. ev.Time
// must be set: [HubOptions.Retain] counts from it, see SetTime. Add sets ev.Epoch. The cache and a hub
// that publishes ev share what the hub has encoded: to add the event to a second cache,
// make a new Event of its fields.
//
// Add returns [ErrClosed] if ev may not follow, see [Log.Append]: its prompt has ended, or
// a newer attempt of its prompt has begun. The cache then leaves the event out. For an
// event that cannot be encoded, Add returns an [*EncodeError].
func (c *LogCache) Add(ev Event) error {
	if err := ev.known(); err != nil {
		return err
	}
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if ev.ID <= c.read {
		return nil
	}
	c.read = ev.ID
	src := l.sourceOf(&ev)
	if src == nil {
		return ErrClosed
	}
	l.last = ev.ID
	at := ev.Time.UnixNano()
	ev.Epoch, ev.Time = l.epoch, time.Unix(0, at)
	l.add(src, ev, at)
	return nil
}

// SetTime says what time it is by the clock that gives the events their times, if that is
// the clock of another machine: events expire by that clock, which runs on until the next
// call. Without SetTime, they expire by the clock of this process.
func (c *LogCache) SetTime(now time.Time) {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	l.elsewhere = otherClock{is: now, set: time.Now()}
}

// Check returns the error that Add would return for ev now, without adding it. A log that
// learns the IDs of its events later may refuse ev at once.
func (c *LogCache) Check(ev Event) error {
	if err := ev.known(); err != nil {
		return err
	}
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.mayFollow(&ev) {
		return ErrClosed
	}
	return nil
}

// Oldest returns the ID of the oldest event that the cache keeps. If it keeps none, Oldest
// returns the ID after the newest event that was added or lost. A log may forget the
// events before it: no reader can ask for them.
func (c *LogCache) Oldest() uint64 {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.oldest()
}

// Read returns events as [Log] Read does.
func (c *LogCache) Read(q LogQuery) (LogPage, error) { return c.log.Read(q) }

// Follow calls deliver for each event that is added later, as [Log] Follow does. The
// place is after the newest event that was added or lost.
func (c *LogCache) Follow(deliver func(Event)) (Cursor, func(), error) { return c.log.Follow(deliver) }

// Drop removes the events of a prompt, as [Log] Drop does.
func (c *LogCache) Drop(promptID string) error { return c.log.Drop(promptID) }

// Closed reports whether a prompt has ended. Of the ended prompts whose events are no
// longer kept, the cache remembers at least the last 4096. A log that has this method is a
// [RememberingLog].
func (c *LogCache) Closed(promptID string) bool { return c.log.Closed(promptID) }
