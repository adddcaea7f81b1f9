package bolt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/nodebus/nodebus"
	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"
)

// writer makes all changes of the file. A change is durable only after the disk has
// synchronized it, which takes far longer than the change. So a goroutine gathers all
// changes that wait, and commits them in one transaction.
type writer struct {
	db   *bbolt.DB
	file *os.File // the file of db
	path string
	log  *log      // what waits there is a part of each transaction; nil if the file has no log yet
	owed []*change // what the disk has not taken, and must take: a part of each transaction, too. The goroutine's own

	mu      sync.Mutex
	waiting []*change
	closed  bool
	broken  error         // bbolt has panicked: the file must not be changed any more
	stuck   bool          // broken, and bbolt may hold its locks for ever
	size    int64         // of the file, at least; bbolt never makes it shorter
	wake    chan struct{} // capacity 1: there are changes, or the writer is closed
	done    chan struct{} // closed when the goroutine has ended
}

// change is a function that changes the file.
type change struct {
	apply func(*bbolt.Tx) error
	owed  bool          // see owe
	err   error         // valid after done is closed
	done  chan struct{} // closed when the change is durable, or has failed
}

func newWriter(db *bbolt.DB, file *os.File, path string) *writer {
	w := &writer{db: db, file: file, path: path, wake: make(chan struct{}, 1), done: make(chan struct{})}
	go w.run()
	return w
}

// begin hands a change to the goroutine, and does not wait. Changes are applied in the
// order of begin. apply must change nothing but the transaction, because it may be called
// again after another change of the same transaction has failed; what it sets is valid when the
// change is done. It must hold no lock that a caller of begin holds.
func (w *writer) begin(apply func(*bbolt.Tx) error) *change {
	return w.beginChange(&change{apply: apply, done: make(chan struct{})})
}

// owe begins a change that removes from the file what has left memory. It cannot be withdrawn. If
// the disk does not take it, each transaction makes it again, before all later changes, until the
// disk takes it. So apply must not remove what is added later.
func (w *writer) owe(apply func(*bbolt.Tx) error) *change {
	return w.beginChange(&change{apply: apply, owed: true, done: make(chan struct{})})
}

func (w *writer) beginChange(c *change) *change {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		c.finish(nodebus.ErrClosed)
		return c
	}
	if w.broken != nil {
		c.finish(w.broken)
		return c
	}
	w.waiting = append(w.waiting, c)
	select {
	case w.wake <- struct{}{}:
	default:
	}
	return c
}

// wait waits until the change is durable, or has failed. If ctx ends before the goroutine
// has begun with the change, wait withdraws it, unless it is owed, and returns the cause.
// Otherwise it waits for the disk.
func (w *writer) wait(ctx context.Context, c *change) error {
	select {
	case <-c.done:
		return c.err
	case <-ctx.Done():
	}
	w.mu.Lock()
	at := slices.Index(w.waiting, c)
	if at >= 0 && !c.owed {
		w.waiting = slices.Delete(w.waiting, at, at+1)
	}
	w.mu.Unlock()
	if at >= 0 {
		return context.Cause(ctx)
	}
	<-c.done
	return c.err
}

// write changes the file durably. See begin for what apply may do, and wait for ctx. It
// returns the error of apply; [nodebus.ErrClosed]; or a [*FileError] with the reason
// ErrWrite.
func (w *writer) write(ctx context.Context, apply func(*bbolt.Tx) error) error {
	return w.wait(ctx, w.begin(apply))
}

// setLog makes the log a part of the transactions. Open calls it before the first change.
func (w *writer) setLog(l *log) { w.log = l }

// wakeUp makes the goroutine look whether the log has something to write.
func (w *writer) wakeUp() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// close waits until the changes that have begun are done. Further changes are refused.
func (w *writer) close() {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.wake)
	}
	w.mu.Unlock()
	<-w.done
}

func (w *writer) run() {
	defer close(w.done)
	for range w.wake {
		runtime.Gosched() // callers whose last change is done may have the next one
		w.mu.Lock()
		batch := w.waiting
		w.waiting = nil
		w.mu.Unlock()
		w.commit(batch)
	}
	w.commit(w.waiting) // nobody appends to it any more
}

