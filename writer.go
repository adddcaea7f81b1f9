package nodebus

import (
	"cmp"
	"context"
)

// framesPerWrite bounds what one Write is given.
const framesPerWrite = 1024

// drain is the session's writer. It ends when all is written: what comes then is
// written by the shard's worker, or by the next writer.
func (s *Session) drain() {
	defer s.writers.Done()
	try, _ := s.transport.(TryWriter)
	var w outgoing
	for {
		err := s.next(&w, try)
		switch {
		case err != nil:
		case w.idle:
			return
		default:
			err = w.send(s.ctx, s.transport)
		}
		if err != nil {
			s.Close(cmp.Or(context.Cause(s.ctx), err)) // a Write that its context ends says less
			return
		}
	}
}

// outgoing is what goes into one Write.
type outgoing struct {
	codec  Codec
	hello  []Payload
	cursor uint64 // of the hello
	msgs   []*message
	frames []Frame
	rest   bool // the transport keeps some
	idle   bool
}

// next takes what is to be written now: the greeting, the replay, the queue.
func (s *Session) next(w *outgoing, try TryWriter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	w.codec, w.hello, w.cursor, w.rest, w.msgs = s.codec, s.hello, s.cursor, s.rest, w.msgs[:0]
	if n := min(len(s.first), framesPerWrite); n > 0 {
		w.msgs = append(w.msgs, s.first[:n]...)
		s.first = s.first[n:]
	} else {
		s.first = nil
		w.msgs = s.q.Take(w.msgs, framesPerWrite)
	}
	w.idle = len(w.msgs) == 0 && len(w.hello) == 0 && !w.rest
	s.hello, s.rest, s.try, s.idle, s.busy, s.writing = nil, false, try, w.idle, !w.idle, !w.idle
	if w.idle && s.ending {
		return ErrClosed
	}
	return nil
}

func (w *outgoing) send(ctx context.Context, t Transport) (err error) {
	w.frames = w.frames[:0]
	for _, p := range w.hello {
		if f, err := encodeSafely(w.codec, Event{ID: w.cursor, Payload: p}); err == nil {
			w.frames = append(w.frames, f)
		}
	}
	for _, m := range w.msgs {
		if f, ok := m.frame(w.codec); ok {
			w.frames = append(w.frames, f)
		}
	}
	clear(w.msgs)
	if len(w.frames) == 0 && !w.rest {
		return nil
	}
	defer recovered(t, "Write", &err)
	return t.Write(ctx, w.frames)
}
