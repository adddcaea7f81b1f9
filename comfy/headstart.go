package comfy

import "time"

// A prompt waits at most headStartMax for the first sign of life from its client. The time has a
// bound because later prompts of the client wait too, and a client that never reads its
// socket gives no sign. A client that has replied to the last ping reads: it may only lack
// processor time, so the prompt waits up to headStartKnown, before the head start and after it.
const (
	headStartMax   = 250 * time.Millisecond
	headStartKnown = 2 * time.Second
)

// headStart closes ready, and so lets a prompt begin whose submission is answered.
// If the client has no socket or there is no head start, headStart closes ready at
// once. Otherwise the prompt waits for a reply of the client, then for the head start,
// and then for another reply:
//
//   - The first ping is necessary because a client may get no processor time for a
//     while: it would then find the answer and all events at the same moment, even
//     after a long head start.
//   - The second ping is necessary because a client may lose its processor in the middle
//     of the head start. It then finds the answer and a ping, and not the events.
//
// A client that has not replied to the first ping is not asked again. A client whose sockets
// have all closed listens to nothing, so the prompt begins at once.
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
	go func() {
		defer close(ready)
		replied, gone := awaitReply(conns, most)
		if gone {
			return
		}
		select {
		case <-time.After(s.opts.HeadStart):
		case <-s.clients.ctx.Done(): // the server is closed
		}
		if replied {
			awaitReply(conns, headStartKnown)
		}
	}()
}

// awaitReply pings all connections of a client, and waits at most most for the first reply. gone is
// true if all connections have closed before that.
func awaitReply(conns []*conn, most time.Duration) (replied, gone bool) {
	reply := make(chan struct{}, 1)
	for _, c := range conns {
		c.sock.Probe(func() {
			c.replies.Store(true)
			select {
			case reply <- struct{}{}:
			default: // another connection has replied
			}
		})
	}
	limit := time.NewTimer(most)
	defer limit.Stop()
	for _, c := range conns {
		select {
		case <-reply:
			return true, false
		case <-c.gone:
		case <-limit.C:
			for _, c := range conns {
				c.replies.Store(false)
			}
			return false, false
		}
	}
	return false, true
}
