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

// pay removes everything in a transaction. paid is for after the commit.
func (d *debts) pay(tx *bbolt.Tx) (paid func(), err error) {
	d.mu.Lock()
	prompts, signals := maps.Clone(d.prompts), maps.Clone(d.signals)
	d.mu.Unlock()
	for born := range prompts {
		if err := removePrompt(tx, born); err != nil {
			return nil, err
		}
	}
	for id, upTo := range signals {
		if err := removeSignals(tx, id, upTo); err != nil {
			return nil, err
		}
	}
	return func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		for born := range prompts {
			delete(d.prompts, born)
		}
		for id, upTo := range signals {
			if d.signals[id] == upTo {
				delete(d.signals, id)
			}
		}
	}, nil
}

// allSignals is a number that no signal reaches.
const allSignals = math.MaxUint64

// nothing is a change whose caller waits for the debts.
func nothing(*bbolt.Tx) error { return nil }
