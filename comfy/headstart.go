package comfy

import (
	"sync"
	"time"
)

// headStartMax is the maximum time that a prompt waits for a sign of life from its
// client. The time has a bound because later prompts of the client wait too.
const headStartMax = 250 * time.Millisecond

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
	socks := s.clients.sockets(client)
	if s.opts.HeadStart <= 0 || len(socks) == 0 {
		close(ready)
		return
	}
	awake := sync.OnceFunc(func() { time.AfterFunc(s.opts.HeadStart, func() { close(ready) }) })
	time.AfterFunc(headStartMax, awake)
	for _, sock := range socks {
		sock.Probe(awake)
	}
}
