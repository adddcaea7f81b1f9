package nodebus

import (
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
)

// shard delivers to some of the hub's sessions. Publish hands it a message and
// goes on; the shard's worker, which lives only while there is work, finds the
// sessions, joins what has gathered into batches and writes each batch to all
// its clients without waiting for any. All sessions of a client are in one
// shard, so that each sees its events in order.
type shard struct {
	mu     sync.Mutex
	room   sync.Cond // the worker has emptied the inbox
	inbox  []*message
	bytes  int // of the inbox
	spare  []*message
	active bool
	done   *sync.WaitGroup // the hub's

	reg      sync.Mutex // guards what follows; never held while writing
	byClient map[string][]*Session
	watchers map[string][]*Session // by prompt
	watchAll []*Session            // and those that overhear
	list     []*Session            // all; nil after a change
	newest   uint64                // the largest from of a session that ever joined

	w roundState // the worker's own
}

// inboxMax and inboxBytes bound what a shard's worker may be behind. A publisher
// that is faster than that waits for the worker, which itself waits for nobody.
const (
	inboxMax   = 1 << 14
	inboxBytes = 16 << 20
)

// batchBytes is the size above which no further frame joins a batch: a write of
// that many bytes is as cheap per byte as a larger one.
const batchBytes = 64 << 10

// roundState is what the worker uses again in each round.
type roundState struct {
	shared  []*message // due to everyone
	touched []*Session // those who are due something else too, or not all of it
	all     []*Session
	batches map[Codec][]*Batch // of shared
	pool    []*Batch
}

// shardCount: a worker for each processor, up to what fan-out can use.
func shardCount() int { return min(runtime.GOMAXPROCS(0), 8) }

// shardIndex is where a client's sessions are.
func (h *Hub) shardIndex(client string) int {
	return int(maphash.String(shardSeed, client) % uint64(len(h.shards)))
}

var shardSeed = maphash.MakeSeed()

func newShard(done *sync.WaitGroup) *shard {
	s := &shard{byClient: map[string][]*Session{}, watchers: map[string][]*Session{}, done: done}
	s.room.L = &s.mu
	s.w.batches = map[Codec][]*Batch{}
	return s
}

// post hands over a message, in the order of ids.
func (s *shard) post(m *message) {
	s.mu.Lock()
	for len(s.inbox) >= inboxMax || s.bytes >= inboxBytes {
		s.room.Wait()
	}
	s.inbox = append(s.inbox, m)
	s.bytes += m.Size()
	start := !s.active
	s.active = true
	s.mu.Unlock()
	if start {
		s.done.Add(1)
		go s.run()
	}
}

func (s *shard) run() {
	defer s.done.Done()
	for {
		s.mu.Lock()
		if len(s.inbox) == 0 {
			s.active = false
			s.mu.Unlock()
			return
		}
		round := s.inbox
		s.inbox, s.spare, s.bytes = s.spare[:0], nil, 0
		s.room.Broadcast()
		s.mu.Unlock()
		s.deliver(round)
		clear(round)
		s.spare = round[:0]
	}
}

// deliver finds who is due what, and writes it.
func (s *shard) deliver(round []*message) {
	w := &s.w
	s.reg.Lock()
	if s.list == nil {
		for _, of := range s.byClient {
			s.list = append(s.list, of...)
		}
	}
	w.all = s.list
	for _, m := range round {
		s.address(m)
	}
	s.reg.Unlock()

	w.writeTouched()
	if len(w.shared) > 0 {
		w.writeShared()
	}
	w.reset()
}

// writeTouched writes to those with a list of their own. Whoever has the same
// list as the one before, as watchers of a prompt do, shares its batches.
func (w *roundState) writeTouched() {
	var made struct {
		of      Codec
		due     []*message
		batches []*Batch
	}
	for _, x := range w.touched {
		c, direct := x.wants()
		if !direct {
			x.enqueue(x.due)
			continue
		}
		if made.of != c || !slices.Equal(made.due, x.due) {
			w.recycle(made.batches)
			made.of, made.due, made.batches = c, x.due, w.cut(c, x.due)
		}
		x.write(c, made.batches)
	}
	w.recycle(made.batches)
}

// writeShared writes to everyone else.
func (w *roundState) writeShared() {
	for _, x := range w.all {
		if x.touched {
			continue
		}
		c, direct := x.wants()
		if !direct {
			x.enqueue(w.shared)
			continue
		}
		if _, ok := w.batches[c]; !ok {
			w.batches[c] = w.cut(c, w.shared)
		}
		x.write(c, w.batches[c])
	}
}

