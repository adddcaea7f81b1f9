package nodebus

import (
	"cmp"
	"context"
	"errors"
)

// framesPerWrite is the maximum number of frames of one Write, without the frames of
// the greeting.
const framesPerWrite = 1024

// push adds messages to the queue. If the queue is full, the session ends with ErrSlow.
// s.mu is held.
func (s *Session) push(msgs []*message) {
	if s.cause != nil || len(msgs) == 0 {
		return
	}
	s.idle = false
	for _, m := range msgs {
		if !s.q.Push(m) {
			s.end(ErrSlow)
			return
		}
	}
	s.signal()
}

// enqueue locks s.mu and calls push.
func (s *Session) enqueue(msgs []*message) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.push(msgs)
}

// signal starts the writer if nobody writes. s.mu is held.
func (s *Session) signal() {
	if s.started && !s.writing && s.cause == nil {
		s.writing = true
		go s.drain() // hangUp waits for it
	}
}

// stopWriting says that no method of the transport that writes is running any more.
// s.mu is held.
func (s *Session) stopWriting() {
	s.writing = false
	if s.quiet != nil {
		close(s.quiet)
		s.quiet = nil
	}
}

// claim gives the shard's worker the right to write until release. It returns the codec
// and the transport for the write. t is nil if the worker must use the queue instead:
// another message waits, or the transport cannot write without waiting.
func (s *Session) claim() (c Codec, t TryWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.idle || s.try == nil {
		return nil, nil
	}
	s.idle, s.writing = false, true
	return s.codec, s.try
}

// tryBatches tries to send batches at once. It returns how many were handed to the
// transport, and false if the transport keeps part of them. The worker has claimed the
// session and holds no lock.
func tryBatches(t TryWriter, batches []*batch) (sent int, all bool, err error) {
	for i, b := range batches {
		if len(b.wire) == 0 {
			continue
		}
		all, err := tryWriteSafely(t, b.wire)
		if err != nil {
			return i, true, err
		}
		if !all {
			return i + 1, false, nil
		}
	}
	return len(batches), true, nil
}

// release ends a claim. It queues the messages of batches that were not sent. all is
// false if the transport keeps part of what was sent.
func (s *Session) release(batches []*batch, all bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopWriting()
	switch {
	case s.cause != nil:
		return
	case errors.Is(err, errors.ErrUnsupported):
		s.cannotTry, s.try = true, nil
	case err != nil:
		s.end(err)
		return
	case !all:
		s.rest = true
	}
	for _, b := range batches {
		s.push(b.msgs)
	}
	s.idle = s.cause == nil && !s.rest && s.q.Len() == 0
	if !s.idle {
		s.signal()
	}
}

// drain is the session's writer. It ends when everything is written. The shard's worker
// or the next writer writes later messages.
func (s *Session) drain() {
	err := errWriterGone // stays if foreign code calls runtime.Goexit
	defer func() {
		if err == nil {
			return // next has stopped writing
		}
		s.Close(cmp.Or(context.Cause(s.ctx), err)) // the cause of ctx says more than the error of a Write that ctx ended
		s.mu.Lock()
		defer s.mu.Unlock()
		s.stopWriting()
	}()
	err = s.writeDue()
}

var errWriterGone = errors.New("nodebus: the transport ended the goroutine that writes with runtime.Goexit")

// writeDue writes until nothing waits.
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

// outgoing holds the content of one Write.
type outgoing struct {
	codec  Codec
	hello  []Payload
	cursor uint64 // ID of the events in hello
	msgs   []*message
	frames []Frame
	rest   bool // the transport keeps unsent bytes
	idle   bool
}

// next takes the content of the next Write: the greeting and the replay first, then the
// queue.
func (s *Session) next(w *outgoing, try TryWriter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.cause != nil {
		return s.cause
	}
	w.codec, w.hello, w.cursor, w.rest, w.msgs = s.codec, s.hello, s.cursor, s.rest, w.msgs[:0]
	if n := min(len(s.replay), framesPerWrite); n > 0 {
		w.msgs = append(w.msgs, s.replay[:n]...)
		s.replay = s.replay[n:]
	} else {
		s.replay = nil
		w.msgs = s.q.Take(w.msgs, framesPerWrite)
	}
	if s.cannotTry {
		try = nil
	}
	w.idle = len(w.msgs) == 0 && len(w.hello) == 0 && !w.rest
	s.hello, s.rest, s.try = nil, false, try
	if !w.idle {
		s.idle, s.writing = false, true
		return nil
	}
	if s.ending {
		return ErrClosed
	}
	s.idle = true
	s.stopWriting()
	return nil
}

// send encodes the messages and calls Write. No lock is held.
func (w *outgoing) send(ctx context.Context, t Transport) error {
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
