package nodebus

import (
	"cmp"
	"context"
	"errors"
)

// framesPerWrite bounds what one Write is given.
const framesPerWrite = 1024

// drain is the session's writer. It ends when all is written: what comes then is
// written by the shard's worker, or by the next writer.
func (s *Session) drain() {
	defer s.writers.Done()
	err := errWriterGone // unless what follows returns
	defer func() {
		if err != nil {
			s.Close(cmp.Or(context.Cause(s.ctx), err)) // a Write that its context ends says less
		}
	}()
	err = s.writeDue()
}

var errWriterGone = errors.New("nodebus: the transport ended the goroutine that writes with runtime.Goexit")

// writeDue writes until nothing is due.
func (s *Session) writeDue() error {
	try, _ := s.transport.(TryWriter)
	var w outgoing
	for {
		if err := s.next(&w, try); err != nil || w.idle {
			return err
		}
		if err := w.send(s.ctx, s.transport); err != nil {
			return err
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
	if s.cannotTry {
		try = nil
	}
	s.hello, s.rest, s.try = nil, false, try
	s.idle, s.busy, s.writing = w.idle, !w.idle, !w.idle
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
	return writeSafely(ctx, t, w.frames)
}
