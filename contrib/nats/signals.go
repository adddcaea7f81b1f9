package nats

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// signals is a [flow.Signals] in a stream. Each process reads the stream, knows what is
// kept, and passes it to the receivers that it has.
//
// If the receiver is in another process, Send asks that process by a request: it stores
// the signal, calls the receiver, and answers. If no process has a receiver, Send stores
// the signal.
//
// Each signal has an id. A request without an answer is sent again, and a signal may be
// stored again: who has seen the id ignores the second. So nothing is lost or doubled when
// processes or servers are killed.
type signals struct {
	b      *Bus
	stream jetstream.Stream
	from   *leader
	name   string
	limits flow.SignalsOptions
	*reached
	reader  *reader
	workers sync.WaitGroup // one for each receiver
	skipped sync.Once      // a damaged message was logged

	mu       sync.Mutex        // not held while NATS or code of callers works
	boxes    map[string]*box   // by the token of the prompt
	bytes    int               // of all boxes
	leftover map[string]uint64 // where signals were dropped, and may still be there, until the signals are open; see cleanLeftover
	voids    []void            // that the boxes remember, the oldest first; at most maxVoids
	closed   bool
}

// letter is a message of the stream: a signal that is kept; or one of the orders below.
type letter struct {
	ID     string       `json:"id,omitempty"`
	Signal *flow.Signal `json:"signal,omitempty"`
	// Void says that the signal with this id is not kept, unless it is kept already: Send
	// has given up.
	Void bool `json:"void,omitempty"`
	// Refused says that the signal with this id is not kept any more: its receiver has
	// refused it.
	Refused bool `json:"refused,omitempty"`
	// Drop says that all earlier signals of the prompt are dropped; or, if UpTo is not 0,
	// those up to this sequence. With UpTo, it expires; without, it stays until they are deleted.
	Drop bool   `json:"drop,omitempty"`
	UpTo uint64 `json:"up_to,omitempty"`
}

// openSignals opens the signals of a bus.
func openSignals(ctx context.Context, b *Bus) (*signals, error) {
	var o flow.SignalsOptions
	if b.opts.Signals != nil {
		o = *b.opts.Signals
	}
	o.PromptLen, o.PromptBytes, o.Bytes = positive(o.PromptLen, 1000), positive(o.PromptBytes, 1<<20), positive(o.Bytes, 64<<20)
	s := &signals{b: b, name: b.streamName("SIGNALS"), limits: o, reached: newReached(), boxes: map[string]*box{}, leftover: map[string]uint64{}}
	var err error
	if s.stream, err = b.openStream(ctx, "SIGNALS", jetstream.StreamConfig{Subjects: []string{s.name + ".kept.*"}, AllowMsgTTL: true}); err != nil {
		return nil, err
	}
	s.from = newLeader(b.way, s.stream)
	s.reader = b.readerOf(s.stream, &reader{receive: s.receive, fail: s.fail, compare: s.forgetGone})
	s.reader.start()
	if err = s.barrier(ctx); err == nil {
		err = s.cleanLeftover(ctx)
	}
	if err != nil {
		_ = s.close()
		return nil, err
	}
	return s, nil
}

// close ends all receivers and waits for their goroutines. Whoever waits in Send gets an
// error.
func (s *signals) close() error {
	s.fail(nodebus.ErrClosed)
	s.mu.Lock()
	s.closed = true
	var all []*receiver
	for _, b := range s.boxes {
		if b.receiver != nil {
			all = append(all, b.receiver)
		}
	}
	s.mu.Unlock()
	for _, r := range all {
		s.endReceiver(r)
		r.unsubscribe()
	}
	s.reader.close()
	s.workers.Wait()
	return nil
}

func (s *signals) kept(key string) string { return s.name + ".kept." + key }

// barrier waits until this process has read all that is kept now.
func (s *signals) barrier(ctx context.Context) error {
	return s.from.catchUp(ctx, s.kept("*"), s.newestKnown, s.wait)
}

// receive reads a message of the stream.
func (s *signals) receive(m jetstream.Msg, at *jetstream.MsgMetadata) {
	defer s.to(at.Sequence.Stream)
	key := strings.TrimPrefix(m.Subject(), s.kept(""))
	var l letter
	if json.Unmarshal(m.Data(), &l) != nil || !l.isWhole() {
		s.skip(m.Subject(), at.Sequence.Stream)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.forgetVoids(time.Now())
	b := s.box(key)
	defer s.tidy(key, b)
	switch {
	case l.Drop:
		before := at.Sequence.Stream
		if l.UpTo > 0 {
			before = l.UpTo + 1
		}
		if s.leftover != nil && (l.UpTo == 0 || len(b.kept) > 0 && b.kept[0].seq < before) {
			s.leftover[key] = at.Sequence.Stream
			if l.UpTo > 0 {
				s.leftover[key] = l.UpTo
			}
		}
		s.forget(b, before, l.UpTo == 0)
	case l.Void, l.Refused:
		s.remove(b, &l)
		if s.voids = append(s.voids, void{key, l.ID, time.Now()}); len(s.voids) > maxVoids {
			s.forgetVoid()
		}
	default:
		s.add(b, &l, at.Sequence.Stream)
	}
}

func (l *letter) isWhole() bool {
	return l.Drop || l.ID != "" && (l.Void || l.Refused || l.Signal != nil)
}

// skip tells once that a message cannot be read.
func (s *signals) skip(subject string, seq uint64) {
	s.skipped.Do(func() {
		s.b.logger.Warn("nats: a message cannot be read and is left out, as are others like it; look at it with: nats stream get",
			"stream", s.name, "subject", subject, "sequence", seq)
	})
}

// Drop implements [flow.Signals]. It costs one request if there is nothing to drop.
func (s *signals) Drop(ctx context.Context, promptID string) error {
	ctx, stop, err := s.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if checkID("prompt", promptID) != nil {
		return nil // Send keeps none
	}
	if err := s.drop(ctx, token(promptID)); err != nil {
		return fmt.Errorf("nats: dropping the signals of prompt %q: %w", promptID, err)
	}
	return nil
}

// drop tells all processes that the signals are dropped, and then deletes them. The message that
// says so is deleted with them: if this process is killed before, it stays as long as they do.
// Processes that are late learn it from a further message, which expires.
func (s *signals) drop(ctx context.Context, key string) error {
	none, err := s.from.lacks(ctx, s.kept(key), s.newestKnown())
	if err != nil || none {
		return err
	}
	seq, err := s.order(ctx, key, &letter{Drop: true})
	if err != nil {
		return err
	}
	return s.dropUpTo(ctx, key, seq)
}

// purge deletes the messages of a prompt before seq.
func (s *signals) purge(ctx context.Context, key string, seq uint64) error {
	_, err := asking(ctx, ifConnected(s.b.nc, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, s.stream.Purge(ctx, jetstream.WithPurgeSubject(s.kept(key)), jetstream.WithPurgeSequence(seq))
	}))
	return err
}

// cleanLeftover deletes what a process has dropped and not deleted, because it was killed.
func (s *signals) cleanLeftover(ctx context.Context) error {
	s.mu.Lock()
	all := s.leftover
	s.leftover = nil
	s.mu.Unlock()
	for key, seq := range all {
		if err := s.dropUpTo(ctx, key, seq); err != nil {
			return fmt.Errorf("nats: deleting dropped signals: %w", err)
		}
	}
	return nil
}
