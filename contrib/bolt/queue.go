package bolt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/stored"
	"go.etcd.io/bbolt"
)

// queue is a [flow.Queue]. A queue in memory is its index: it knows the order, the leases
// and the limits. The file has what another process needs.
//
// The order in memory and the order in the file are the same, because mu is held from a
// change in memory until the change of the file has begun.
type queue struct {
	d   *DB
	mem flow.Queue

	mu      sync.Mutex // not held while code of callers runs, or while the disk works
	entries map[string]*entry
	seq     uint64          // the newest number of a prompt or a place
	older   map[uint64]bool // prompts that Open has found to be done
	dropped []loaded        // prompts whose secrets the key does not open; nil after Open
	failing bool            // the newest Take could not write its attempt
	gaveUp  chan struct{}   // closed and replaced when a Take gives up a prompt that has left the queue
}

// entry is a prompt in the queue. queue.mu guards it.
type entry struct {
	born    uint64 // the number of its Push; the key in the file
	place   place
	moved   bool          // Move has changed the place
	base    int           // attempts before this process
	gone    bool          // Push has failed, or the prompt is deleted
	deletes chan struct{} // closed when a Delete that has begun is done; nil if there is none
	pushed  chan struct{} // closed when Push knows whether the file has the prompt; nil if it was there at Open
}

// errGone is the error of a change for a prompt that the file does not have.
var errGone = errors.New("bolt: the prompt has left the queue")

// begin begins a change of the file. q.mu is held, so that the changes are in the order of the
// changes in memory.
func (q *queue) begin(apply func(tx *bbolt.Tx) error) (wait func(context.Context) error) {
	c := q.d.begin(func(tx *bbolt.Tx) error {
		tx.Bucket(bucketPrompts).FillPercent = fillPercent
		return apply(tx)
	})
	return func(ctx context.Context) error { return q.d.wait(ctx, c) }
}

// beginDelete begins to remove prompts, and their signals: if the process dies before the engine
// drops the signals, nobody else does, and an interrupt would end the next prompt with the id.
// q.mu is held.
func (q *queue) beginDelete(borns []uint64, ids []string) (wait func(context.Context) error) {
	return q.begin(func(tx *bbolt.Tx) error {
		for i, id := range ids {
			if err := removeEnded(tx, borns[i], id, allSignals); err != nil {
				return err
			}
		}
		return nil
	})
}

// removeEnded removes a prompt from the file, and its signals up to a number.
func removeEnded(tx *bbolt.Tx, born uint64, id string, upTo uint64) error {
	return errors.Join(removePrompt(tx, born), removeSignals(tx, id, upTo))
}

// removePrompt removes a prompt from the file.
func removePrompt(tx *bbolt.Tx, born uint64) error {
	return errors.Join(tx.Bucket(bucketPrompts).Delete(number(born)), tx.Bucket(bucketPlaces).Delete(number(born)))
}

