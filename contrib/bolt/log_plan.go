package bolt

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/nodebus/nodebus"
	"go.etcd.io/bbolt"
)

// logPlan is what the file does not have yet: events to add, IDs to delete, and what the
// log remembers about events that it does not keep.
type logPlan struct {
	steps   []logStep
	dels    []uint64 // of events that the file has, or that an earlier plan adds
	bytes   int      // of the steps
	epoch   string
	newest  uint64 // the newest ID that was given
	lost    uint64
	losses  []nameChange
	closed  []nameChange
	changed bool // there is something to write
}

// logStep is an event that is added, or a prompt that is dropped, in the order of the calls.
type logStep struct {
	id   uint64 // of the event; for Drop the newest ID before it
	ev   nodebus.Event
	data []byte // the entry; nil if the file does not need it any more
	size int    // what the event counts in bytes
	drop string
	done chan<- error // of Drop
}

// remove takes back an event.
func (p *logPlan) remove(id uint64) {
	p.changed = true
	if len(p.steps) > 0 && id >= p.steps[0].id {
		i, found := slices.BinarySearchFunc(p.steps, id, func(s logStep, id uint64) int {
			if s.id == id && s.done != nil { // a Drop after the event
				return 1
			}
			return cmp.Compare(s.id, id)
		})
		if found {
			p.steps[i].data = nil
			return
		}
	}
	p.dels = append(p.dels, id)
}

// after returns a plan that does what p does and then what next does. The file has taken
// neither.
func (p *logPlan) after(next *logPlan) *logPlan {
	p.steps = append(p.steps, next.steps...)
	p.dels = append(p.dels, next.dels...)
	p.bytes += next.bytes
	p.newest, p.lost = max(p.newest, next.newest), max(p.lost, next.lost)
	p.losses = append(p.losses, next.losses...)
	p.closed = append(p.closed, next.closed...)
	p.changed = p.changed || next.changed
	return p
}

// The buckets of the log are in the bucket log.
var (
	bucketLog    = []byte("log")
	bucketEvents = []byte("events") // by ID, 8 bytes big endian; its sequence is the newest ID that was given
	bucketLosses = []byte("losses") // by lossName: the newest ID that is lost
	bucketClosed = []byte("closed") // by prompt that has ended and is not kept: the ID of its last event
	keyEpoch     = []byte("epoch")
	keyLost      = []byte("lost")
)

// write makes the plan a part of a transaction. It may be called again, for another
// transaction.
func (p *logPlan) write(tx *bbolt.Tx) error {
	log, err := makeLog(tx, p.epoch)
	if err != nil {
		return err
	}
	events := log.Bucket(bucketEvents)
	events.FillPercent = fillPercent
	for i := range p.steps {
		if s := &p.steps[i]; s.data != nil {
			if err := events.Put(eventKey(s.id), s.data); err != nil {
				return err
			}
		}
	}
	for _, id := range p.dels {
		if err := events.Delete(eventKey(id)); err != nil {
			return err
		}
	}
	if err := p.writeNames(log); err != nil {
		return err
	}
	if p.lost > eventID(log.Get(keyLost)) {
		if err := log.Put(keyLost, eventKey(p.lost)); err != nil {
			return err
		}
	}
	return events.SetSequence(max(p.newest, events.Sequence()))
}

// makeLog returns the bucket of the log. It makes what is missing.
func makeLog(tx *bbolt.Tx, epoch string) (log *bbolt.Bucket, err error) {
	if log, err = tx.CreateBucketIfNotExists(bucketLog); err != nil {
		return nil, err
	}
	for _, name := range [][]byte{bucketEvents, bucketLosses, bucketClosed} {
		if _, err := log.CreateBucketIfNotExists(name); err != nil {
			return nil, err
		}
	}
	if string(log.Get(keyEpoch)) != epoch {
		err = log.Put(keyEpoch, []byte(epoch))
	}
	return log, err
}

func (p *logPlan) writeNames(log *bbolt.Bucket) error {
	for _, b := range []struct {
		name    []byte
		changes []nameChange
	}{{bucketLosses, p.losses}, {bucketClosed, p.closed}} {
		bucket := log.Bucket(b.name)
		for _, c := range b.changes {
			var err error
			if c.id == 0 {
				err = bucket.Delete([]byte(c.name))
			} else {
				err = bucket.Put([]byte(c.name), eventKey(c.id))
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

func eventKey(id uint64) []byte { return binary.BigEndian.AppendUint64(nil, id) }

// eventID reads an ID. It returns 0 if b is no ID.
func eventID(b []byte) uint64 {
	if len(b) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(b)
}
