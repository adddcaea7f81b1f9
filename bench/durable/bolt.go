package main

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"sync"
	"time"

	"github.com/nodebus/nodebus/contrib/bolt"
	"go.etcd.io/bbolt"
)

var boltBackend = &backend{
	name: "bolt", bare: "raw-bbolt", programs: []string{"hello", "hellobolt"},
	openBare: func(dir string) (bare, error) { return openBBolt(dir) },
	open: func(dir string) (parts, error) {
		return bolt.Open(filepath.Join(dir, "nodebus.db"), &bolt.Options{Queue: queueOptions, Store: storeOptions, Log: &hubLimits})
	},
}

// plainBolt is plain bbolt with one bucket: a key of 8 bytes for each value, as in the files of nodebus.
type plainBolt struct {
	db *bbolt.DB

	mu      sync.Mutex
	waiting [][]byte
	wake    chan struct{}
}

var bucket = []byte("values")

func openBBolt(dir string) (*plainBolt, error) {
	db, err := bbolt.Open(filepath.Join(dir, "raw.db"), 0o600, &bbolt.Options{FreelistType: bbolt.FreelistMapType})
	if err != nil {
		return nil, err
	}
	db.MaxBatchDelay = time.Millisecond
	r := &plainBolt{db: db, wake: make(chan struct{}, 1)}
	return r, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	})
}

// Close implements [io.Closer].
func (r *plainBolt) Close() error { return r.db.Close() }

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

// append commits a value, together with the values of the other callers.
func (r *plainBolt) append(callers int, value []byte) error {
	work := func(tx *bbolt.Tx) error { return put(tx, value) }
	if callers == 1 {
		return r.db.Update(work)
	}
	return r.db.Batch(work)
}

// stream commits what has gathered while the commit before was under way.
func (r *plainBolt) stream(publishers, n int, value []byte) error {
	done := make(chan error, 1)
	go func() { done <- r.commits(n) }()
	_, err := each(publishers, n, func(int, int) error { r.gathers(value); return nil })
	return errors.Join(err, <-done)
}

// gathers adds a value to the next transaction.
func (r *plainBolt) gathers(value []byte) {
	r.mu.Lock()
	r.waiting = append(r.waiting, value)
	r.mu.Unlock()
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// commits writes n values that were gathered.
func (r *plainBolt) commits(n int) error {
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

// read copies each value, because the file may change later.
func (r *plainBolt) read(skip, n int, f func(value []byte)) error {
	return r.db.View(func(tx *bbolt.Tx) error {
		c := tx.Bucket(bucket).Cursor()
		for k, v := c.Seek(binary.BigEndian.AppendUint64(nil, uint64(skip)+1)); k != nil && n > 0; k, v = c.Next() {
			n--
			f(append([]byte(nil), v...))
		}
		return nil
	})
}
