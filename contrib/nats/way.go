package nats

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/semaphore"
)

const (
	callTime    = 30 * time.Second // how long an answer counts
	slowRate    = 256 << 10        // bytes a second: the slowest way that this package is made for
	smallBytes  = 64 << 10         // a larger message takes its time on such a way
	largeBytes  = 256 << 10
	wayBytes    = 1 << 20 // of large messages that are under way
	longestTry  = 30 * time.Second
	mostDoubles = 5
	anyBytes    = -1 // the size of an answer that may be large
)

// way is the way from a bus to NATS. It carries messages until they are answered.
//
// A slow way is the difficult one. What is sent again waits behind what was sent before, so that
// nothing may be given up too early: the answer to any copy counts. And what waits delays the
// pings of the connection, which is lost if they take too long: so only some large messages are
// under way at a time, in each direction.
type way struct {
	nc          *nats.Conn
	js          jetstream.JetStream
	there, back *semaphore.Weighted // bytes of large messages
}

func newWay(nc *nats.Conn, js jetstream.JetStream) *way {
	return &way{nc: nc, js: js, there: semaphore.NewWeighted(wayBytes), back: semaphore.NewWeighted(wayBytes)}
}

// errBusy is why a call has ended that has sent nothing.
var errBusy = errors.New("other large messages are under way")

// room waits until a message of some bytes may be under way, or ctx ends. done must be called also
// after an error.
func room(ctx context.Context, all *semaphore.Weighted, bytes int) (done func(), err error) {
	if bytes <= smallBytes {
		return func() {}, nil
	}
	n := int64(min(bytes, wayBytes))
	if all.Acquire(ctx, n) != nil {
		return func() {}, errBusy
	}
	return func() { all.Release(n) }, nil
}

// publish stores a message and returns its sequence. While NATS is away, or chooses a
// leader, it tries again until ctx ends. The stream does not store the message twice. A
// message that was sent is not given up when ctx ends, but a second later: otherwise a Take
// whose ctx ends would leave a lease that nobody has.
func (w *way) publish(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (uint64, error) {
	if ctx.Err() != nil { // nothing is sent
		return 0, fmt.Errorf("nats: %s is not stored: %w", m.Subject, unanswered(ctx))
	}
	opts = append([]jetstream.PublishOpt{jetstream.WithMsgID(rand.Text()), jetstream.WithRetryAttempts(0)}, opts...)
	ack, err := firstAnswer(ctx, w.there, len(m.Data), tryTime, ifConnected(w.nc, func(ctx context.Context) (*jetstream.PubAck, error) {
		// PublishMsg writes into the header.
		return w.js.PublishMsg(ctx, &nats.Msg{Subject: m.Subject, Data: m.Data, Header: maps.Clone(m.Header)}, opts...)
	}))
	switch {
	case err == nil:
		return ack.Sequence, nil
	case !again(err):
		return 0, err
	}
	return 0, fmt.Errorf("nats: %s is not stored: %w", m.Subject, causes(unanswered(ctx), said(err), faultOf(w.nc)))
}

// request asks for an answer of about so many bytes. While NATS is away, or chooses a leader, it
// asks again until ctx ends.
func request[T any](ctx context.Context, w *way, bytes int, f func(context.Context) (T, error)) (T, error) {
	v, err := firstAnswer(ctx, w.back, bytes, 0, ifConnected(w.nc, f))
	if err != nil && again(err) {
		err = fmt.Errorf("nats: %w", causes(unanswered(ctx), said(err)))
	}
	return v, err
}

// firstAnswer calls f until there is an answer: a value, or an error that is an answer, see again.
// Without an answer, it calls f again after a time, and does not give up the calls before: the
// first answer to any of them counts. bytes is the size of the message, or of the answer; a large
// one needs room of all. While nothing of it is under way, others have the room: otherwise a stream
// that nobody leads would keep large messages from the other streams. When ctx ends, firstAnswer
// waits for the calls for the time late, and then returns an error that is no answer. f must be
// safe for concurrent use.
func firstAnswer[T any](ctx context.Context, all *semaphore.Weighted, bytes int, late time.Duration, f func(context.Context) (T, error)) (v T, err error) {
	type answer struct {
		v   T
		err error
	}
	calls, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	answers := make(chan answer)
	call := func() {
		once, stop := context.WithTimeout(calls, callTime)
		defer stop()
		v, err := f(once)
		select {
		case answers <- answer{v, err}:
		case <-calls.Done():
		}
	}
	running, timer, done := 0, time.NewTimer(0), func() {}
	defer func() { done() }()
	for silent := 0; ctx.Err() == nil; {
		if running == 0 {
			done()
			var busy error
			if done, busy = room(ctx, all, bytes); busy != nil {
				err = cmp.Or(err, busy)
				break
			}
		}
		go call()
		running++
		timer.Reset(tryFor(bytes, silent))
		select {
		case a := <-answers:
			if running--; a.err == nil || !again(a.err) {
				return a.v, a.err
			}
			err = a.err
			_ = pause(ctx)
		case <-timer.C:
			silent++
		case <-ctx.Done():
		}
	}
	for timer.Reset(late); late > 0 && running > 0; running-- {
		select {
		case a := <-answers:
			if a.err == nil || !again(a.err) {
				return a.v, a.err
			}
			err = a.err
		case <-timer.C:
			late = 0
		}
	}
	return v, cmp.Or(err, ctx.Err())
}

// tryFor returns how long to wait for the answer to a message of some bytes until it is sent
// again, after tries without an answer. If the size is not known, the second copy comes after a
// second, as if the answer were small, and then a copy every four seconds.
func tryFor(bytes, silent int) time.Duration {
	switch {
	case bytes == anyBytes && silent > 0:
		return 4 * tryTime
	case bytes <= smallBytes:
		return tryTime
	}
	// A header of another program may give any size.
	first := tryTime + time.Duration(max(min(bytes, wayBytes)-largeBytes, 0))*time.Second/slowRate
	return min(first<<min(silent, mostDoubles), longestTry)
}
