package nodebus

import (
	"hash/maphash"
	"runtime"
	"slices"
	"sync"
	"time"
)

// shard delivers to some of the hub's sessions. Publish hands it a message and goes
// on. The shard's worker lives only while there is work: it finds the sessions, joins
// the messages that have gathered into batches, and writes each batch to all its
// clients without waiting for any. All sessions of a client are in one shard, so that
// each sees its events in order.
type shard struct {
	mu      sync.Mutex
	inbox   []*message
	bytes   int // of the inbox
	spare   []*message
	active  bool
	room    chan struct{} // closed when the worker has emptied the inbox; nil if nobody waits
	stopped chan struct{} // closed when the worker has ended; nil if nobody waits

	reg      sync.Mutex // guards what follows; never held while writing
	byClient map[string][]*Session
	watchers map[string][]*Session // by prompt
	watchAll []*Session
	filters  []*Session // those with an Include; replaced on a change, so that a copy of the slice stays valid
	list     []*Session // all; nil after a change
	newest   uint64     // the largest from of a session that ever joined

	w roundState // the worker's own
}

// inboxMax and inboxBytes bound what a shard's worker may be behind. A publisher that is
// faster waits for the worker, and for no longer than roomWait: the worker may be in a
// transport that does not return.
const (
	inboxMax   = 1 << 14
	inboxBytes = 16 << 20
	roomWait   = time.Second
)

// shardCount: a worker for each processor, up to what fan-out can use. It is at most 64.
func shardCount() int { return min(runtime.GOMAXPROCS(0), 8) }

// shardIndex is where a client's sessions are.
func (h *Hub) shardIndex(client string) int {
	return int(maphash.String(shardSeed, client) % uint64(len(h.shards)))
}

var shardSeed = maphash.MakeSeed()

func newShard() *shard {
	s := &shard{byClient: map[string][]*Session{}, watchers: map[string][]*Session{}}
	s.w.batches = map[wireForm][]*batch{}
	return s
}

// post hands over a message, in the order of ids. It reports false if the inbox has no
// room for more. The hub's lock is held.
func (s *shard) post(m *message) (room bool) {
	s.mu.Lock()
	s.inbox = append(s.inbox, m)
	s.bytes += m.Size()
	room = len(s.inbox) < inboxMax && s.bytes < inboxBytes
	start := !s.active
	s.active = true
	s.mu.Unlock()
	if start {
		go s.run()
	}
	return room
}

// waitForRoom waits until the worker has emptied the inbox, or roomWait has passed. No
// lock is held.
func (s *shard) waitForRoom() {
	s.mu.Lock()
	if len(s.inbox) < inboxMax && s.bytes < inboxBytes {
		s.mu.Unlock()
		return
	}
	if s.room == nil {
		s.room = make(chan struct{})
	}
	room := s.room
	s.mu.Unlock()
	timer := time.NewTimer(roomWait)
	defer timer.Stop()
	select {
	case <-room:
	case <-timer.C:
	}
}

// run is the worker. [Hub.Close] waits for its end.
func (s *shard) run() {
	ended := false
	defer func() {
		if !ended { // foreign code has called runtime.Goexit
			go s.run()
		}
	}()
	for s.w.round != nil || s.take() {
		s.deliver()
		runtime.Gosched() // a publisher that has waited for this round may have more
	}
	ended = true
}

// take begins a round with all that is in the inbox. It reports false, and the worker
// must end, if the inbox is empty.
func (s *shard) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	if len(s.inbox) == 0 {
		s.active = false
		if s.stopped != nil {
			close(s.stopped)
		}
		return false
	}
	s.w.round = s.inbox
	s.inbox, s.spare, s.bytes = s.spare[:0], nil, 0
	return true
}

// drained returns a channel that is closed when the worker has delivered everything.
// Nothing is posted any more.
func (s *shard) drained() <-chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	stopped := make(chan struct{})
	if !s.active {
		close(stopped)
		return stopped
	}
	s.stopped = stopped
	return stopped
}

func (s *shard) join(x *Session) {
	s.reg.Lock()
	defer s.reg.Unlock()
	s.byClient[x.client] = append(s.byClient[x.client], x)
	for _, p := range x.watch {
		s.watchers[p] = append(s.watchers[p], x)
	}
	switch {
	case x.watchAll:
		s.watchAll = append(s.watchAll, x)
	case x.include != nil:
		s.filters = append(slices.Clip(s.filters), x)
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
	is := func(o *Session) bool { return o == x }
	s.watchAll = slices.DeleteFunc(s.watchAll, is)
	if slices.Contains(s.filters, x) {
		s.filters = slices.DeleteFunc(slices.Clone(s.filters), is)
	}
	s.list = nil
}

func without(m map[string][]*Session, k string, x *Session) {
	if rest := slices.DeleteFunc(m[k], func(o *Session) bool { return o == x }); len(rest) > 0 {
		m[k] = rest
	} else {
		delete(m, k)
	}
}
