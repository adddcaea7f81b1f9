package bolt

import (
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"go.etcd.io/bbolt"
)

// openLog reads the log of the file into memory. The caller calls expire when the writer
// knows the log.
func openLog(d *DB) (*log, error) {
	opts := logLimits(d.opts.Log)
	l := &log{db: d, index: logIndex{
		retain: opts.Retain, keepLen: opts.KeepLen, keepBytes: opts.KeepBytes,
		prompts: map[string]*logPrompt{}, outside: newLogPrompt(""),
		losses: newNamedID(), closed: newNamedID(),
	}}
	l.setPlan()
	if err := d.view(func(tx *bbolt.Tx) error { return l.read(tx.Bucket(bucketLog), &opts) }); err != nil {
		return nil, err
	}
	l.passed = l.last
	l.index.makeRoom(l.index.outside)
	return l, nil
}

// logLimits returns the limits of the log, with the defaults of [nodebus.HubOptions].
func logLimits(o *nodebus.HubOptions) (limits nodebus.HubOptions) {
	if o != nil {
		limits = nodebus.HubOptions{Retain: o.Retain, KeepLen: o.KeepLen, KeepBytes: o.KeepBytes}
	}
	if limits.Retain <= 0 {
		limits.Retain = 5 * time.Minute
	}
	if limits.KeepLen <= 0 {
		limits.KeepLen = 1 << 18
	}
	if limits.KeepBytes <= 0 {
		limits.KeepBytes = 64 << 20
	}
	return limits
}

// read reads the bucket of the log, or begins a log if there is none.
func (l *log) read(b *bbolt.Bucket, opts *nodebus.HubOptions) error {
	if b == nil {
		l.begin(opts)
		return nil
	}
	events, losses, closed := b.Bucket(bucketEvents), b.Bucket(bucketLosses), b.Bucket(bucketClosed)
	l.epoch = string(b.Get(keyEpoch))
	if _, err := nodebus.ParseCursor(l.epoch + "-1"); events == nil || losses == nil || closed == nil || err != nil {
		return damaged(l.db.path, "the log has no events, or no epoch")
	}
	if l.db.opts.Restored {
		l.epoch, l.plan.changed = newEpoch(), true
	}
	l.last, l.index.lost = events.Sequence(), eventID(b.Get(keyLost))
	l.index.losses.read(losses)
	l.index.closed.read(closed)
	l.cache = nodebus.NewLogCache(nodebus.Cursor{Epoch: l.epoch, ID: l.index.lost}, opts)
	lost := l.index.losses.sorted()
	err := events.ForEach(func(k, v []byte) error {
		id := eventID(k)
		if id == 0 || id > l.last {
			return damaged(l.db.path, fmt.Sprintf("the log has an event with the ID %x; the newest ID is %d", k, l.last))
		}
		for len(lost) > 0 && l.index.losses.ids[lost[0]] < id {
			l.lose(lost[0])
			lost = lost[1:]
		}
		return l.load(id, v)
	})
	for _, name := range lost {
		l.lose(name)
	}
	return err
}

// begin begins a new log.
func (l *log) begin(opts *nodebus.HubOptions) {
	l.epoch, l.plan.changed = newEpoch(), true
	l.cache = nodebus.NewLogCache(nodebus.Cursor{Epoch: l.epoch}, opts)
}

// load adds an event of the file to the index and the cache.
func (l *log) load(id uint64, entry []byte) error {
	e, err := parseEntry(entry)
	if err != nil {
		return damaged(l.db.path, fmt.Sprintf("event %d of the log: %v", id, err))
	}
	ev, err := e.event(id, l.epoch)
	if err != nil {
		return damaged(l.db.path, fmt.Sprintf("event %d of the log: %v", id, err))
	}
	l.index.load(id, &e, ev.Payload)
	_ = l.cache.Add(ev) // the log has admitted it before
	return nil
}

// lose tells the cache of a loss that the log remembers.
func (l *log) lose(name string) {
	promptID, to := splitLossName(name)
	ev := nodebus.Event{ID: l.index.losses.ids[name], Epoch: l.epoch, PromptID: promptID, To: to, Payload: nodebus.ExecutionStart{}}
	_ = l.cache.Add(ev)
	_ = l.cache.Drop(promptID)
}

func (n *namedID) read(b *bbolt.Bucket) {
	_ = b.ForEach(func(k, v []byte) error {
		n.ids[string(k)] = eventID(v)
		return nil
	})
}
