package flow

import (
	"context"
	"iter"
)

// Store keeps the records of ended prompts. It must be safe for concurrent use. A
// call must end soon after its ctx ends, because the end of a prompt waits for the
// store.
type Store interface {
	// Put stores a record. It replaces a record of the same prompt id. An engine gives it a ctx
	// that ends after 30 s. A prompt ends when Put has returned nil: nobody hears of an outcome
	// that has no record. If Put fails, the engine tries again, see [EngineOptions].Store; so
	// an error should mean that a later Put may succeed. Of a record that is too large, Put
	// keeps a smaller form, see [Record.Reduce]. If a record has no JSON, and Put fails, the
	// prompt fails, and its record has the reason instead of the results. A store that is
	// closed returns [nodebus.ErrClosed]: the engine does not try again.
	Put(ctx context.Context, r Record) error
	// Get returns the record of a prompt. It returns [ErrNotFound] if there is no
	// record.
	Get(ctx context.Context, promptID string) (Record, error)
	// List yields the records, newest first. A record that is in the store all the time is
	// yielded exactly once. The store must not keep copies of all records, and must not hold
	// a lock, while it yields: a listing may be as slow as the client that reads it.
	List(ctx context.Context) iter.Seq2[Record, error]
	// Delete removes the records of the given prompts. Ids without a record are
	// ignored.
	Delete(ctx context.Context, promptIDs ...string) error
}

// StoreOptions holds the limits of the store that [NewStore] makes. A nil pointer,
// and zero or less in any field, select the defaults.
type StoreOptions struct {
	// Len is the maximum number of records. When the store is full, it drops the oldest
	// records. Default 10 000.
	Len int
	// Bytes is the maximum memory of all records, in bytes, with their prompts and outputs.
	// The store estimates it. When the store is full, it drops the oldest records. Default
	// 512 MiB.
	Bytes int
	// RecordBytes is the maximum memory of one record, in bytes. The store keeps a reduced
	// form of a larger record: it leaves out the inputs of the error, the extra data, the
	// graph, and the outputs, in this order, until the rest is small enough, and sets
	// Record.Reduced. How the prompt ended is always kept. Default: a quarter of Bytes.
	RecordBytes int
}

// NewStore returns a store in memory: its records are lost when the process ends. It
// is safe for concurrent use. If opts is nil, the store has the default limits.
func NewStore(opts *StoreOptions) Store {
	if opts == nil {
		opts = &StoreOptions{}
	}
	o := StoreOptions{Len: limit(opts.Len, 10_000), Bytes: limit(opts.Bytes, 512<<20)}
	o.RecordBytes = min(limit(opts.RecordBytes, max(o.Bytes/4, 1)), o.Bytes)
	return &memStore{opts: o, byID: map[string]*kept{}}
}
