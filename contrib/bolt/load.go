package bolt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"go.etcd.io/bbolt"
)

// loaded is a prompt that the file has when it is opened.
type loaded struct {
	*entry
	prompt  *nodebus.Prompt
	secrets map[string]string
}

// openQueue reads the prompts. A prompt that was leased waits again in its old place: the
// lock of the file shows that its process is gone. The attempt counts.
func openQueue(d *DB) (*queue, error) {
	q := &queue{d: d, entries: map[string]*entry{}, older: map[uint64]bool{}, gaveUp: make(chan struct{})}
	var all []loaded
	err := d.view(func(tx *bbolt.Tx) error {
		prompts, places := tx.Bucket(bucketPrompts), tx.Bucket(bucketPlaces)
		return prompts.ForEach(func(key, value []byte) error {
			x, err := q.load(key, value, places.Get(key))
			if err != nil {
				return err
			}
			if older := q.entries[x.prompt.ID]; older != nil { // it is done: otherwise Push would have refused x
				q.older[older.born] = true
			}
			all = append(all, x)
			q.entries[x.prompt.ID] = x.entry
			q.seq = max(q.seq, x.born, x.place.seq)
			return nil
		})
	})
	if err != nil {
		return nil, err
	}
	isOlder := func(x loaded) bool { return q.older[x.born] }
	all, q.dropped = slices.DeleteFunc(all, isOlder), slices.DeleteFunc(q.dropped, isOlder)
	slices.SortFunc(all, func(a, b loaded) int { return cmp.Compare(a.place.seq, b.place.seq) })
	q.mem, err = fill(d, all)
	return q, err
}

// load reads a prompt and its place.
func (q *queue) load(key, value, at []byte) (x loaded, err error) {
	broken := func(err error) error {
		return damaged(q.d.path, fmt.Sprintf("prompt number %x cannot be read: %v", key, err))
	}
	x.entry = &entry{}
	if x.born, err = numberOf(key); err != nil {
		return x, broken(err)
	}
	var sealed []byte
	if x.prompt, sealed, err = readPrompt(value); err != nil {
		return x, broken(err)
	}
	x.secrets, err = q.d.unseal(x.prompt.ID, sealed)
	switch {
	case err == nil:
	case q.d.opts.DropSecrets && errors.Is(err, ErrKey):
		q.dropped = append(q.dropped, x)
	default:
		return x, err
	}
	x.place = place{seq: x.born, priority: x.prompt.Priority}
	if at != nil {
		if x.place, err = readPlace(at); err != nil {
			return x, broken(err)
		}
		x.moved = x.place.seq != x.born
		x.prompt.Priority = x.place.priority
	}
	x.base = x.place.attempts
	return x, nil
}

// dropSecrets removes the secrets that the key does not open.
func (q *queue) dropSecrets(tx *bbolt.Tx) error {
	prompts := tx.Bucket(bucketPrompts)
	for _, x := range q.dropped {
		key := number(x.born)
		value, err := withoutSecrets(prompts.Get(key))
		if err != nil {
			return damaged(q.d.path, fmt.Sprintf("prompt number %x cannot be read: %v", key, err))
		}
		if err := prompts.Put(key, value); err != nil {
			return err
		}
	}
	return nil
}

// removeOlder begins to remove what Open has found to be done.
func (q *queue) removeOlder() {
	for born := range q.older {
		q.d.owe(func(tx *bbolt.Tx) error { return removePrompt(tx, born) })
	}
}

// tellDropped tells the logger which prompts have lost their secrets.
func (q *queue) tellDropped() {
	for _, x := range q.dropped {
		_ = nodebus.Protect(func() error {
			q.d.logger.Warn("bolt: a prompt has lost its secrets, because the key does not open them, and Options.DropSecrets is set: it runs without them",
				"file", q.d.path, "prompt", x.prompt.ID)
			return nil
		})
	}
	q.dropped = nil
}

// fill returns a queue in memory with these prompts. If they exceed the limits, because
// the limits were higher once, the limits grow: what was accepted is kept.
func fill(d *DB, all []loaded) (flow.Queue, error) {
	opts := flow.QueueOptions{}
	if d.opts.Queue != nil {
		opts = *d.opts.Queue
	}
	for range 40 {
		q := flow.NewQueue(&opts)
		err := pushAll(q, all)
		var invalid *nodebus.ValidationError
		switch {
		case err == nil:
			return q, nil
		case !errors.Is(err, flow.ErrFull) && !errors.As(err, &invalid):
			return nil, err
		}
		opts.Len = max(opts.Len, 10_000, len(all))
		opts.PerClient = opts.Len
		opts.Bytes = 2 * max(opts.Bytes, 256<<20)
		d.logger.Warn("the queue has more prompts than its limits allow: the limits are raised until it is opened again",
			"file", d.path, "prompts", len(all), "bytes", opts.Bytes)
	}
	return nil, damaged(d.path, "its prompts are too large")
}

func pushAll(q flow.Queue, all []loaded) error {
	for _, x := range all {
		if err := q.Push(context.Background(), x.prompt, x.secrets); err != nil {
			return err
		}
	}
	return nil
}
