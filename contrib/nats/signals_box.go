package nats

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/flow"
)

// box holds the signals of one prompt. signals.mu guards it.
type box struct {
	kept     []keptLetter      // in the order of the stream
	ids      map[string]bool   // true: the signal is kept; false: it is void or refused
	void     []string          // the ids that are false, the oldest first
	refused  map[string]uint64 // where refused signals are that this process will delete
	orders   []keptLetter      // that this process has stored, see annul, the oldest first
	sending  map[string]int    // the sizes of the signals that this process is sending, by id
	len      int               // number of signals that are kept or being sent, without interrupts
	bytes    int               // size of these signals
	ends     bool              // an interrupt is kept
	receiver *receiver         // the receiver in this process
}

// keptLetter is a signal that is kept, and its sequence in the stream.
type keptLetter struct {
	letter
	seq uint64
}

// fullError is a [flow.ErrFull] of signals.
type fullError string

func (e fullError) Error() string        { return string(e) }
func (e fullError) Is(target error) bool { return target == flow.ErrFull }

// size estimates the memory of a signal, in bytes.
func size(x *flow.Signal) int {
	return 160 + len(x.PromptID) + len(x.Node) + len(x.Name) + len(x.Answer) + len(x.Reason)
}

// box returns the box of a prompt. s.mu is held.
func (s *signals) box(key string) *box {
	b := s.boxes[key]
	if b == nil {
		b = &box{ids: map[string]bool{}, sending: map[string]int{}, refused: map[string]uint64{}}
		s.boxes[key] = b
	}
	return b
}

// tidy forgets a box that nobody needs. s.mu is held.
func (s *signals) tidy(key string, b *box) {
	if len(b.ids) == 0 && len(b.sending) == 0 && b.receiver == nil {
		delete(s.boxes, key)
	}
}

// count counts a signal of a box, or ceases to, with n = -1. s.mu is held.
func (s *signals) count(b *box, x *flow.Signal, n int) {
	if !x.Interrupt {
		b.len += n
		b.bytes += n * size(x)
	}
	s.bytes += n * size(x)
}

// add keeps a signal, unless it is kept already, or void. s.mu is held.
func (s *signals) add(b *box, l *letter, seq uint64) {
	_, known := b.ids[l.ID]
	if known || l.Signal.Interrupt && b.ends {
		return
	}
	if _, sending := b.sending[l.ID]; sending {
		delete(b.sending, l.ID) // it is counted already
	} else {
		s.count(b, l.Signal, 1)
	}
	b.ids[l.ID] = true
	b.kept = append(b.kept, keptLetter{*l, seq})
	b.ends = b.ends || l.Signal.Interrupt
	if b.receiver != nil {
		b.receiver.nudge()
	}
}

// remove makes sure that a signal is not kept later, and, if it is refused, that it is not
// kept any more. s.mu is held.
func (s *signals) remove(b *box, l *letter) {
	kept, known := b.ids[l.ID]
	if known && (!kept || !l.Refused) {
		return
	}
	b.ids[l.ID] = false
	if b.void = append(b.void, l.ID); len(b.void) > rememberLen {
		delete(b.ids, b.void[0])
		b.void = b.void[1:]
	}
	at := slices.IndexFunc(b.kept, func(k keptLetter) bool { return k.ID == l.ID })
	if at < 0 {
		return
	}
	if r := b.receiver; r != nil {
		if _, called := r.results[l.ID]; called { // it is ours
			b.refused[l.ID] = b.kept[at].seq
		}
	}
	s.take(b, at)
}

// void is an id that is not kept, and when this process has read so.
type void struct {
	key, id string
	at      time.Time
}

// forgetVoids forgets the ids that the stream has forgotten, too. s.mu is held.
func (s *signals) forgetVoids(now time.Time) {
	for len(s.voids) > 0 && now.Sub(s.voids[0].at) > goneTime {
		s.forgetVoid()
	}
	if len(s.voids) == 0 {
		s.voids = nil
	}
}

// forgetVoid forgets the oldest id that is not kept. s.mu is held.
func (s *signals) forgetVoid() {
	v := s.voids[0]
	s.voids = s.voids[1:]
	b := s.boxes[v.key]
	if b == nil {
		return
	}
	if i := slices.Index(b.void, v.id); i >= 0 {
		b.void = slices.Delete(b.void, i, i+1)
		delete(b.ids, v.id)
	}
	s.tidy(v.key, b)
}

// forget drops the signals of a box before a sequence; all says that there are no others.
// s.mu is held.
func (s *signals) forget(b *box, before uint64, all bool) {
	n := 0
	for ; n < len(b.kept) && b.kept[n].seq < before; n++ {
		s.count(b, b.kept[n].Signal, -1)
		delete(b.ids, b.kept[n].ID)
		delete(b.refused, b.kept[n].ID)
	}
	if b.receiver != nil {
		b.receiver.passed = max(b.receiver.passed-n, 0)
	}
	if b.kept = b.kept[n:]; len(b.kept) == 0 {
		b.kept = nil
	}
	if all {
		b.void, b.orders = nil, nil
		clear(b.ids)
		clear(b.refused)
	}
	b.ends = slices.ContainsFunc(b.kept, func(k keptLetter) bool { return k.Signal.Interrupt })
}

