package comfy

import (
	"sync"
	"time"
)

// hold keeps a prompt in the queue until its submission has been answered and its
// client has had a head start.
type hold struct {
	open     chan struct{} // closed when the prompt may go on
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
	h := &hold{open: make(chan struct{})}
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

// headStartMax is how long a prompt is held at most for a client that gives no
// sign of life.
const headStartMax = time.Second

// letGo releases a prompt that has been answered: a head start after its client
// has shown that it is awake, or at once if it is not there to listen. A client
// that has had no processor for a while would find the answer and all events at
// the same moment, however long that was.
func (s *Server) letGo(client string, h *hold) {
	release := func() { s.holds.release(client, h) }
	socks := s.clients.sockets(client)
	if s.opts.HeadStart <= 0 || len(socks) == 0 {
		release()
		return
	}
	awake := sync.OnceFunc(func() { time.AfterFunc(s.opts.HeadStart, release) })
	time.AfterFunc(headStartMax, awake)
	for _, sock := range socks {
		sock.Probe(awake)
	}
}
