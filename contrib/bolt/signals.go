package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"go.etcd.io/bbolt"
)

// signals is a [flow.Signals]. Signals in memory know the receivers, the order and the
// limits. The file has what another process needs.
//
// A signal is written before its receiver is called: clients must not see the effect of an
// answer that a crash takes back. If the receiver then refuses it, the signal is removed
// again; a crash in between leaves a signal that later receivers refuse, too.
type signals struct {
	d   *DB
	mem flow.Signals

	mu    sync.Mutex // not held while code of callers runs, or while the disk works
	seq   uint64     // the newest number of a signal
	boxes map[string]*box
}

// box is what is known of a prompt that has signals in the file, or for which Send or Drop
// runs. signals.mu guards running and dropped; whoever has the turn may use the rest.
type box struct {
	turn    chan struct{} // capacity 1: who puts a value in has the turn
	running int           // calls of Send and Drop that have the turn, or wait for it
	dropped bool          // forget did not have the turn: whoever has it next empties the box
	len     int           // signals in the file
	ends    bool          // an interrupt is in the file
}

func openSignals(d *DB) (*signals, error) {
	m := &signals{d: d, boxes: map[string]*box{}}
	var all []flow.Signal
	err := d.view(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketSignals).ForEach(func(key, value []byte) error {
			var s flow.Signal
			if err := fromJSON(value, &s); err != nil || len(key) < 8 {
				return damaged(d.path, fmt.Sprintf("signal number %x cannot be read: %v", key, err))
			}
			m.seq = max(m.seq, binary.BigEndian.Uint64(key[len(key)-8:]))
			all = append(all, s)
			b := m.box(s.PromptID)
			b.len++
			b.ends = b.ends || s.Interrupt
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	m.mem, err = refill(d, all)
	return m, err
}

// refill returns signals in memory. If they exceed the limits, because the limits were
// higher once, the limits grow: what was accepted is kept.
func refill(d *DB, all []flow.Signal) (flow.Signals, error) {
	opts := flow.SignalsOptions{}
	if d.opts.Signals != nil {
		opts = *d.opts.Signals
	}
	for range 40 {
		m := flow.NewSignals(&opts)
		err := sendEach(m, all)
		switch {
		case err == nil:
			return m, nil
		case !errors.Is(err, flow.ErrFull):
			return nil, err
		}
		opts.PromptLen = max(opts.PromptLen, 1000, len(all))
		opts.PromptBytes = 2 * max(opts.PromptBytes, 1<<20)
		opts.Bytes = 2 * max(opts.Bytes, 64<<20)
		d.logger.Warn("there are more signals than the limits allow: the limits are raised until the file is opened again",
			"file", d.path, "signals", len(all), "bytes", opts.Bytes)
	}
	return nil, damaged(d.path, "its signals are too large")
}

func sendEach(m flow.Signals, all []flow.Signal) error {
	for _, s := range all {
		if err := m.Send(context.Background(), s); err != nil {
			return err
		}
	}
	return nil
}

// prefix is the beginning of the keys of a prompt's signals: the length of the id, and the
// id, so that no id is the beginning of another. The number of the signal follows.
func prefix(promptID string) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(promptID))), promptID...)
}

func (m *signals) Send(ctx context.Context, s flow.Signal) error {
	if err := checkID("prompt", s.PromptID); err != nil {
		return err
	}
	value, err := toJSON(s)
	if err != nil {
		return fmt.Errorf("bolt: the signal of prompt %q has no JSON: %w", s.PromptID, err)
	}
	b, leave, err := m.enter(ctx, s.PromptID)
	if err != nil {
		return err
	}
	defer leave()
	if s.Interrupt && b.ends { // it is in the file already
		return m.mem.Send(ctx, s)
	}
	key := m.key(s.PromptID)
	if err := m.d.write(ctx, func(tx *bbolt.Tx) error { return tx.Bucket(bucketSignals).Put(key, value) }); err != nil {
		return err
	}
	kept := false
	defer func() { // deferred: a receiver may call runtime.Goexit
		if !kept {
			m.takeBack(key)
			return
		}
		b.len++
		b.ends = b.ends || s.Interrupt
	}()
	if err := m.mem.Send(ctx, s); err != nil {
		return err
	}
	kept = true
	return nil
}

// key returns the key of a new signal.
func (m *signals) key(promptID string) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seq++
	return append(prefix(promptID), number(m.seq)...)
}

// takeBack removes a signal that its receiver has refused.
func (m *signals) takeBack(key []byte) {
	c := m.d.owe(func(tx *bbolt.Tx) error { return tx.Bucket(bucketSignals).Delete(key) })
	_ = m.d.wait(context.Background(), c)
}

