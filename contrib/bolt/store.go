package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"

	"github.com/nodebus/nodebus/flow"
	"go.etcd.io/bbolt"
)

// store is a [flow.Store]. A record has a number, which is its key in the file; a second
// bucket has the numbers by prompt id.
type store struct {
	d    *DB
	opts flow.StoreOptions
}

// keyTotals is the key of the totals of the store in the bucket meta.
var keyTotals = []byte("records")

// totals are of all records in the file.
type totals struct{ records, bytes int }

func openStore(d *DB) (*store, error) {
	var o flow.StoreOptions
	if d.opts.Store != nil {
		o = *d.opts.Store
	}
	o.Len, o.Bytes = positive(o.Len, 10_000), positive(o.Bytes, 512<<20)
	o.RecordBytes = min(positive(o.RecordBytes, max(o.Bytes/4, 1)), o.Bytes)
	s := &store{d: d, opts: o}
	return s, d.view(func(tx *bbolt.Tx) error {
		_, err := s.totals(tx)
		return err
	})
}

// positive returns n, or the default if n is zero or less.
func positive(n, otherwise int) int {
	if n > 0 {
		return n
	}
	return otherwise
}

func (s *store) totals(tx *bbolt.Tx) (t totals, err error) {
	value := tx.Bucket(bucketMeta).Get(keyTotals)
	if value == nil {
		return t, nil
	}
	data, err := signed(value)
	if err != nil || len(data) != 16 {
		return t, damaged(s.d.path, "the totals of the records cannot be read")
	}
	return totals{int(binary.BigEndian.Uint64(data)), int(binary.BigEndian.Uint64(data[8:]))}, nil
}

func (s *store) setTotals(tx *bbolt.Tx, t totals) error {
	value := binary.BigEndian.AppendUint64(make([]byte, sumLen, sumLen+16), uint64(t.records))
	return tx.Bucket(bucketMeta).Put(keyTotals, sign(binary.BigEndian.AppendUint64(value, uint64(t.bytes))))
}

// Put keeps the place of a record that it replaces. It drops the oldest records if the
// limits demand it, but never the record itself.
func (s *store) Put(ctx context.Context, r flow.Record) error {
	value, err := s.value(r)
	if err != nil {
		return err
	}
	id := []byte(r.Prompt.ID)
	return s.d.write(ctx, func(tx *bbolt.Tx) error {
		t, err := s.totals(tx)
		if err != nil {
			return err
		}
		records, ids := tx.Bucket(bucketRecords), tx.Bucket(bucketIDs)
		records.FillPercent = fillPercent
		key := append([]byte(nil), ids.Get(idKey(id))...)
		if len(key) > 0 {
			t.bytes -= len(records.Get(key))
			t.records--
		} else {
			seq, err := records.NextSequence()
			if err != nil {
				return err
			}
			key = number(seq)
			if err := ids.Put(idKey(id), key); err != nil {
				return err
			}
		}
		if err := records.Put(key, value); err != nil {
			return err
		}
		t.bytes += len(value)
		t.records++
		if err := s.drop(records, ids, key, &t); err != nil {
			return err
		}
		return s.setTotals(tx, t)
	})
}

// idKey is the key of a prompt id. bbolt refuses empty keys.
func idKey(id []byte) []byte { return append([]byte{'i'}, id...) }

// value returns the JSON of a record, reduced if it is too large.
func (s *store) value(r flow.Record) (value []byte, err error) {
	if err := checkID("prompt", r.Prompt.ID); err != nil {
		return nil, err
	}
	cannot := func(err error) error {
		return fmt.Errorf("bolt: the record of prompt %q has no JSON, so no file can keep it: %w", r.Prompt.ID, err)
	}
	if value, err = toJSON(r); err != nil {
		return nil, cannot(err)
	}
	// The size of a record in memory and the size of its JSON differ, so that a smaller
	// limit for memory may be needed.
	for limit := s.opts.RecordBytes; len(value) > s.opts.RecordBytes && limit > 0; limit /= 2 {
		smaller := r.Reduce(limit)
		if !smaller.Reduced {
			continue
		}
		if value, err = toJSON(smaller); err != nil {
			return nil, cannot(err)
		}
	}
	return value, nil
}

