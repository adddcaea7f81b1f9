package flow

import (
	"container/list"
	"context"
	"iter"
	"sync"
)

// Store keeps the records of ended prompts. It must be safe for concurrent use. A
// call must end soon after its ctx ends, because the end of a prompt waits for the
// store. For Put, ctx ends after 30 s; the prompt then ends as failed.
type Store interface {
	// Put stores a record. It replaces a record of the same prompt id.
	Put(ctx context.Context, r Record) error
	// Get returns the record of a prompt. It returns [ErrNotFound] if there is no
	// record.
	Get(ctx context.Context, promptID string) (Record, error)
	// List yields the records, newest first.
	List(ctx context.Context) iter.Seq2[Record, error]
	// Delete removes the records of the given prompts. Ids without a record are
	// ignored.
	Delete(ctx context.Context, promptIDs ...string) error
}

// StoreOptions holds the limits of the store that [NewStore] makes. A nil pointer,
// and zero or less in any field, select the defaults.
type StoreOptions struct {
	// Len is the maximum number of records. When the store is full, it drops the oldest
	// record. Default 10 000.
	Len int
}

// NewStore returns a store in memory: its records are lost when the process ends. It
// is safe for concurrent use. If opts is nil, the store has the default limits.
func NewStore(opts *StoreOptions) Store {
	if opts == nil {
		opts = &StoreOptions{}
	}
	return &memStore{max: limit(opts.Len, 10_000), byID: map[string]*list.Element{}}
}

type memStore struct {
	max int

	mu   sync.RWMutex
	byID map[string]*list.Element
	all  list.List // of Record, oldest first
}

func (s *memStore) Put(_ context.Context, r Record) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e, ok := s.byID[r.Prompt.ID]; ok {
		e.Value = r
		return nil
	}
	s.byID[r.Prompt.ID] = s.all.PushBack(r)
	for s.all.Len() > s.max {
		delete(s.byID, s.all.Remove(s.all.Front()).(Record).Prompt.ID)
	}
	return nil
}

func (s *memStore) Get(_ context.Context, promptID string) (Record, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if e, ok := s.byID[promptID]; ok {
		return e.Value.(Record), nil
	}
	return Record{}, ErrNotFound
}

func (s *memStore) List(context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		s.mu.RLock()
		all := make([]Record, 0, s.all.Len())
		for e := s.all.Back(); e != nil; e = e.Prev() {
			all = append(all, e.Value.(Record))
		}
		s.mu.RUnlock()
		for _, r := range all {
			if !yield(r, nil) {
				return
			}
		}
	}
}

func (s *memStore) Delete(_ context.Context, promptIDs ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range promptIDs {
		if e, ok := s.byID[id]; ok {
			s.all.Remove(e)
			delete(s.byID, id)
		}
	}
	return nil
}
