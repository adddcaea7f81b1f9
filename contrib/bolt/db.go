package bolt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/stored"
	"go.etcd.io/bbolt"
)

// version is the version of the file's format. A file with a larger number was written by
// a newer version of this package.
const version = 1

// The buckets of the file. Each part of the package has its own.
var (
	bucketMeta    = []byte("nodebus") // about the file: its version; each part may keep a value, too
	bucketPrompts = []byte("prompts")
	bucketPlaces  = []byte("places")
	bucketRecords = []byte("records")
	bucketIDs     = []byte("record ids")
	bucketSignals = []byte("signals")
)

// buckets lists all buckets. A new file has all of them.
var buckets = [][]byte{bucketMeta, bucketPrompts, bucketPlaces, bucketRecords, bucketIDs, bucketSignals}

// keyVersion is the key of the version in the bucket meta: 4 bytes, big endian.
var keyVersion = []byte("version")

// DB is an open file with a queue, a store, signals and a log of events: what [DB.Queue],
// [DB.Store], [DB.Signals] and [DB.Log] return. Its methods, and the methods of its parts,
// are safe for concurrent use. One process at a time can open the file.
type DB struct {
	*writer
	opts   Options
	logger *slog.Logger
	sealer *stored.Sealer // nil without a key

	queue   *queue
	store   *store
	signals *signals
	log     *log

	closing sync.Once
	closed  <-chan struct{} // closed when Close begins
	life    context.Context // ends when Close begins
	end     context.CancelFunc
	err     error // of Close
}

// Open opens the file at path, or makes it if there is none. The directory must exist. If
// opts is nil, all options have their defaults. Open reads all prompts that wait into
// memory.
//
// Errors of the file are a [*FileError], whose reason is for example [ErrInUse] or
// [ErrDamaged]. Open has then changed nothing in the file. Other errors are about the
// options, or an empty path.
func Open(path string, opts *Options) (*DB, error) {
	if opts == nil {
		opts = &Options{}
	}
	if path == "" {
		return nil, errors.New("bolt: the path is empty; give the path of the file, or of a file that Open makes")
	}
	d := &DB{opts: *opts, logger: opts.Logger}
	d.life, d.end = context.WithCancel(context.Background())
	d.closed = d.life.Done()
	if d.logger == nil {
		d.logger = slog.Default()
	}
	var err error
	if d.sealer, err = stored.NewSealer(opts.SecretKey, opts.KeyFile); err != nil {
		return nil, fmt.Errorf("bolt: %w", err)
	}
	db, file, err := openFile(path, opts.LockTimeout, d.logger)
	if err != nil {
		return nil, err
	}
	d.writer = newWriter(db, file, path)
	if err := guard(path, d.openParts); err != nil {
		_ = d.Close()
		return nil, err
	}
	return d, nil
}

// openParts opens the parts of the file. Each of them reads what it needs, and
// changes nothing. The log is the last part, because then it may begin to write.
func (d *DB) openParts() (err error) {
	if d.queue, err = openQueue(d); err != nil {
		return err
	}
	if d.store, err = openStore(d); err != nil {
		return err
	}
	if d.signals, err = openSignals(d); err != nil {
		return err
	}
	log, err := openLog(d)
	if err != nil {
		return err
	}
	d.log = log
	d.setLog(log)
	log.expire()
	d.queue.removeOlder()
	if !d.opts.Restored && len(d.queue.dropped) == 0 {
		return nil
	}
	// A crash must not bring the old epoch or the secrets back: nobody sets the option twice.
	if err := d.write(context.Background(), d.queue.dropSecrets); err != nil {
		return err
	}
	d.queue.tellDropped()
	return nil
}

// Queue returns the queue of the file. A prompt is in the file before Push returns, and
// the number of an attempt before Take returns. Take waits while the disk is full; other
// methods return [ErrWrite]. Every lease of an earlier process has
// lapsed: the file lock shows that this process is gone.
func (d *DB) Queue() flow.Queue { return d.queue }

// Store returns the records of the file. It reads them from the file each time, and keeps
// none in memory.
func (d *DB) Store() flow.Store { return d.store }

// Signals returns the signals of the file. A signal is in the file before its receiver is
// called, and before Send returns.
func (d *DB) Signals() flow.Signals { return d.signals }

// Path returns the path given to Open.
func (d *DB) Path() string { return d.path }

// Close waits for writes that have begun, and closes the file. Calls after it return
// [nodebus.ErrClosed]. A call of Take that waits ends. Close may be called several times.
func (d *DB) Close() error {
	d.closing.Do(func() {
		d.end()
		if d.log != nil {
			d.log.close()
		}
		d.writer.close()
		if d.log != nil {
			d.err = d.log.refuse()
			d.log.awaitLogger()
		}
		d.err = errors.Join(d.err, d.closeFile())
	})
	return d.err
}

// openFile opens the file with bbolt and looks at its version.
func openFile(path string, timeout time.Duration, logger *slog.Logger) (*bbolt.DB, *os.File, error) {
	if timeout == 0 {
		timeout = lockTimeout
	}
	if err := makeFile(path); err != nil {
		return nil, nil, err
	}
	db, file, err := openBolt(path, timeout, func() {
		_ = nodebus.Protect(func() error {
			logger.Info("bolt: another process has the file; Open waits until that process closes it", "file", path, "longest", timeout)
			return nil
		})
	})
	if err != nil {
		return nil, nil, err
	}
	if err := guard(path, func() error { return checkVersion(db, path) }); err != nil {
		_ = db.Close()
		return nil, nil, err
	}
	return db, file, nil
}
