package bolt

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"
)

// Change is a change that waits for the disk.
type Change struct {
	d *DB
	c *change
}

// Begin hands a change of the file to the goroutine that writes.
func (d *DB) Begin(apply func(*bbolt.Tx) error) Change { return Change{d, d.begin(apply)} }

// Wait waits for the disk.
func (c Change) Wait(ctx context.Context) error { return c.d.wait(ctx, c.c) }

// Puts returns a change that writes a key.
func Puts(key string) func(*bbolt.Tx) error {
	return func(tx *bbolt.Tx) error { return tx.Bucket(bucketMeta).Put([]byte(key), []byte(key)) }
}

// Has reports whether the file has a key of Puts.
func (d *DB) Has(key string) (found bool, err error) {
	err = d.view(func(tx *bbolt.Tx) error {
		found = tx.Bucket(bucketMeta).Get([]byte(key)) != nil
		return nil
	})
	return found, err
}

// Closing is closed when Close has begun.
func (d *DB) Closing() <-chan struct{} { return d.closed }

// Prompts returns the number of prompts in the file.
func Prompts(tx *bbolt.Tx) int { return tx.Bucket(bucketPrompts).Stats().KeyN }

// Waiting returns the number of changes that the goroutine that writes has not begun.
func (d *DB) Waiting() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.waiting)
}

// Grows calls f, which makes the file longer, while another call waits to look at the length.
func (d *DB) Grows(f func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	f()
	info, err := d.file.Stat()
	if err == nil {
		d.size = info.Size()
	}
}

// TooLarge is a change that the disk does not take, alone or together with others. After it, the
// disk takes only what has room in the file.
func TooLarge(tx *bbolt.Tx) error {
	tx.DB().MaxSize = 1
	return tx.Bucket(bucketMeta).Put([]byte("large"), make([]byte, 1<<20))
}

// Room lets the file grow again after TooLarge.
func Room(tx *bbolt.Tx) error {
	tx.DB().MaxSize = 0
	return nil
}

// Committed returns the file as it is before the transaction of a change.
func Committed(tx *bbolt.Tx) ([]byte, error) {
	var text bytes.Buffer
	err := tx.DB().View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(&text)
		return err
	})
	return text.Bytes(), err
}
