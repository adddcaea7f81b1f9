package bolt

import (
	"context"
	"sync"

	"github.com/nodebus/nodebus"
	"go.etcd.io/bbolt"
)

// SlowDisk makes the disk so slow that no write ends until resume is called. When SlowDisk
// returns, a write has begun.
func (d *DB) SlowDisk() (resume func()) {
	begun, end := make(chan struct{}), make(chan struct{})
	c := d.begin(func(*bbolt.Tx) error {
		close(begun)
		<-end
		return nil
	})
	<-begun
	return sync.OnceFunc(func() {
		close(end)
		<-c.done
	})
}

// KeptInFile returns how many events the file has, and how many bytes of them.
func (d *DB) KeptInFile() (events, bytes int, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketLog).Bucket(bucketEvents).ForEach(func(k, v []byte) error {
			events++
			bytes += len(k) + len(v)
			return nil
		})
	})
	return events, bytes, err
}

// Entry is an entry of the log, for the fuzz target.
type Entry struct {
	At              int64
	PromptID, To    string
	Attempt, Newest int
	Key             string
	Binary          bool
	Data            []byte
}

// Append appends the bytes of the entry.
func (e Entry) Append(b []byte) []byte {
	l := logEntry{at: e.At, promptID: e.PromptID, to: e.To, attempt: e.Attempt, newest: e.Newest, key: e.Key, binary: e.Binary, data: e.Data}
	return l.append(b)
}

// ParseEntry reads an entry.
func ParseEntry(b []byte) (Entry, error) {
	e, err := parseEntry(b)
	return Entry{e.at, e.promptID, e.to, e.attempt, e.newest, e.key, e.binary, e.data}, err
}

// EntryEvent decodes the event of an entry.
func EntryEvent(b []byte) (nodebus.Event, error) {
	e, err := parseEntry(b)
	if err != nil {
		return nodebus.Event{}, err
	}
	return e.event(1, "epoch")
}

// EntrySize returns what an entry counts.
func EntrySize(b []byte) int {
	e, _ := parseEntry(b)
	return e.size()
}

// Change changes the file. In its transaction it calls f with the number of events that the
// file has then.
func (d *DB) Change(f func(events int)) error {
	return d.write(context.Background(), func(tx *bbolt.Tx) error {
		events := 0
		c := tx.Bucket(bucketLog).Bucket(bucketEvents).Cursor()
		for k, _ := c.First(); k != nil; k, _ = c.Next() {
			events++
		}
		f(events)
		return nil
	})
}