// Push writes the prompt before it returns. A Take may have the prompt earlier, but its own
// change of the file comes after the change of Push. Another Push of the id waits, because
// this one may fail: then the id is no duplicate.
func (q *queue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	for of, id := range map[string]string{"prompt": p.ID, "client": p.ClientID} {
		if err := checkID(of, id); err != nil {
			return &nodebus.ValidationError{Problem: nodebus.Problem{
				Type: "invalid_id", Message: "The id of the " + of + " cannot be kept", Details: err.Error(), Extra: map[string]any{},
			}}
		}
	}
	sealed, err := q.d.seal(p.ID, secrets)
	if err != nil {
		return err
	}
	value, err := promptValue(p, sealed)
	if err != nil {
		return fmt.Errorf("bolt: prompt %q has no JSON, so no file can keep it; submit values that have: %w", p.ID, err)
	}
	own := p
	if !stored.IsPlain(p) { // the queue in memory would call methods of its values
		if own, _, err = readPrompt(value); err != nil {
			return fmt.Errorf("bolt: the JSON of prompt %q cannot be read again; submit values that have one: %w", p.ID, err)
		}
	}
	e, wait, err := q.accept(ctx, own, value, secrets)
	if err != nil {
		return err
	}
	err = wait(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	close(e.pushed)
	if err != nil {
		q.leaves(ctx, p.ID, e)
	}
	return err
}

// leaves removes a prompt from memory, unless a later Push has its id. If it is leased, Take
// gives it up. q.mu is held.
func (q *queue) leaves(ctx context.Context, id string, e *entry) {
	e.gone = true
	if q.entries[id] == e {
		q.forget(id, e)
		_, _ = q.mem.Delete(ctx, id)
	}
}

// accept adds a prompt to memory, and begins to write it. It waits while nobody knows whether
// the queue has a prompt with the id.
func (q *queue) accept(ctx context.Context, p *nodebus.Prompt, value []byte, secrets map[string]string) (e *entry, wait func(context.Context) error, err error) {
	for {
		e, wait, busy, err := q.tryAccept(ctx, p, value, secrets)
		if busy == nil {
			return e, wait, err
		}
		select {
		case <-busy:
		case <-q.d.closed:
			return nil, nil, nodebus.ErrClosed
		case <-ctx.Done():
			return nil, nil, context.Cause(ctx)
		}
	}
}

// tryAccept is accept, but does not wait: it returns what to wait for, and nil otherwise.
func (q *queue) tryAccept(ctx context.Context, p *nodebus.Prompt, value []byte, secrets map[string]string) (
	e *entry, wait func(context.Context) error, busy <-chan struct{}, err error,
) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.closed(); err != nil {
		return nil, nil, nil, err
	}
	if err := q.mem.Push(ctx, p, secrets); err != nil {
		if errors.Is(err, flow.ErrDuplicate) {
			busy = q.undecided(p.ID)
		}
		return nil, nil, busy, err
	}
	q.seq++
	e = &entry{born: q.seq, place: place{seq: q.seq, priority: p.Priority}, pushed: make(chan struct{})}
	q.entries[p.ID] = e
	return e, q.begin(func(tx *bbolt.Tx) error { return tx.Bucket(bucketPrompts).Put(number(e.born), value) }), nil, nil
}

// undecided returns what to wait for if memory has a prompt, and the queue may not have it;
// otherwise nil. q.mu is held.
func (q *queue) undecided(id string) <-chan struct{} {
	e := q.entries[id]
	if e == nil { // it has left the queue, and a Take is about to learn that
		return q.gaveUp
	}
	select {
	case <-e.pushed:
		return nil
	default:
		return e.pushed
	}
}

func (q *queue) closed() error {
	select {
	case <-q.d.closed:
		return nodebus.ErrClosed
	default:
		return nil
	}
}

// forget removes the entry of a prompt, unless the id is used again. q.mu is held.
func (q *queue) forget(id string, e *entry) {
	if q.entries[id] == e {
		delete(q.entries, id)
	}
}

// Move changes memory first: if the disk fails, the prompt has its new place until the
// process ends, and its next change of the file writes the place.
func (q *queue) Move(ctx context.Context, id string, priority float64) error {
	wait, err := q.beginMove(ctx, id, priority)
	if err != nil {
		return err
	}
	if err = wait(ctx); errors.Is(err, errGone) { // its Push has failed
		err = noneWaits(id)
	}
	return err
}

func noneWaits(id string) error {
	return fmt.Errorf("%w: no prompt with this id waits: prompt %q", flow.ErrNotFound, id)
}

// beginMove changes memory, and begins to write the place.
func (q *queue) beginMove(ctx context.Context, id string, priority float64) (wait func(context.Context) error, err error) {
	e, err := q.settled(ctx, id)
	if err != nil {
		return nil, err
	}
	defer q.mu.Unlock()
	if e == nil { // memory may have it still, until a Take gives it up
		return nil, noneWaits(id)
	}
	if err := q.mem.Move(ctx, id, priority); err != nil {
		return nil, err
	}
	q.seq++
	e.place.seq, e.place.priority, e.moved = q.seq, priority, true
	return q.beginPlace(e), nil
}