// box returns the box of a prompt. m.mu is held, or nobody else uses m yet.
func (m *signals) box(promptID string) *box {
	b := m.boxes[promptID]
	if b == nil {
		b = &box{turn: make(chan struct{}, 1)}
		m.boxes[promptID] = b
	}
	return b
}

// enter waits for other calls of Send and Drop for the prompt, so that the order in the
// file is the order in memory.
func (m *signals) enter(ctx context.Context, promptID string) (b *box, leave func(), err error) {
	m.mu.Lock()
	b = m.box(promptID)
	b.running++
	m.mu.Unlock()
	exit := func(turn bool) {
		m.mu.Lock()
		defer m.mu.Unlock()
		if turn {
			m.empty(promptID, b)
		}
		if b.running--; b.running == 0 && b.len == 0 { // nobody has the turn, so that len may be read
			delete(m.boxes, promptID)
		}
		if turn {
			<-b.turn
		}
	}
	select {
	case b.turn <- struct{}{}:
		if m.d.life.Err() == nil {
			m.mu.Lock()
			m.empty(promptID, b)
			m.mu.Unlock()
			return b, func() { exit(true) }, nil
		}
		exit(true)
		return nil, nil, nodebus.ErrClosed
	case <-ctx.Done():
		err = context.Cause(ctx)
	case <-m.d.closed:
		err = nodebus.ErrClosed
	}
	exit(false)
	return nil, nil, err
}

// empty empties a box if forget could not. m.mu is held, and the caller has the turn.
func (m *signals) empty(promptID string, b *box) {
	if b.dropped {
		b.len, b.ends, b.dropped = 0, false, false
		m.owe(promptID, m.seq)
		_ = m.mem.Drop(context.Background(), promptID) // what was sent beside the Drop
	}
}

func (m *signals) Receive(promptID string, f func(flow.Signal) error) (stop func(), err error) {
	select {
	case <-m.d.closed:
		return nil, nodebus.ErrClosed
	default:
	}
	return m.mem.Receive(promptID, f)
}

// Drop drops the signals in memory also if it returns an error: an old interrupt must not end
// the next prompt with the id. The next change of the file then removes them from the file.
func (m *signals) Drop(ctx context.Context, promptID string) error {
	if checkID("prompt", promptID) != nil {
		return nil // Send keeps none
	}
	b, leave, err := m.enter(ctx, promptID)
	switch {
	case err == nil:
		defer leave()
		if b.len > 0 {
			b.len, b.ends = 0, false
			m.mu.Lock()
			c := m.owe(promptID, m.seq)
			m.mu.Unlock()
			err = m.d.wait(ctx, c)
		}
	case m.d.life.Err() != nil:
		return err
	default:
		m.dropLater(promptID)
	}
	_ = m.mem.Drop(ctx, promptID)
	return err
}

// dropLater is Drop without the turn. The caller does not wait for the disk.
func (m *signals) dropLater(promptID string) {
	if upTo, has := m.forget(promptID); has {
		m.owe(promptID, upTo)
	}
}

// forget drops the signals of a prompt in memory, and those that are being sent. If the file may
// have signals, the caller removes them up to a number.
func (m *signals) forget(promptID string) (upTo uint64, has bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := m.boxes[promptID]
	switch {
	case b == nil:
	case b.running == 0: // nobody has the turn; len stays, so that Drop waits for the disk
		b.ends = false
	default:
		b.dropped = true
	}
	_ = m.mem.Drop(context.Background(), promptID)
	return m.seq, b != nil
}

// owe begins to remove the signals of a prompt up to a number. Later signals are for the next
// prompt with the id.
func (m *signals) owe(promptID string, upTo uint64) *change {
	return m.d.owe(func(tx *bbolt.Tx) error { return removeSignals(tx, promptID, upTo) })
}

// allSignals is a number that no signal reaches.
const allSignals = math.MaxUint64

// removeSignals removes the signals of a prompt up to a number.
func removeSignals(tx *bbolt.Tx, promptID string, upTo uint64) error {
	first := prefix(promptID)
	c := tx.Bucket(bucketSignals).Cursor()
	for key, _ := c.Seek(first); len(key) == len(first)+8 && bytes.HasPrefix(key, first); key, _ = c.Seek(first) {
		if binary.BigEndian.Uint64(key[len(first):]) > upTo {
			return nil
		}
		if err := c.Delete(); err != nil {
			return err
		}
	}
	return nil
}
