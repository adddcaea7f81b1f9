package nats

import (
	"context"
)

// leftover tells where the signals of ended prompts are. A process that is killed between
// [flow.Lease.Done] and Drop leaves them: an old interrupt would end the next prompt with the
// id, and they would count for the limits for ever. So whoever removes a prompt from the
// stream first drops its signals, and so does whoever replaces a prompt that was not removed.
type leftover struct {
	newest func(token string) uint64 // the newest signal that is kept; 0 if there is none
	drop   func(ctx context.Context, token string, upTo uint64) error
}

// before returns a function that drops the signals which are kept now. Call it if the
// stream says later that no prompt has the token: then they belong to no prompt that lives.
func (l *leftover) before(token string) (drop func(context.Context) error) {
	upTo := uint64(0)
	if l.newest != nil {
		upTo = l.newest(token)
	}
	return func(ctx context.Context) error {
		if upTo == 0 {
			return nil
		}
		return l.drop(ctx, token, upTo)
	}
}

// dropSignals drops the signals of a prompt that has left the queue, unless there is a
// newer prompt with its id: that one may have signals.
func (q *queue) dropSignals(ctx context.Context, x *item) error {
	if q.leftover.newest == nil || q.leftover.newest(x.token) == 0 {
		return nil
	}
	drop := q.leftover.before(x.token)
	_, seq, err := q.prompts.newest(ctx, q.prompts.subject(x.token, "p"), x.Born)
	if err != nil || seq > 0 && seq != x.Born {
		return err
	}
	return drop(ctx)
}

// newestKept returns the sequence of the newest signal that is kept; 0 if there is none.
func (s *signals) newestKept(key string) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if b := s.boxes[key]; b != nil && len(b.kept) > 0 {
		return b.kept[len(b.kept)-1].seq
	}
	return 0
}

// dropUpTo drops the signals of a prompt up to a sequence.
func (s *signals) dropUpTo(ctx context.Context, key string, seq uint64) error {
	if err := s.check(); err != nil {
		return err
	}
	if _, err := s.order(ctx, key, &letter{Drop: true, UpTo: seq}); err != nil {
		return err
	}
	return s.purge(ctx, key, seq+1)
}
