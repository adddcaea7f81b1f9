package nodebus

import (
	"hash/maphash"
	"reflect"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// shard delivers events to a part of the hub's sessions. Publish passes a message to
// the shard and continues. The shard's worker is a goroutine that runs only while there
// is work. It finds the sessions of each message, joins waiting messages to batches,
// and writes each batch to its clients without waiting for a client. All sessions of a
// client are in the same shard, so that each session receives its events in order.
type shard struct {
	mu      sync.Mutex
	inbox   []*message
	bytes   int         // size of the inbox
	full    atomic.Bool // the inbox has no room
	stuck   bool        // the worker has not taken the full inbox for roomWait: nobody waits for it any more
	skipped uint64      // ID of the newest message that was dropped from the inbox; the sessions read from the log
	spare   []*message
	active  bool
	room    chan struct{} // closed when the worker has taken the inbox; nil if nobody waits
	stopped chan struct{} // closed when the worker has ended; nil if nobody waits

	reg      sync.Mutex // guards the fields below; not held during a write
	byClient map[string][]*Session
	watchers map[string][]*Session // by prompt; see Session.watch
	watchAll []*Session
	filters  []*Session // sessions with an Include; a change makes a new slice, so a copy of the old slice stays valid
	list     []*Session // all sessions; nil after a change
	newest   uint64     // the largest from of all sessions that ever joined

	w roundState // only the worker uses it
}

// inboxMax and inboxBytes limit the messages that wait for a shard's worker. A
// publisher that exceeds the limit waits for the worker, but at most roomWait: then the
// worker is stuck, probably in a transport that does not return. Until it continues,
// nobody waits for it, and the inbox is emptied whenever it is full. A worker that
// publishes does not wait.
const (
	inboxMax   = 1 << 14
	inboxBytes = 16 << 20
	roomWait   = time.Second
)

// shardCount returns the number of shards: one for each processor, at most 8, because
// more do not deliver faster.
func shardCount() int { return min(runtime.GOMAXPROCS(0), 8) }

// shardIndex returns the index of the shard for the client's sessions.
func (h *Hub) shardIndex(client string) int {
	return int(maphash.String(shardSeed, client) % uint64(len(h.shards)))
}

var shardSeed = maphash.MakeSeed()

func newShard() *shard {
	s := &shard{byClient: map[string][]*Session{}, watchers: map[string][]*Session{}}
	s.w.batches = map[wireForm][]*batch{}
	return s
}

// post adds a message to the inbox and starts the worker if necessary. Messages come in
// the order of IDs. The hub's lock is held.
func (s *shard) post(m *message) {
	s.mu.Lock()
	s.inbox = append(s.inbox, m)
	s.bytes += m.Size()
	if len(s.inbox) >= inboxMax || s.bytes >= inboxBytes {
		if s.stuck {
			s.drop()
		} else {
			s.full.Store(true)
		}
	}
	start := !s.active
	s.active = true
	s.mu.Unlock()
	if start {
		go s.run()
	}
}

// waitForRoom waits until the worker has taken the inbox, or roomWait has passed. No
// lock is held.
func (s *shard) waitForRoom() {
	s.mu.Lock()
	if !s.full.Load() {
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
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.full.Load() {
			s.stuck = true
			s.full.Store(false)
			s.drop()
		}
	}
}

// drop drops the messages in the inbox. s.mu is held.
func (s *shard) drop() {
	s.skipped = s.inbox[len(s.inbox)-1].id
	clear(s.inbox)
	s.inbox, s.bytes = s.inbox[:0], 0
}

// run is the worker. [Hub.Close] waits until it ends.
func (s *shard) run() {
	ended := false
	defer func() {
		if !ended { // foreign code called runtime.Goexit: continue the round in a new goroutine
			go s.run()
		}
	}()
	for s.w.round != nil || s.take() {
		s.deliver()
		runtime.Gosched() // a publisher that has waited for this round may have more
	}
	ended = true
}

// isWorker reports whether the calling goroutine is the worker of a shard, which calls
// foreign code that may publish. It looks for the method run on the stack, which takes
// some microseconds.
func isWorker() bool {
	var pcs [64]uintptr
	for skip, n := 0, len(pcs); n == len(pcs); skip += n {
		n = runtime.Callers(skip, pcs[:])
		frames := runtime.CallersFrames(pcs[:n])
		for more := n > 0; more; {
			var f runtime.Frame
			if f, more = frames.Next(); f.Entry == runEntry {
				return true
			}
		}
	}
	return false
}

var runEntry = reflect.ValueOf((*shard).run).Pointer()

// take begins a round with all messages in the inbox. If the inbox is empty, it returns
// false and the worker must end.
func (s *shard) take() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.room != nil {
		close(s.room)
		s.room = nil
	}
	s.w.skipped, s.skipped, s.stuck = s.skipped, 0, false
	if len(s.inbox) == 0 && s.w.skipped == 0 {
		s.active = false
		if s.stopped != nil {
			close(s.stopped)
		}
		return false
	}
	s.w.round = s.inbox
	s.inbox, s.spare, s.bytes = s.spare[:0], nil, 0
	s.full.Store(false)
	return true
}

// drained returns a channel that is closed when the worker has delivered everything. It
// is called when nothing is posted any more.
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
	for p := range x.watch {
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
	for p := range x.watch {
		without(s.watchers, p, x)
	}
	is := func(o *Session) bool { return o == x }
	s.watchAll = slices.DeleteFunc(s.watchAll, is)
	if slices.Contains(s.filters, x) {
		s.filters = slices.DeleteFunc(slices.Clone(s.filters), is)
	}
	s.list = nil
}

// watch makes x follow a prompt: the events above the ID after. The hub's lock is held.
func (s *shard) watch(x *Session, promptID string, after uint64) {
	s.reg.Lock()
	defer s.reg.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.watch == nil {
		x.watch = map[string]uint64{}
	}
	x.watch[promptID] = after
	s.watchers[promptID] = append(s.watchers[promptID], x)
}

// unwatch ends watch. The hub's lock is held.
func (s *shard) unwatch(x *Session, promptID string) {
	s.reg.Lock()
	defer s.reg.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.watch, promptID)
	without(s.watchers, promptID, x)
}

// narrow ends the following of every prompt. The hub's lock is held.
func (s *shard) narrow(x *Session) {
	s.reg.Lock()
	defer s.reg.Unlock()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.watchAll = false
	s.watchAll = slices.DeleteFunc(s.watchAll, func(o *Session) bool { return o == x })
}

func without(m map[string][]*Session, k string, x *Session) {
	if rest := slices.DeleteFunc(m[k], func(o *Session) bool { return o == x }); len(rest) > 0 {
		m[k] = rest
	} else {
		delete(m, k)
	}
}