// drop removes the oldest records until the limits hold. It does not remove the record
// with the key kept.
func (s *store) drop(records, ids *bbolt.Bucket, kept []byte, t *totals) error {
	for t.records > 1 && (t.records > s.opts.Len || t.bytes > s.opts.Bytes) {
		c := records.Cursor()
		key, value := c.First()
		if string(key) == string(kept) {
			key, value = c.Next()
		}
		if key == nil {
			return damaged(s.d.path, "there are fewer records than their totals say")
		}
		if err := s.remove(records, ids, key, value, t); err != nil {
			return err
		}
	}
	return nil
}

// remove removes one record, also if it is damaged.
func (s *store) remove(records, ids *bbolt.Bucket, key, value []byte, t *totals) error {
	t.records--
	t.bytes -= len(value)
	key = append([]byte(nil), key...) // the bucket may move it
	var id []byte
	if r, err := s.read(key, value); err == nil {
		id = idKey([]byte(r.Prompt.ID))
	} else if err := ids.ForEach(func(k, v []byte) error {
		if string(v) == string(key) {
			id = append([]byte(nil), k...)
		}
		return nil
	}); err != nil {
		return err
	}
	return errors.Join(ids.Delete(id), records.Delete(key))
}

// read reads a record.
func (s *store) read(key, value []byte) (r flow.Record, err error) {
	if err = fromJSON(value, &r); err == nil && r.Prompt == nil {
		err = errors.New("it has no prompt")
	}
	if err != nil {
		return r, damaged(s.d.path, fmt.Sprintf("record number %x cannot be read: %v", key, err))
	}
	return r, nil
}

func (s *store) Get(_ context.Context, promptID string) (r flow.Record, err error) {
	if checkID("prompt", promptID) != nil {
		return r, flow.ErrNotFound
	}
	var key, value []byte
	err = s.d.view(func(tx *bbolt.Tx) error {
		key = append(key, tx.Bucket(bucketIDs).Get(idKey([]byte(promptID)))...)
		if len(key) == 0 {
			return flow.ErrNotFound
		}
		value = append(value, tx.Bucket(bucketRecords).Get(key)...)
		return nil
	})
	if err != nil {
		return r, err
	}
	return s.read(key, value)
}

// A page of List is read in one transaction.
const (
	pageRecords = 64
	pageBytes   = 1 << 20 // a larger record is a page of its own
)

// List reads page by page: a transaction that waits for a slow reader would make the file
// grow.
func (s *store) List(ctx context.Context) iter.Seq2[flow.Record, error] {
	return func(yield func(flow.Record, error) bool) {
		for before := []byte(nil); ; {
			keys, values, err := s.page(ctx, before)
			if err != nil {
				yield(flow.Record{}, err)
				return
			}
			if len(keys) == 0 {
				return
			}
			for i, key := range keys {
				r, err := s.read(key, values[i])
				if !yield(r, err) || err != nil {
					return
				}
			}
			before = keys[len(keys)-1]
		}
	}
}

// page returns some records with smaller keys than before, the newest first; the newest of
// all if before is nil.
func (s *store) page(ctx context.Context, before []byte) (keys, values [][]byte, err error) {
	if ctx.Err() != nil {
		return nil, nil, context.Cause(ctx)
	}
	err = s.d.view(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucketRecords).Cursor()
		var key, value []byte
		if before == nil {
			key, value = c.Last()
		} else if key, value = c.Seek(before); key == nil {
			key, value = c.Last()
		}
		for bytes := 0; key != nil && len(keys) < pageRecords; key, value = c.Prev() {
			if before != nil && string(key) >= string(before) {
				continue
			}
			if bytes += len(value); bytes > pageBytes && len(keys) > 0 {
				break
			}
			keys = append(keys, append([]byte(nil), key...))
			values = append(values, append([]byte(nil), value...))
		}
		return nil
	})
	return keys, values, err
}

func (s *store) Delete(ctx context.Context, promptIDs ...string) error {
	return s.d.write(ctx, func(tx *bbolt.Tx) error {
		t, err := s.totals(tx)
		if err != nil {
			return err
		}
		records, ids := tx.Bucket(bucketRecords), tx.Bucket(bucketIDs)
		for _, id := range promptIDs {
			if checkID("prompt", id) != nil {
				continue
			}
			key := append([]byte(nil), ids.Get(idKey([]byte(id)))...)
			if len(key) == 0 {
				continue
			}
			t.records--
			t.bytes -= len(records.Get(key))
			if err := errors.Join(ids.Delete(idKey([]byte(id))), records.Delete(key)); err != nil {
				return err
			}
		}
		return s.setTotals(tx, t)
	})
}
