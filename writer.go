package nodebus

import (
	"cmp"
	"context"
	"errors"
	"slices"
)

// framesPerWrite is the maximum number of frames of one Write, without the frames of
// the greeting.
const framesPerWrite = 1024

// push adds messages to the queue. If the queue is full, the session continues from the
// log. s.mu is held. Only the shard's worker calls it.
func (s *Session) push(msgs []*message) {
	if s.cause != nil || len(msgs) == 0 {
		return
	}
	for _, m := range msgs {
		n := s.q.Len()
		if !s.q.Push(m) {
			s.fallBehind(msgs[len(msgs)-1].id)
			break
		}
		if s.q.Len() == n {
			s.replaced++
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
	if s.state == stateIdle && s.cause == nil {
		s.state = stateWriting
		go s.drain(nil) // hangUp waits for it
	}
}

// stopWriting says that no method of the transport that writes is running any more.
// s.mu is held.
func (s *Session) stopWriting() {
	s.state = stateIdle
	if s.quiet != nil {
		close(s.quiet)
		s.quiet = nil
	}
}

// claim gives the shard's worker the right to write until release. It returns the codec
// and the transport for the write. t is nil if the worker must use the queue instead:
// something else waits, the transport cannot write without waiting, or the codec is
// foreign and may be slow.
func (s *Session) claim() (c Codec, t TryWriter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, ours := s.codec.(JSONCodec)
	if s.state != stateIdle || s.cause != nil || s.try == nil || !ours || len(s.hello) > 0 || len(s.readings) > 0 {
		return nil, nil
	}
	s.state = stateClaimed
	return s.codec, s.try
}

// tryBatches tries to send batches at once. It returns how many were handed to the
// transport, and false if the transport keeps part of them. The worker has claimed the
// session and holds no lock.
func (s *Session) tryBatches(t TryWriter, batches []*batch) (sent int, all bool, err error) {
	for i, b := range batches {
		if len(b.wire) == 0 {
			continue
		}
		s.ask(b.outcome)
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
func (s *Session) release(batches []*batch, sent int, all bool, err error) {
	unsupported := err != nil && is(err, errors.ErrUnsupported) // without a lock, because the error may be foreign
	if s.endClaim(batches, sent, all, err, unsupported) {
		s.settle()
	}
}

func (s *Session) endClaim(batches []*batch, sent int, all bool, err error, unsupported bool) (settle bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopWriting()
	rest := false // the transport keeps a part of the last batch
	for i, b := range batches[:sent] {
		s.taken = b.msgs[len(b.msgs)-1].id
		if i < sent-1 || all {
			settle = s.wrote(s.taken)
		} else {
			rest = true
		}
	}
	switch {
	case s.cause != nil:
		return settle
	case unsupported:
		s.try = nil
	case err != nil:
		s.end(err)
		return settle
	}
	if rest {
		s.state = stateWriting
		go s.drain(&outgoing{rest: true, restNewest: s.taken})
	}
	for _, b := range batches[sent:] {
		s.push(b.msgs)
	}
	if s.ending || len(s.readings) > 0 { // asked for while the worker wrote
		s.signal()
	}
	return settle
}

// drain is the session's writer. It ends when everything is written. The shard's worker
// or the next writer writes later messages. rest is not nil if the transport keeps bytes
// that it could not send.
func (s *Session) drain(rest *outgoing) {
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
	if rest == nil {
		rest = &outgoing{}
	}
	err = s.writeDue(rest)
}

var errWriterGone = errors.New("nodebus: the transport or the codec ended the goroutine that writes with runtime.Goexit")

// writeDue writes until nothing waits.
func (s *Session) writeDue(w *outgoing) error {
	for {
		settle, err := s.next(w)
		if settle {
			s.settle()
		}
		if err != nil || w.idle {
			return err
		}
		if w.reading != nil {
			if err := s.readPage(w); err != nil {
				return err
			}
		}
		if err := w.send(s); err != nil {
			return err
		}
	}
}

// outgoing holds the content of one Write.
type outgoing struct {
	codec   Codec
	hello   []Payload
	reading *reading // the page is read from the log; nil: the page is from the queue
	query   LogQuery // of the reading
	page
	frames  []Frame
	outcome uint64 // the newest outcome in frames
	newest  uint64 // ID of the newest event in frames
	idle    bool

	rest       bool   // the transport keeps unsent bytes
	restNewest uint64 // newest of these bytes
}

// next records that the transport has taken the content of the Write before. Then it takes
// the content of the next Write: the greeting first, then the readings, then the queue. It
// reports whether the caller must call settle.
func (s *Session) next(w *outgoing) (settle bool, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	settle = s.wrote(w.newest)
	return settle, s.take(w)
}

// take is the part of next that takes the content. s.mu is held.
func (s *Session) take(w *outgoing) error {
	if s.cause != nil {
		return s.cause
	}
	w.codec, w.hello, w.reading = s.codec, s.hello, nil
	w.page = page{msgs: w.msgs[:0]}
	s.hello = nil
	upTo := maxID
	if len(s.readings) > 0 {
		upTo = s.readings[0].queued
	}
	for len(w.msgs) < framesPerWrite {
		if m, ok := s.q.Peek(); !ok || m.id > upTo {
			break
		}
		m, _ := s.q.Pop()
		s.taken = m.id
		if s.include != nil || s.mayReceive(m) {
			w.msgs = append(w.msgs, m)
		}
	}
	if len(w.msgs) == 0 && len(s.readings) > 0 {
		w.reading, w.query = s.readings[0], s.readings[0].query
		return nil
	}
	if w.idle = len(w.msgs) == 0 && len(w.hello) == 0 && !w.rest; !w.idle {
		return nil
	}
	if s.ending {
		return ErrClosed
	}
	s.stopWriting()
	return nil
}

// send encodes the messages and calls Write. No lock is held.
func (w *outgoing) send(s *Session) error {
	w.frames, w.newest, w.outcome = w.frames[:0], w.restNewest, 0
	if len(w.hello) > 0 || w.gap != nil {
		w.addBefore(s)
	}
	w.msgs = joinTexts(w.msgs)
	w.frames = slices.Grow(w.frames, len(w.msgs))
	for _, m := range w.msgs {
		if w.past {
			w.addPast(m)
			continue
		}
		w.newest = max(w.newest, m.id)
		if f, ok := m.frame(w.codec); ok {
			w.frames = append(w.frames, f)
			if f.Outcome {
				w.outcome = max(w.outcome, m.id)
			}
		}
	}
	if w.reply != nil {
		w.addReply(s)
	}
	clear(w.msgs)
	if len(w.frames) == 0 && !w.rest {
		return nil
	}
	w.rest, w.restNewest = false, 0
	s.ask(w.outcome)
	return writeSafely(s.ctx, s.transport, w.frames)
}

// The following functions are not inlined, so that a writer that does not need them, as
// most do, fits into a small stack.

// addBefore adds the greeting and the gap.
//
//go:noinline
func (w *outgoing) addBefore(s *Session) {
	for _, p := range w.hello {
		w.add(s.greeting(w.codec, p, s.greet))
	}
	if w.gap != nil {
		w.add(s.greeting(w.codec, w.gap, Cursor{s.hub.epoch, w.query.After}))
	}
}

// addPast adds an event from the past of a prompt.
//
//go:noinline
func (w *outgoing) addPast(m *message) {
	if f, ok := m.withoutCursor().frame(w.codec); ok {
		w.frames = append(w.frames, f)
	}
}

// addReply adds the answer to a request of the client.
//
//go:noinline
func (w *outgoing) addReply(s *Session) {
	w.add(encodeSafely(w.codec, Event{To: s.client, Payload: w.reply}))
}

// add adds a frame, unless the codec has refused it.
func (w *outgoing) add(f Frame, err error) {
	if err == nil {
		w.frames = append(w.frames, f)
	}
}

// greeting encodes a payload that only this session receives, with the place after which
// the client continues.
func (s *Session) greeting(c Codec, p Payload, at Cursor) (Frame, error) {
	return encodeSafely(c, Event{ID: at.ID, Epoch: at.Epoch, To: s.client, Payload: p})
}
