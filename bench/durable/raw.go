package main

import (
	"encoding/binary"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
)

// raw is plain bbolt with one bucket: a key of 8 bytes for each value, as in the files of nodebus.
type raw struct {
	db *bbolt.DB

	mu      sync.Mutex
	waiting [][]byte
	wake    chan struct{}
}

var bucket = []byte("values")

func openRaw(dir string) (*raw, error) {
	db, err := bbolt.Open(filepath.Join(dir, "raw.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	r := &raw{db: db, wake: make(chan struct{}, 1)}
	return r, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

// put adds a value at the end of the bucket.
func put(tx *bbolt.Tx, value []byte) error {
	b := tx.Bucket(bucket)
	b.FillPercent = 0.95
	n, err := b.NextSequence()
	if err != nil {
		return err
	}
	return b.Put(binary.BigEndian.AppendUint64(nil, n), value)
}

// appends appends a value durably, by a transaction of its own.
func (r *raw) appends(value []byte) error {
	return r.db.Update(func(tx *bbolt.Tx) error { return put(tx, value) })
}

// batches appends a value durably, together with the values of the other callers.
func (r *raw) batches(callers int) func(value []byte) error {
	r.db.MaxBatchSize, r.db.MaxBatchDelay = callers, time.Millisecond
	return func(value []byte) error {
		return r.db.Batch(func(tx *bbolt.Tx) error { return put(tx, value) })
	}
}

// gathers appends a value, and does not wait. What has gathered becomes one transaction.
func (r *raw) gathers(value []byte) {
	r.mu.Lock()
	r.waiting = append(r.waiting, value)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// commits writes n values that were gathered.
func (r *raw) commits(n int) error {
	for n > 0 {
		<-r.wake
		r.mu.Lock()
		batch := r.waiting
		r.waiting = nil
		r.mu.Unlock()
		if len(batch) == 0 {
			continue
		}
		n -= len(batch)
		err := r.db.Update(func(tx *bbolt.Tx) error {
			for _, v := range batch {
				if err := put(tx, v); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// reads calls f with a copy of each value after a key.
func (r *raw) reads(after uint64, f func(value []byte)) error {
	return r.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, v := c.Seek(binary.BigEndian.AppendUint64(nil, after+1)); k != nil; k, v = c.Next() {
			f(append([]byte(nil), v...))
		}
		return nil
	})
}
