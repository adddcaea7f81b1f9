package comfy

import (
	"sync"
	"time"
)

// hold keeps a prompt in the queue until its submission has been answered, and
// then from beginning until its client has had a head start. Some clients take one
// that is neither in the queue nor running for lost, or for done, so that it counts
// as running meanwhile.
type hold struct {
	open     chan struct{} // closed when the prompt may leave the queue
	begin    chan struct{} // closed when it may begin
	answered bool
}

// holds are those of each client, in the order of submission. One that is
// answered stays while an earlier one is not: a client that submits one prompt
// after the other has them run in that order, although it may know of an answer
// before the goroutine that has written it goes on.
type holds struct {
	mu       sync.Mutex
	byClient map[string][]*hold
}

// add holds a prompt that a client submits.
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

// release lets go of a prompt that has been answered, and of those after it that
// have been before.
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

// headStartMax is how long a prompt waits at most for a client that gives no sign
// of life: it takes the place of others meanwhile.
const headStartMax = 250 * time.Millisecond

// letGo releases a prompt that has been answered. It begins a head start after its
// client has shown that it is awake, or at once if nobody is there to listen. A
// client that has had no processor for a while would find the answer and all
// events at the same moment, however long the head start.
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
