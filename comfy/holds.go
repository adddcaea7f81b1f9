package comfy

import (
	"sync"
	"time"
)

// hold delays a prompt in two steps. The prompt stays in the queue until its
// submission is answered. Then it leaves the queue, but it does not begin until
// its client has had a head start. During the head start the prompt counts as
// running: some clients believe that a prompt is lost or done if it is neither in
// the queue nor running.
type hold struct {
	open     chan struct{} // closed when the prompt may leave the queue
	begin    chan struct{} // closed when the prompt may begin
	answered bool
}

// holds lists the holds of each client in the order of submission. A hold with an
// answer stays in the list while an earlier hold has no answer, so that the prompts
// of a client run in the order of submission. Without this rule the order could
// change: a client can read an answer and submit its next prompt before the
// goroutine that wrote the answer continues.
type holds struct {
	mu       sync.Mutex
	byClient map[string][]*hold
}

// add returns a new hold for a prompt that a client submits. The caller must
// release it.
func (hs *holds) add(client string) *hold {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	if hs.byClient == nil {
		hs.byClient = map[string][]*hold{}
	}
	h := &hold{open: make(chan struct{}), begin: make(chan struct{})}
	hs.byClient[client] = append(hs.byClient[client], h)
	return h
}

// release marks a hold as answered. It then opens the oldest holds of the client,
// up to the first hold without an answer.
func (hs *holds) release(client string, h *hold) {
	hs.mu.Lock()
	defer hs.mu.Unlock()
	h.answered = true
	all := hs.byClient[client]
	for len(all) > 0 && all[0].answered {
		close(all[0].open)
		all = all[1:]
	}
	if hs.byClient[client] = all; len(all) == 0 {
		delete(hs.byClient, client)
	}
}

// headStartMax is the maximum time that a prompt waits for a sign of life from its
// client. The time has a bound because the prompt occupies one of the places for
// running prompts.
const headStartMax = 250 * time.Millisecond

// letGo releases a prompt whose submission is answered. If the client has no
// socket or there is no head start, the prompt may begin at once. Otherwise letGo
// sends a ping, and the head start begins with the reply of the client. The ping is
// necessary because a client may get no processor time for a while: it would then
// find the answer and all events at the same moment, even after a long head start.
func (s *Server) letGo(client string, h *hold) {
	defer s.holds.release(client, h)
	socks := s.clients.sockets(client)
	if s.opts.HeadStart <= 0 || len(socks) == 0 {
		close(h.begin)
		return
	}
	awake := sync.OnceFunc(func() { time.AfterFunc(s.opts.HeadStart, func() { close(h.begin) }) })
	time.AfterFunc(headStartMax, awake)
	for _, sock := range socks {
		sock.Probe(awake)
	}
}
