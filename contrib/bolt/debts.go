package bolt

import (
	"maps"
	"math"
	"sync"

	"go.etcd.io/bbolt"
)

// debts are what has left memory, and what the disk has to remove from the file: prompts that
// are done, and signals of prompts that have ended. Each transaction removes all of it. So a
// change that the disk does not take is made up for by the next one: a prompt with the same id
// does not receive an old interrupt.
type debts struct {
	mu      sync.Mutex
	prompts map[uint64]bool   // by number
	signals map[string]uint64 // by prompt: signals up to this number
	due     *due              // what the present transaction removes; nil between transactions. The writer's own
}

// due is a copy of debts.
type due struct {
	prompts map[uint64]bool
	signals map[string]uint64
}

// owePrompt adds a prompt that is done.
func (d *debts) owePrompt(born uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.prompts == nil {
		d.prompts = map[uint64]bool{}
	}
	d.prompts[born] = true
}

// oweSignals adds the signals of a prompt up to a number. Later signals are for the next prompt
// with the id.
func (d *debts) oweSignals(promptID string, upTo uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.signals == nil {
		d.signals = map[string]uint64{}
	}
	d.signals[promptID] = max(d.signals[promptID], upTo)
}

// waits reports whether there is something to remove.
func (d *debts) waits() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.prompts)+len(d.signals) > 0
}

// begins makes what is owed now the part of the next transaction. The writer calls it before it
// looks at the log: a prompt that is done has its last event in the log by then, so that this or
// an earlier transaction has the event. If a change fails, the transaction is made again, and
// begins has no effect.
func (d *debts) begins() {
	if d.due != nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.due = &due{maps.Clone(d.prompts), maps.Clone(d.signals)}
}

// pay removes in a transaction what begins has found.
func (d *debts) pay(tx *bbolt.Tx) error {
	for born := range d.due.prompts {
		if err := removePrompt(tx, born); err != nil {
			return err
		}
	}
	for id, upTo := range d.due.signals {
		if err := removeSignals(tx, id, upTo); err != nil {
			return err
		}
	}
	return nil
}

// paid ends the transaction. If the disk has not taken it, everything is owed still.
func (d *debts) paid(err error) {
	due := d.due
	d.due = nil
	if err != nil || due == nil {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	for born := range due.prompts {
		delete(d.prompts, born)
	}
	for id, upTo := range due.signals {
		if d.signals[id] == upTo {
			delete(d.signals, id)
		}
	}
}

// allSignals is a number that no signal reaches.
const allSignals = math.MaxUint64

// nothing is a change whose caller waits for the debts.
func nothing(*bbolt.Tx) error { return nil }
