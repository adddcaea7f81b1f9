// Package diskcache keeps the results of nodes in a folder, so that they survive the end
// of the program. Several processes may share the folder.
package diskcache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Options holds the options of [Open]. A nil pointer, and a zero value or a negative
// number in any field, select the defaults. [math.MaxInt64] removes a limit.
type Options struct {
	// Bytes limits the size of all files, rounded up to blocks of 4096 bytes. When the
	// limit is reached, the results that have not been used for the longest time go.
	// Processes that share a folder should have the same limit; together they may exceed it
	// by an eighth for each process. Default 1 GiB.
	Bytes int64
	// Entries limits the number of results in the same way. Default 100 000.
	Entries int64
	// Version is part of the name of each result. Change it when a node computes something
	// else than before, because old results have the same key: a program that does not
	// change it shows old results. Default: no version.
	Version string
	// Encode and Decode convert a result to bytes and back. What Decode returns must be
	// equal to what Encode got; Encode must return an error for a result that it cannot
	// encode exactly. Such a result is not kept. Both run at the same time in several
	// goroutines. Default: [flow.Result.MarshalJSON] and [flow.Result.UnmarshalJSON].
	Encode func(flow.Result) ([]byte, error)
	Decode func([]byte) (flow.Result, error)
	// Logger receives errors of the file system and damaged files. The cache works without
	// the result then. Default: no logging.
	Logger *slog.Logger
}

// Cache keeps results in files. It is a [flow.Cache], and safe for concurrent use.
//
// Every file is complete or it is not there, also after a crash, and has a checksum: a
// damaged file is removed. Everybody who can write to the folder decides what the nodes of
// the program seem to have computed: give the folder to no other user. Put writes the file
// before it returns, so a node with a large result takes that much longer.
type Cache struct {
	dir  string
	opts Options

	mu       sync.Mutex
	size     totals // of all files, as far as this process knows
	fresh    totals // what this process has written since the last sweep
	sweeping bool
}

var _ flow.Cache = (*Cache)(nil)

// totals counts files and their bytes.
type totals struct{ bytes, entries int64 }

func (t *totals) add(bytes int64) {
	t.bytes += blocks(bytes)
	t.entries++
}

// blocks rounds a size up to blocks of 4096 bytes.
func blocks(bytes int64) int64 { return (bytes + 4095) &^ 4095 }

// Open returns a cache in a folder, and creates the folder if it does not exist. Files
// that are not the cache's stay as they are. There is nothing to close. Open returns an
// error if the folder cannot be created or read.
func Open(dir string, opts *Options) (*Cache, error) {
	if dir == "" {
		return nil, errors.New("diskcache: no folder; give Open the path of a folder")
	}
	c := &Cache{dir: dir}
	if opts != nil {
		c.opts = *opts
	}
	if c.opts.Bytes <= 0 {
		c.opts.Bytes = 1 << 30
	}
	if c.opts.Entries <= 0 {
		c.opts.Entries = 100_000
	}
	if c.opts.Encode == nil {
		c.opts.Encode = func(r flow.Result) ([]byte, error) { return json.Marshal(r) }
	}
	if c.opts.Decode == nil {
		c.opts.Decode = func(data []byte) (r flow.Result, err error) { return r, json.Unmarshal(data, &r) }
	}
	if c.opts.Logger == nil {
		c.opts.Logger = slog.New(slog.DiscardHandler)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("diskcache: %w", err)
	}
	if _, err := os.ReadDir(dir); err != nil {
		return nil, fmt.Errorf("diskcache: %w", err)
	}
	c.sweeping = true
	c.sweep()
	return c, nil
}

// Get returns the result for key. ok is false if the cache does not have it.
func (c *Cache) Get(key string) (r flow.Result, ok bool) {
	path := c.path(key)
	payload, err := c.read(path, key)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return flow.Result{}, false
	case err != nil && !errors.Is(err, errDamaged): // perhaps it can be read later
		c.warn("result not read", path, err)
		return flow.Result{}, false
	case err == nil:
		err = nodebus.Protect(func() (err error) { r, err = c.opts.Decode(payload); return err })
	}
	if err != nil {
		c.warn("damaged result removed", path, err)
		c.remove(path)
		return flow.Result{}, false
	}
	now := time.Now()
	_ = os.Chtimes(path, now, now) // sweep removes the oldest
	return r, true
}

// Put stores the result for key. It drops a result that cannot be encoded, or that is
// larger than the limit, and also the earlier result for key.
func (c *Cache) Put(key string, r flow.Result) {
	var payload []byte
	err := nodebus.Protect(func() (err error) { payload, err = c.opts.Encode(r); return err })
	path := c.path(key)
	if err != nil {
		c.remove(path)
		return
	}
	data := pack(key, payload)
	if blocks(int64(len(data))) > c.opts.Bytes {
		c.remove(path)
		return
	}
	if err := write(path, data); err != nil {
		c.warn("result not kept", path, err)
		c.remove(path)
		return
	}
	c.wrote(int64(len(data)))
}

// Retain drops the results for whose keys keep returns false, of all versions. It reads
// the beginning of every file.
func (c *Cache) Retain(keep func(key string) bool) {
	for _, f := range c.list() {
		if f.staged {
			continue
		}
		if key, err := readKey(f.path); err != nil || !keep(key) {
			c.remove(f.path)
		}
	}
}

// warn logs a problem. A logger that panics is ignored.
func (c *Cache) warn(text, path string, err error) {
	_ = nodebus.Protect(func() error {
		c.opts.Logger.Warn("diskcache: "+text, "file", path, "error", err)
		return nil
	})
}

func (c *Cache) remove(path string) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.warn("file not removed", path, err)
	}
}