// forgetGone drops kept signals that the stream does not have.
func (s *signals) forgetGone(ctx context.Context) error {
	s.mu.Lock()
	var keys []string
	for key, b := range s.boxes {
		if len(b.kept) > 0 {
			keys = append(keys, key)
		}
	}
	s.mu.Unlock()
	return atOnce(len(keys), func(i int) error { return s.forgetGoneOf(ctx, keys[i]) })
}

// forgetGoneOf drops the kept signals of a prompt that the stream does not have: this process
// may have been away until the message had expired that says that they were dropped.
func (s *signals) forgetGoneOf(ctx context.Context, key string) error {
	s.mu.Lock()
	var all []uint64
	if b := s.boxes[key]; b != nil {
		for _, k := range b.kept {
			all = append(all, k.seq)
		}
	}
	s.mu.Unlock()
	return atOnce(len(all), func(i int) error {
		_, err := s.from.get(ctx, s.kept(key), all[i], 0)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			s.lose(key, all[i])
			return nil
		}
		return err
	})
}

// lose drops a kept signal.
func (s *signals) lose(key string, seq uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[key]
	if b == nil {
		return
	}
	defer s.tidy(key, b)
	at := slices.IndexFunc(b.kept, func(k keptLetter) bool { return k.seq == seq })
	if at < 0 {
		return
	}
	delete(b.ids, b.kept[at].ID)
	delete(b.refused, b.kept[at].ID)
	s.take(b, at)
}

// take removes a kept signal from a box. s.mu is held.
func (s *signals) take(b *box, at int) {
	s.count(b, b.kept[at].Signal, -1)
	if r := b.receiver; r != nil && at < r.passed {
		r.passed--
	}
	b.kept = slices.Delete(b.kept, at, at+1)
	b.ends = slices.ContainsFunc(b.kept, func(k keptLetter) bool { return k.Signal.Interrupt })
}

// isKept reports whether a signal is kept.
func (s *signals) isKept(key string, l *letter) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[key]
	return b != nil && (b.ids[l.ID] || l.Signal.Interrupt && b.ends)
}

// reserve makes room for a signal that this process sends, or passes to its receiver. leave
// gives the room back if the signal is not kept.
func (s *signals) reserve(key string, l *letter) (leave func(), err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	x, n := l.Signal, size(l.Signal)
	b := s.box(key)
	defer s.tidy(key, b)
	_, sending := b.sending[l.ID]
	switch {
	case sending, b.ids[l.ID], x.Interrupt && b.ends && b.receiver == nil:
		return func() {}, nil // nothing is added
	case s.bytes+n > s.limits.Bytes:
		return nil, fullError(fmt.Sprintf("nodebus: the signals of all prompts would take more than %d bytes; send again later, or raise SignalsOptions.Bytes: prompt %q", s.limits.Bytes, x.PromptID))
	case x.Interrupt:
	case b.len >= s.limits.PromptLen:
		return nil, fullError(fmt.Sprintf("nodebus: the prompt has %d answers already, see SignalsOptions.PromptLen: prompt %q", b.len, x.PromptID))
	case b.bytes+n > s.limits.PromptBytes:
		return nil, fullError(fmt.Sprintf("nodebus: the answers to the prompt would take more than %d bytes, see SignalsOptions.PromptBytes: prompt %q", s.limits.PromptBytes, x.PromptID))
	}
	b.sending[l.ID] = n
	s.count(b, x, 1)
	return func() { s.leave(key, b, l) }, nil
}

// leave ends a reservation.
func (s *signals) leave(key string, b *box, l *letter) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, sending := b.sending[l.ID]; sending {
		delete(b.sending, l.ID)
		s.count(b, l.Signal, -1)
	}
	s.tidy(key, b)
}

// fits returns an error if the server refuses a message with the signal.
func (s *signals) fits(data []byte, x *flow.Signal) error {
	if most := s.b.nc.MaxPayload(); most > 0 && int64(len(data)+512) > most {
		return fullError(fmt.Sprintf("nats: the signal takes %d bytes, and the server takes messages of at most %d bytes; see max_payload of the server: prompt %q", len(data), most, x.PromptID))
	}
	return nil
}

// receiverOf returns the receiver that this process has for a prompt.
func (s *signals) receiverOf(key string) *receiver {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.boxes[key]; b != nil {
		return b.receiver
	}
	return nil
}

// turn waits for the turn of a receiver.
func turn(ctx context.Context, r *receiver) (leave func(), err error) {
	select {
	case r.turn <- struct{}{}:
		return func() { <-r.turn }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}
