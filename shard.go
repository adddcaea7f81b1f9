package nodebus

import (
	"hash/maphash"
	"reflect"
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
	batches map[wireForm][]*batch // of shared
	pool    []*batch
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
	s.w.batches = map[wireForm][]*batch{}
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

// wireForm is what the bytes on the wire depend on, beside the messages.
type wireForm struct {
	codec     Codec
	transport reflect.Type
}

// batch is a run of messages that are one write. Sessions share its wire form.
type batch struct {
	msgs []*message
	wire []byte
}

// writeTouched writes to the sessions with a list of their own. A session that has
// the same list as the session before, as watchers of a prompt do, shares its batches.
func (w *roundState) writeTouched() {
	var made struct {
		form    wireForm
		due     []*message
		batches []*batch
	}
	for _, x := range w.touched {
		c, t := x.wants()
		if t == nil {
			x.enqueue(x.due)
			continue
		}
		form := wireForm{c, reflect.TypeOf(t)}
		if made.form != form || !slices.Equal(made.due, x.due) {
			w.recycle(made.batches)
			made.form, made.due = wireForm{}, x.due
			var err error
			if made.batches, err = w.cut(c, t, x.due); err != nil {
				x.Close(err)
				continue
			}
			made.form = form
		}
		x.write(c, made.batches)
	}
	w.recycle(made.batches)
}

// writeShared writes to all other sessions.
func (w *roundState) writeShared() {
	for _, x := range w.all {
		if x.touched {
			continue
		}
		c, t := x.wants()
		if t == nil {
			x.enqueue(w.shared)
			continue
		}
		form := wireForm{c, reflect.TypeOf(t)}
		batches, ok := w.batches[form]
		if !ok {
			var err error
			if batches, err = w.cut(c, t, w.shared); err != nil {
				w.recycle(batches)
				x.Close(err)
				continue
			}
			w.batches[form] = batches
		}
		x.write(c, batches)
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

// cut encodes messages with c and joins them into batches in the wire form of t. A
// message that c refuses is left out. The only error is a panic of t.
func (w *roundState) cut(c Codec, t TryWriter, msgs []*message) (bs []*batch, err error) {
	err = Protect(func() error {
		var b *batch
		for _, m := range msgs {
			f, ok := m.frame(c)
			if !ok {
				continue
			}
			if b == nil || len(b.wire) > 0 && len(b.wire)+len(f.Data) > batchBytes {
				b = w.batch()
				bs = append(bs, b)
			}
			b.msgs = append(b.msgs, m)
			b.wire = t.AppendFrame(b.wire, f)
		}
		return nil
	})
	return bs, transportError(t, "AppendFrame", err)
}

func (w *roundState) batch() *batch {
	if n := len(w.pool); n > 0 {
		b := w.pool[n-1]
		w.pool = w.pool[:n-1]
		return b
	}
	return &batch{}
}

func (w *roundState) reset() {
	for _, x := range w.touched {
		x.touched = false
		clear(x.due)
		if x.due = x.due[:0]; cap(x.due) > 64 { // give back the memory of a burst
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

// recycle keeps some batches, and the memory of their wire forms, for later rounds.
func (w *roundState) recycle(bs []*batch) {
	for _, b := range bs {
		clear(b.msgs)
		b.msgs, b.wire = b.msgs[:0], b.wire[:0]
		if cap(b.wire) <= 4*batchBytes && len(w.pool) < 8 {
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