// address puts m on the lists of those who are due it. s.reg is held.
func (s *shard) address(m *message) {
	switch {
	case m.to.promptID != "" || m.to.to != "":
		if m.to.to != "" {
			for _, x := range s.byClient[m.to.to] {
				s.w.add(x, m)
			}
		}
		if m.to.promptID != "" {
			for _, x := range s.watchers[m.to.promptID] {
				s.w.add(x, m)
			}
			for _, x := range s.watchAll {
				if !x.has(m) && x.followsAll(m) {
					s.w.add(x, m)
				}
			}
		}
	default:
		for _, x := range s.w.touched {
			s.w.add(x, m)
		}
		for _, x := range s.list {
			if m.id > s.newest {
				break
			}
			if x.from >= m.id { // joined since: not due what is older
				s.w.touch(x)
			}
		}
		s.w.shared = append(s.w.shared, m)
	}
}

// touch gives x a list of its own, beginning with what everyone is due so far.
func (w *roundState) touch(x *Session) {
	if x.touched {
		return
	}
	x.touched = true
	w.touched = append(w.touched, x)
	for _, m := range w.shared {
		w.add(x, m)
	}
}

func (w *roundState) add(x *Session, m *message) {
	w.touch(x)
	if !x.has(m) {
		x.due = append(x.due, m)
	}
}

// has reports whether the session has m, the newest, in its replay or is due it
// for another reason.
func (x *Session) has(m *message) bool {
	return m.id <= x.from || len(x.due) > 0 && x.due[len(x.due)-1] == m
}

// cut encodes messages for one codec and joins them into batches. A message
// that has no form in it is left out.
func (w *roundState) cut(c Codec, msgs []*message) (bs []*Batch) {
	var b *Batch
	size := 0
	for _, m := range msgs {
		f, ok := m.frame(c)
		if !ok {
			continue
		}
		if b == nil || size+len(f.Data) > batchBytes {
			b, size = w.batch(), 0
			bs = append(bs, b)
		}
		b.frames = append(b.frames, f)
		b.msgs = append(b.msgs, m)
		size += len(f.Data)
	}
	return bs
}

func (w *roundState) batch() *Batch {
	if n := len(w.pool); n > 0 {
		b := w.pool[n-1]
		w.pool = w.pool[:n-1]
		return b
	}
	return &Batch{}
}

func (w *roundState) reset() {
	for _, x := range w.touched {
		x.touched = false
		clear(x.due)
		if x.due = x.due[:0]; cap(x.due) > 64 { // what a burst needed is given back
			x.due = nil
		}
	}
	clear(w.touched)
	clear(w.shared)
	w.touched, w.shared, w.all = w.touched[:0], w.shared[:0], nil
	for _, bs := range w.batches {
		w.recycle(bs)
	}
	clear(w.batches)
}

func (w *roundState) recycle(bs []*Batch) {
	for _, b := range bs {
		clear(b.frames)
		clear(b.msgs)
		b.frames, b.msgs, b.form, b.wire = b.frames[:0], b.msgs[:0], nil, nil
		if cap(b.buf) <= 4*batchBytes && len(w.pool) < 8 {
			w.pool = append(w.pool, b)
		}
	}
}

func (s *shard) join(x *Session) {
	s.reg.Lock()
	defer s.reg.Unlock()
	s.byClient[x.client] = append(s.byClient[x.client], x)
	for _, p := range x.watch {
		s.watchers[p] = append(s.watchers[p], x)
	}
	if x.watchAll || x.overhear != nil {
		s.watchAll = append(s.watchAll, x)
	}
	s.list = nil
	s.newest = max(s.newest, x.from)
}

func (s *shard) leave(x *Session) {
	s.reg.Lock()
	defer s.reg.Unlock()
	without(s.byClient, x.client, x)
	for _, p := range x.watch {
		without(s.watchers, p, x)
	}
	s.watchAll = slices.DeleteFunc(s.watchAll, func(o *Session) bool { return o == x })
	s.list = nil
}

func without(m map[string][]*Session, k string, x *Session) {
	if rest := slices.DeleteFunc(m[k], func(o *Session) bool { return o == x }); len(rest) > 0 {
		m[k] = rest
	} else {
		delete(m, k)
	}
}
