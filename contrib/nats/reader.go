package nats

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	tryTime     = time.Second            // until a request without an answer is sent again
	readerPause = 100 * time.Millisecond // between attempts to make a consumer
	pullLen     = 500                    // messages that come before they are passed on, and their bytes
	pullBytes   = 16 << 20
	watchTime   = 200 * time.Millisecond // between two looks at the connection
	checkTicks  = 10                     // looks at the connection until the next look at the consumer
	behindTime  = 10 * time.Second       // a new leader of a cluster may need some time to know all messages
	troubleTime = 15 * time.Second       // until attempts that fail are logged; a leader is chosen earlier
)

// reader passes all messages of a stream to receive, in order, each once. If its consumer
// is lost, because its server was killed, it makes another one after the last message. It
// does not use the ordered consumer of the client: that one waits up to ten seconds
// between attempts, and half a minute until it misses the heartbeats.
type reader struct {
	js          jetstream.JetStream
	stream      string
	epoch       string // of the stream; see epochOf
	headersOnly bool   // the messages come without their data
	first       uint64 // the message to begin with
	whole       bool   // fail if a message is missing, because the stream has dropped it
	receive     func(jetstream.Msg, *jetstream.MsgMetadata)
	fail        func(error) // called once, if the stream is another one than before
	// compare removes what the stream does not have any more, if this process was away for so
	// long that it has not read that it is gone; nil: nothing is removed so.
	compare func(context.Context) error
	logger  *slog.Logger

	slow   bool      // messages waited, and none came in time; see patience
	waits  bool      // messages waited when the consumer was made
	wrong  time.Time // since when the stream has less than this process has read, or is not there
	fresh  time.Time // when this process has last read the stream, or could have
	ended  sync.WaitGroup
	cancel context.CancelFunc
}

// readerOf completes the reader of a part, which has its functions. If the stream is another
// one than before, the reader ends the part, and with it the bus.
func (b *Bus) readerOf(stream jetstream.Stream, r *reader) *reader {
	r.js, r.stream, r.epoch, r.logger = b.js, stream.CachedInfo().Config.Name, epochOf(stream), b.logger
	r.fail = b.ends(r.fail)
	return r
}

// skippedError is the error of a reader that misses messages. It is the newest of them.
type skippedError uint64

func (e skippedError) Error() string {
	return fmt.Sprintf("the stream has dropped messages before this process has read them, the newest is message %d", uint64(e))
}

// start starts to read.
func (r *reader) start() {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel, r.fresh = cancel, time.Now()
	r.ended.Go(func() {
		var told troubles
		for last := max(r.first, 1) - 1; ctx.Err() == nil; {
			before := last
			var err error
			if last, err = r.read(ctx, last); ctx.Err() == nil && r.js.Conn().IsClosed() {
				err = r.closed()
			}
			if errors.Is(err, ErrOtherStream) || errors.Is(err, nats.ErrConnectionClosed) {
				r.logger.Error("nats: the bus has ended; close it and open it again", "stream", r.stream, "error", err)
				r.fail(err)
				return
			}
			if last > before {
				told.over()
			}
			if ctx.Err() == nil && told.tell() {
				r.logger.Warn("nats: the stream cannot be read; trying again", "stream", r.stream, "error", because(r.js.Conn(), err))
			}
			select {
			case <-time.After(readerPause):
			case <-ctx.Done():
			}
		}
	})
}

// troubles decides which of many attempts that failed the logger receives: one each
// minute, and not the first one after a success, because a server that is replaced is no trouble.
type troubles struct {
	after       time.Duration // failing so long is no trouble; 0: 15 seconds
	since, told time.Time
}

// over says that an attempt has succeeded.
func (t *troubles) over() { *t = troubles{after: t.after} }

// tell says that an attempt has failed, and reports whether to tell it.
func (t *troubles) tell() bool {
	now := time.Now()
	if t.since.IsZero() {
		t.since = now
	}
	if now.Sub(t.since) < cmp.Or(t.after, troubleTime) || now.Sub(t.told) < time.Minute {
		return false
	}
	t.told = now
	return true
}

// close ends the reader. receive is not called any more.
func (r *reader) close() {
	r.cancel()
	r.ended.Wait()
}

// read reads with one consumer until it fails. It returns the sequence of the last
// message that it has passed on.
func (r *reader) read(ctx context.Context, last uint64) (uint64, error) {
	connections, began := r.js.Conn().Stats().Reconnects, time.Now()
	if err := r.compareAfterLong(ctx); err != nil {
		return last, err
	}
	all, name, err := r.consume(ctx, last)
	if err != nil {
		return last, err
	}
	ctx, stop := context.WithCancel(ctx)
	var got atomic.Uint64
	var watching sync.WaitGroup
	watching.Go(func() {
		defer all.Stop()
		r.watch(ctx, name, connections, &got)
	})
	defer watching.Wait()
	defer stop()
	for n := uint64(1); ; n++ {
		m, err := all.Next()
		switch {
		case err == nil:
		case time.Since(began) > time.Minute:
			r.slow = false
			return last, err
		case n == 1 && r.waits && errors.Is(err, jetstream.ErrNoHeartbeat):
			r.slow = true
			return last, err
		default:
			return last, err
		}
		got.Store(n)
		at, err := m.Metadata()
		if err != nil || at.Sequence.Consumer != n || at.Sequence.Stream <= last {
			return last, err
		}
		if r.whole && at.Sequence.Stream != last+1 {
			return last, &StreamError{Stream: r.stream, Reason: ErrOtherStream, Detail: "close the bus and open it again", Err: skippedError(at.Sequence.Stream - 1)}
		}
		r.receive(m, at)
		last = at.Sequence.Stream
	}
}

