package flow

import (
	"cmp"
	"context"
	"iter"
	"slices"
	"sync"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

type memStore struct {
	opts StoreOptions

	mu    sync.RWMutex
	byID  map[string]*kept
	all   []*kept // by seq, the oldest first; some are no longer in byID
	seq   uint64
	bytes int // the memory of the records in byID
}

// kept is a record in the store.
type kept struct {
	id   string
	seq  uint64
	r    Record
	size int
	gone bool // the record is no longer in byID, and r is empty
}

// Put keeps the place of a record that it replaces.
func (s *memStore) Put(_ context.Context, r Record) error {
	r, size := reduced(r, s.opts.RecordBytes)
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.byID[r.Prompt.ID]
	if k == nil {
		s.seq++
		k = &kept{id: r.Prompt.ID, seq: s.seq}
		s.byID[k.id] = k
		s.all = append(s.all, k)
	}
	s.bytes += size - k.size
	k.r, k.size = r, size
	for at := 0; len(s.byID) > 1 && (len(s.byID) > s.opts.Len || s.bytes > s.opts.Bytes); at++ {
		if s.all[at] != k {
			s.drop(s.all[at])
		}
	}
	s.sweep()
	return nil
}

// drop removes a record. s.mu is held.
func (s *memStore) drop(k *kept) {
	if k.gone {
		return
	}
	delete(s.byID, k.id)
	s.bytes -= k.size
	k.gone, k.r = true, Record{}
}

// sweep forgets removed records: the oldest at once, the others when they are many. s.mu
// is held.
func (s *memStore) sweep() {
	for len(s.all) > 0 && s.all[0].gone {
		s.all = s.all[1:]
	}
	if len(s.all) > 2*len(s.byID)+64 {
		s.all = slices.DeleteFunc(s.all, func(k *kept) bool { return k.gone })
	}
}

func (s *memStore) Get(_ context.Context, promptID string) (Record, error) {
	s.mu.RLock()
	var r Record
	k, ok := s.byID[promptID]
	if ok {
		r = k.r
	}
	s.mu.RUnlock()
	if !ok {
		return Record{}, ErrNotFound
	}
	return r.full(), nil
}

func (s *memStore) List(context.Context) iter.Seq2[Record, error] {
	return func(yield func(Record, error) bool) {
		for before := uint64(0); ; {
			r, seq, ok := s.newest(before)
			if !ok || !yield(r.full(), nil) {
				return
			}
			before = seq
		}
	}
}

// newest returns the newest record whose number is less than before, or the newest of all
// if before is 0.
func (s *memStore) newest(before uint64) (r Record, seq uint64, ok bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	at := len(s.all)
	if before > 0 {
		at, _ = slices.BinarySearchFunc(s.all, before, func(k *kept, seq uint64) int { return cmp.Compare(k.seq, seq) })
	}
	for at--; at >= 0; at-- {
		if k := s.all[at]; !k.gone {
			return k.r, k.seq, true
		}
	}
	return r, 0, false
}

func (s *memStore) Delete(_ context.Context, promptIDs ...string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, id := range promptIDs {
		if k := s.byID[id]; k != nil {
			s.drop(k)
		}
	}
	s.sweep()
	return nil
}

// reductions make a record smaller, one after the other. Each copies what it changes,
// because others may read the record.
var reductions = []func(r *Record){
	func(r *Record) {
		changeError(r, func(e *nodebus.ExecutionError) { e.CurrentInputs = map[string][]any{} })
	},
	func(r *Record) { changePrompt(r, func(p *nodebus.Prompt) { p.Extra = nil }) },
	func(r *Record) {
		if r.NodesLeftOut += len(r.Nodes); r.runs != nil {
			r.NodesLeftOut += len(r.runs.ends)
		}
		r.Nodes, r.runs, r.Errors = nil, nil, r.Errors[:min(len(r.Errors), 1)]
		changePrompt(r, func(p *nodebus.Prompt) { p.Rejected = nil })
	},
	func(r *Record) { changePrompt(r, func(p *nodebus.Prompt) { p.Nodes = nil }) },
	func(r *Record) { r.Outputs = nil },
	func(r *Record) {
		changePrompt(r, func(p *nodebus.Prompt) { p.Outputs = nil })
		changeError(r, func(e *nodebus.ExecutionError) {
			e.Executed, e.CurrentOutputs, e.Traceback = []string{}, []string{}, []string{}
			e.ExceptionMessage, e.ExceptionType = shorten(e.ExceptionMessage, 1024), shorten(e.ExceptionType, 256)
		})
		if r.Cached != nil {
			c := *r.Cached
			c.Nodes, r.Cached = []string{}, &c
		}
		if r.Interrupted != nil {
			i := *r.Interrupted
			i.Executed, r.Interrupted = []string{}, &i
		}
	},
}

func changePrompt(r *Record, change func(p *nodebus.Prompt)) {
	p := *r.Prompt
	change(&p)
	r.Prompt = &p
}

func changeError(r *Record, change func(e *nodebus.ExecutionError)) {
	if r.Error == nil {
		return
	}
	e := *r.Error
	change(&e)
	r.Error = &e
}

// reduced returns r, or a smaller form of r if r takes more than limit bytes, and its
// size. If limit is very small, the smallest form may take more.
func reduced(r Record, limit int) (_ Record, size int) {
	size = recordSize(&r, limit)
	for _, reduce := range reductions {
		if size <= limit {
			break
		}
		r.Reduced = true
		reduce(&r)
		size = recordSize(&r, limit)
	}
	return r, size
}

// Reduce returns the record, or a smaller form of it if it takes more than the given
// memory, in bytes. Every store may use it, so that every store leaves out the same; see
// [StoreOptions] for what is left out first. A smaller form has Reduced set. How the prompt
// ended is always kept, so that the smallest form may take more than bytes. The memory is
// an estimate: JSON of the record may be larger or smaller. Reduce does not change r, and
// shares its lists; it is safe for concurrent use.
func (r Record) Reduce(bytes int) Record {
	small, _ := reduced(r, bytes)
	return small.full()
}

// recordSize estimates the memory of a record, in bytes. It stops when the estimate
// exceeds limit.
func recordSize(r *Record, limit int) int {
	n := 512 + promptSize(r.Prompt, limit) + nodeRunsSize(r)
	for i := range r.Outputs {
		o := &r.Outputs[i]
		n += 80 + len(o.UniqueID) + len(o.DisplayID) + len(o.ParentID) + len(o.RealID) + value.MapWeight(len(o.UI))
		for name, list := range o.UI {
			n += len(name) + value.Weight(list, limit-n, askSize)
		}
		if n > limit {
			return n
		}
	}
	if r.Cached != nil {
		n += textsSize(r.Cached.Nodes)
	}
	if r.Interrupted != nil {
		n += textsSize(r.Interrupted.Executed)
	}
	if e := r.Error; e != nil {
		n += len(e.ExceptionMessage) + len(e.ExceptionType) + textsSize(e.Executed) + textsSize(e.Traceback) + textsSize(e.CurrentOutputs)
		n += inputsSize(e.CurrentInputs, limit-n)
	}
	return n
}

// nodeRunsSize estimates the memory of what a record says about nodes, in bytes. Most of
// the texts are shared with the prompt.
func nodeRunsSize(r *Record) int {
	nodes, n := r.Nodes, 0
	if r.runs != nil {
		nodes, n = r.runs.others, 24*len(r.runs.ends)
	}
	n += 224 * len(nodes)
	for i := range nodes {
		n += len(nodes[i].Reason) + len(nodes[i].By)
	}
	for i := range r.Errors {
		e := &r.Errors[i]
		n += 256 + len(e.ExceptionMessage) + len(e.ExceptionType) + textsSize(e.Traceback)
	}
	return n
}
