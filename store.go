package nodebus

import (
	"container/list"
	"context"
	"iter"
	"sync"
	"time"
)

// Record is what became of a prompt. A store may write it as JSON.
type Record struct {
	Prompt  *Prompt   `json:"prompt"`
	State   State     `json:"state"`
	Started time.Time `json:"started,omitzero"` // zero if it never was
	Ended   time.Time `json:"ended"`
	// Outputs is what nodes showed, in the order in which they first did.
	Outputs []NodeOutput `json:"outputs"`
	// Of the events that tell of the prompt itself, those that were sent: the
	// last one is of the kind that State says.
	Start       *ExecutionStart       `json:"execution_start,omitempty"`
	Cached      *ExecutionCached      `json:"execution_cached,omitempty"`
	Success     *ExecutionSuccess     `json:"execution_success,omitempty"`
	Error       *ExecutionError       `json:"execution_error,omitempty"`
	Interrupted *ExecutionInterrupted `json:"execution_interrupted,omitempty"`
}

// State is how a prompt ended.
type State string

// The ends of a prompt.
const (
	Succeeded State = "success"
	Failed    State = "error"
	Stopped   State = "interrupted"
)

// NodeOutput is what one node showed, and where it comes from.
type NodeOutput struct {
	NodeID    string `json:"node_id"`
	DisplayID string `json:"display_node"`
	ParentID  string `json:"parent_node,omitempty"`
	RealID    string `json:"real_node_id"`
	UI        UI     `json:"ui"`
}

// Store keeps records. It must be safe for concurrent use, and calls must end soon
// after their ctx does: nothing else bounds how long a prompt's end takes.
type Store interface {
	Put(ctx context.Context, r Record) error
	// Get returns [ErrNotFound] for a prompt it has no record of.
	Get(ctx context.Context, promptID string) (Record, error)
	// List yields the records, newest first.
	List(ctx context.Context) iter.Seq2[Record, error]
	Delete(ctx context.Context, promptIDs ...string) error
}

// NewStore returns a store in memory that keeps the last max records; 0 is
// 10 000.
func NewStore(max int) Store {
	return &memStore{max: orDefault(max, 10_000), byID: map[string]*list.Element{}}
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