// wasAway reports whether this process has read nothing for so long that a message which
// says that something is gone may have expired. A process, or its machine, may have stood
// still: then only one of the clocks may tell.
func (r *reader) wasAway() bool {
	now := time.Now()
	return max(now.Sub(r.fresh), now.Round(0).Sub(r.fresh.Round(0))) > goneTime/2
}

// compareAfterLong compares what this process knows with the stream, if it was away for long.
func (r *reader) compareAfterLong(ctx context.Context) error {
	if r.compare == nil || !r.wasAway() {
		return nil
	}
	ctx, stop := context.WithTimeout(ctx, awayTime)
	defer stop()
	if err := r.compare(ctx); err != nil {
		return fmt.Errorf("nats: comparing with the stream %s: %w", r.stream, err)
	}
	r.fresh = time.Now()
	return nil
}

// watch returns when ctx ends, or when messages are lost that the consumer has delivered,
// because a connection was lost: the consumer does not deliver them again, and only the
// next message would show that they are missing. So watch returns if this process has
// connected again, or if the consumer has delivered more than got counts, for a while.
func (r *reader) watch(ctx context.Context, name string, connections uint64, got *atomic.Uint64) {
	tick := time.NewTicker(watchTime)
	defer tick.Stop()
	lost, had := false, uint64(0) // at the check before
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if r.js.Conn().Stats().Reconnects != connections || r.wasAway() {
			return
		}
		if r.js.Conn().IsConnected() {
			r.fresh = time.Now()
		}
		if n%checkTicks != 0 {
			continue
		}
		once, stop := context.WithTimeout(ctx, tryTime)
		c, err := r.js.Consumer(once, r.stream, name)
		stop()
		if err != nil {
			continue // the heartbeats tell whether the consumer is gone
		}
		has, before := got.Load(), lost
		if lost = c.CachedInfo().Delivered.Consumer > has; lost && before && had == has {
			return
		}
		had = has
	}
}

// consume makes a consumer after the message last. It first makes sure that the stream is
// the same as before: a consumer after the end of a stream would wait for ever.
func (r *reader) consume(ctx context.Context, last uint64) (_ jetstream.MessagesContext, name string, _ error) {
	once, stop := context.WithTimeout(ctx, tryTime)
	defer stop()
	var stream jetstream.Stream
	err := connected(r.js.Conn())
	if err == nil {
		stream, err = r.js.Stream(once, r.stream)
	}
	if missing := errors.Is(err, jetstream.ErrStreamNotFound); err != nil {
		if r.lasts(missing) {
			return nil, "", &StreamError{Stream: r.stream, Reason: ErrOtherStream, Detail: "it was deleted; close the bus and open it again", Err: err}
		}
		return nil, "", fmt.Errorf("nats: reading the stream %s: %w", r.stream, err)
	}
	info := stream.CachedInfo()
	behind := info.State.LastSeq < last
	switch {
	case epochOf(stream) != r.epoch || r.lasts(behind):
		return nil, "", &StreamError{Stream: r.stream, Reason: ErrOtherStream, Detail: "it was deleted and made again, or has lost messages; close the bus and open it again"}
	case behind:
		return nil, "", fmt.Errorf("nats: the stream %s has message %d, this process has %d", r.stream, info.State.LastSeq, last)
	}
	c, err := stream.CreateConsumer(once, jetstream.ConsumerConfig{
		DeliverPolicy: jetstream.DeliverByStartSequencePolicy, OptStartSeq: last + 1, AckPolicy: jetstream.AckNonePolicy,
		MemoryStorage: true, Replicas: 1, InactiveThreshold: 10 * time.Second, HeadersOnly: r.headersOnly, MaxDeliver: 1,
	})
	if err != nil {
		return nil, "", fmt.Errorf("nats: reading the stream %s: %w", r.stream, err)
	}
	r.waits = c.CachedInfo().NumPending > 0
	heartbeat, bytes := r.patience()
	all, err := c.Messages(
		jetstream.PullMaxMessagesWithBytesLimit(pullLen, bytes), jetstream.PullExpiry(5*time.Second),
		jetstream.PullHeartbeat(heartbeat), jetstream.WithMessagesErrOnMissingHeartbeat(true),
	)
	return all, c.CachedInfo().Name, err
}

// patience returns the time between heartbeats, and how many bytes may come before they are
// passed on. On a slow way, a large message takes longer than two heartbeats, and what an
// earlier consumer has sent comes before it: with the same numbers, no message would ever come.
func (r *reader) patience() (heartbeat time.Duration, bytes int) {
	if r.slow {
		return 2 * time.Second, 2 << 20
	}
	return 500 * time.Millisecond, pullBytes
}

// lasts reports whether something has been wrong since some time, so that it is no matter of
// a new leader of a cluster that has yet to learn what there is.
func (r *reader) lasts(wrong bool) bool {
	switch {
	case !wrong:
		r.wrong = time.Time{}
	case r.wrong.IsZero():
		r.wrong = time.Now()
	}
	return wrong && time.Since(r.wrong) > behindTime
}

// closed returns the error of a reader whose connection is closed for good.
func (r *reader) closed() error {
	err := nats.ErrConnectionClosed
	if last := r.js.Conn().LastError(); last != nil && !errors.Is(last, err) {
		err = fmt.Errorf("%w: %w", err, last)
	}
	return &StreamError{Stream: r.stream, Detail: "the connection was closed before the bus; close the bus first", Err: err}
}