// commit applies the changes in one transaction. A change that fails does not spoil the
// others. If the disk does not take all of them together, it may take some of them.
//
// Each transaction writes first what the log has gathered. So a change never overtakes an
// event that was published before it: a prompt is not done before its last event is in the
// file. Followers receive the events before the callers of the changes continue: who waits
// until a prompt is done finds its last event at the hub.
func (w *writer) commit(batch []*change) {
	for len(batch) > 0 || w.log.waits() || len(w.owed) > 0 {
		failed, err := w.try(batch)
		if failed >= 0 {
			batch[failed].finish(err)
			batch = slices.Delete(batch, failed, failed+1)
			continue
		}
		w.log.written(err)
		switch {
		case err == nil:
			w.owed = nil
		case len(batch) > 1:
			for _, c := range batch {
				w.commit([]*change{c})
			}
			return
		case len(batch) == 1 && batch[0].owed:
			w.owed = append(w.owed, batch[0])
		}
		for _, c := range batch {
			c.finish(err)
		}
		return
	}
}

func (c *change) finish(err error) {
	c.err = err
	close(c.done)
}

// try makes one transaction. If a change fails, failed is its index, and nothing has
// changed. Otherwise failed is -1, and err is the error of the disk.
func (w *writer) try(batch []*change) (failed int, err error) {
	w.log.begins()
	if err := w.usable(true); err != nil {
		return -1, err
	}
	free := false // bbolt has given back its locks
	err = guard(w.path, func() error {
		failed = -1
		tx, err := w.db.Begin(true)
		if err != nil {
			free = true
			return w.diskError(err)
		}
		defer func() {
			_ = tx.Rollback() // without effect after Commit
			free = true
		}()
		if err := w.log.write(tx); err != nil {
			return w.diskError(err)
		}
		for _, c := range w.owed {
			if err := c.apply(tx); err != nil {
				return w.diskError(err)
			}
		}
		for i, c := range batch {
			failed = i
			if err := c.apply(tx); err != nil {
				return err
			}
		}
		failed = -1
		if err := tx.Commit(); err != nil {
			return w.diskError(err)
		}
		return nil
	})
	if errors.Is(err, errPanic) {
		failed = -1
		w.breaks(err, !free)
	}
	return failed, err
}

// usable returns an error if bbolt must not be asked to read or change the file. It looks
// at the length of the file: bbolt reads the head of the file while it holds its locks, and
// would keep them for ever after a fault.
func (w *writer) usable(changes bool) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	info, err := w.file.Stat() // with the lock: the file may grow, and w.size is older then
	switch {
	case w.stuck || changes && w.broken != nil:
		return w.broken
	case err != nil: // the file is closed, and bbolt says so
		return nil
	case info.Size() < w.size:
		w.broken, w.stuck = damaged(w.path, fmt.Sprintf("it has become shorter while it was open: it has %d bytes, and had %d", info.Size(), w.size)), true
		return w.broken
	}
	w.size = info.Size()
	return nil
}

// breaks remembers that bbolt has panicked.
func (w *writer) breaks(err error, stuck bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.broken == nil {
		w.broken = err
	}
	w.stuck = w.stuck || stuck
}

// closeFile closes the file. If bbolt may hold its locks, closeFile does not ask bbolt: the
// lock of the file ends, and the memory that maps it stays until the process ends.
func (w *writer) closeFile() error {
	w.mu.Lock()
	stuck := w.stuck
	w.mu.Unlock()
	if stuck {
		return w.file.Close()
	}
	return guard(w.path, w.db.Close)
}

func (w *writer) diskError(err error) error {
	return &FileError{Path: w.path, Reason: ErrWrite, Detail: "what was to be written is not in the file; look for room on the disk, then try again", Err: err}
}

// guard calls f, which reads or changes the file. bbolt panics if a page of the file is
// wrong, and the operating system raises a fault if the file has become shorter than it
// was. guard returns both as errors, so that a damaged file does not end the process.
func guard(path string, f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = &FileError{Path: path, Reason: ErrDamaged, Detail: mendDamage, Err: fmt.Errorf("%w: %v", errPanic, p)}
		}
	}()
	return f()
}

// errPanic is the cause of an error of guard.
var errPanic = errors.New("bbolt panics")

const mendDamage = "restore it from a backup, or move it away to begin with an empty one"

// damaged returns the error of a damaged file.
func damaged(path, found string) error {
	return &FileError{Path: path, Reason: ErrDamaged, Detail: found + "; " + mendDamage}
}

// view reads the file in a transaction. f must be quick, because the file grows as long as
// a transaction reads an old state of it, and it must call no foreign code.
func (w *writer) view(f func(*bbolt.Tx) error) error {
	if err := w.usable(false); err != nil {
		return err
	}
	begun := false
	err := guard(w.path, func() error {
		return w.db.View(func(tx *bbolt.Tx) error {
			begun = true
			return f(tx)
		})
	})
	switch {
	case errors.Is(err, berrors.ErrDatabaseNotOpen):
		return nodebus.ErrClosed
	case errors.Is(err, errPanic) && !begun:
		w.breaks(err, true)
	}
	return err
}