// beginPlace begins to write the place of a prompt. q.mu is held.
func (q *queue) beginPlace(e *entry) (wait func(context.Context) error) {
	key, value, whole := number(e.born), e.place.value(), e.place.attempts == 0 && !e.moved
	return q.begin(func(tx *bbolt.Tx) error {
		prompts, places := tx.Bucket(bucketPrompts), tx.Bucket(bucketPlaces)
		switch {
		case prompts.Get(key) == nil:
			return errGone
		case whole:
			return places.Delete(key)
		}
		return places.Put(key, value)
	})
}

// settled waits until no Delete of the prompt has begun, and returns its entry with q.mu
// held; nil if there is none. With an error, q.mu is not held.
func (q *queue) settled(ctx context.Context, id string) (*entry, error) {
	for {
		q.mu.Lock()
		if err := q.closed(); err != nil {
			q.mu.Unlock()
			return nil, err
		}
		e := q.entries[id]
		if e == nil || e.deletes == nil {
			return e, nil
		}
		deletes := e.deletes
		q.mu.Unlock()
		select {
		case <-deletes:
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		}
	}
}

// Delete changes the file first, because a prompt that comes back after an error would have
// lost its place. A Take that has such a prompt waits for the outcome.
func (q *queue) Delete(ctx context.Context, ids ...string) (deleted []*nodebus.Prompt, err error) {
	var entries []*entry
	var borns []uint64
	var gone []string
	done := make(chan struct{})
	for {
		if entries, deleted, err = q.chooses(ctx, ids); err == nil {
			break
		} else if err != errBusy { //nolint:errorlint // never wrapped
			return nil, err
		}
	}
	for i, e := range entries {
		e.deletes = done
		borns, gone = append(borns, e.born), append(gone, deleted[i].ID)
	}
	wait := func(context.Context) error { return nil }
	if len(borns) > 0 {
		wait = q.beginDelete(borns, gone)
	}
	q.mu.Unlock()
	err = wait(ctx)
	q.mu.Lock()
	defer q.mu.Unlock()
	defer close(done)
	for i, e := range entries {
		if e.deletes = nil; err != nil {
			continue
		}
		q.d.signals.dropLater(deleted[i].ID)
		q.leaves(ctx, deleted[i].ID, e)
	}
	if err != nil {
		return nil, err
	}
	return deleted, nil
}

// errBusy means that another Delete of the same prompts was under way.
var errBusy = errors.New("bolt: look again")

// chooses returns the prompts with these ids that wait, with q.mu held. With an error,
// q.mu is not held.
func (q *queue) chooses(ctx context.Context, ids []string) (entries []*entry, prompts []*nodebus.Prompt, err error) {
	for _, id := range ids {
		if _, err := q.settled(ctx, id); err != nil {
			return nil, nil, err
		}
		q.mu.Unlock()
	}
	q.mu.Lock()
	seen := map[*entry]bool{}
	for _, id := range ids {
		e := q.entries[id]
		switch {
		case e == nil || seen[e]:
			continue
		case e.deletes != nil:
			q.mu.Unlock()
			return nil, nil, errBusy
		}
		seen[e] = true
		for x, err := range q.mem.List(ctx, id) {
			if err == nil && !x.Leased {
				entries, prompts = append(entries, e), append(prompts, x.Prompt)
			}
		}
	}
	return entries, prompts, nil
}

// List adds the attempts of earlier processes to the listing of the queue in memory.
func (q *queue) List(ctx context.Context, ids ...string) iter.Seq2[flow.Queued, error] {
	return func(yield func(flow.Queued, error) bool) {
		if err := q.closed(); err != nil {
			yield(flow.Queued{}, err)
			return
		}
		for x, err := range q.mem.List(ctx, ids...) {
			if x.Prompt != nil {
				x.Attempt += q.baseOf(x.Prompt.ID)
			}
			if !yield(x, err) {
				return
			}
		}
	}
}

func (q *queue) baseOf(id string) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	if e := q.entries[id]; e != nil {
		return e.base
	}
	return 0
}

func (q *queue) Len(ctx context.Context) (waiting, leased int, err error) {
	if err := q.closed(); err != nil {
		return 0, 0, err
	}
	return q.mem.Len(ctx)
}
