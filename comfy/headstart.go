package comfy

import (
	"sync"
	"time"
)

// A prompt waits at most headStartMax for a sign of life from its client. The time has a
// bound because later prompts of the client wait too, and a client that never reads its
// socket gives no sign. A client that has replied to the last ping reads: it may only lack
// processor time, so the prompt waits up to headStartKnown.
const (
	headStartMax   = 250 * time.Millisecond
	headStartKnown = 2 * time.Second
)

// headStart closes ready, and so lets a prompt begin whose submission is answered.
// If the client has no socket or there is no head start, headStart closes ready at
// once. Otherwise it sends a ping, and the head start begins with the reply of the
// client. The ping is necessary because a client may get no processor time for a
// while: it would then find the answer and all events at the same moment, even
// after a long head start.
//
// Until ready is closed, the prompt waits in the queue, and so do the later prompts
// of the same client: the engine keeps the order of a client's prompts, even if a
// later prompt is ready first.
func (s *Server) headStart(client string, ready chan struct{}) {
	conns := s.clients.of(client)
	if s.opts.HeadStart <= 0 || len(conns) == 0 {
		close(ready)
		return
	}
	most := headStartMax
	for _, c := range conns {
		if c.replies.Load() {
			most = headStartKnown
		}
	}
	awake := sync.OnceFunc(func() { time.AfterFunc(s.opts.HeadStart, func() { close(ready) }) })
	limit := time.AfterFunc(most, func() {
		for _, c := range conns {
			c.replies.Store(false)
		}
		awake()
	})
	for _, c := range conns {
		c.sock.Probe(func() {
			limit.Stop()
			c.replies.Store(true)
			awake()
		})
	}
}
