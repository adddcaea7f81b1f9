package nats

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	metaKey  = "Nb-Meta"
	awayTime = 15 * time.Second // how long a call without a deadline waits for NATS
)

// goneTime is how long a stream says that something is gone. A process that has read nothing
// for half of it compares what it knows with the stream.
var goneTime = time.Hour

// duplicateInFlight is the error of a stream that still works on a message with the same id.
const duplicateInFlight jetstream.ErrorCode = 10158

// message returns a message whose header is meta, as JSON. If it says that something is
// gone, the message expires.
func message(subject string, meta any, data []byte, gone bool) (*nats.Msg, error) {
	text, err := json.Marshal(meta)
	if err != nil {
		return nil, err
	}
	m := &nats.Msg{Subject: subject, Data: data, Header: nats.Header{metaKey: {string(text)}}}
	if gone {
		m.Header.Set(jetstream.MsgTTLHeader, goneTime.String())
	}
	return m, nil
}

// publish stores a message and returns its sequence. While NATS is away, or chooses a
// leader, it tries again until ctx ends. The stream does not store the message twice. A
// message that was sent is not given up when ctx ends, but when its try ends: otherwise a
// Take whose ctx ends would leave a lease that nobody has.
func publish(ctx context.Context, js jetstream.JetStream, m *nats.Msg, opts ...jetstream.PublishOpt) (uint64, error) {
	opts = append([]jetstream.PublishOpt{jetstream.WithMsgID(rand.Text()), jetstream.WithRetryAttempts(0)}, opts...)
	for unanswered := 0; ; {
		once, stop := oneTry(ctx, tryFor(len(m.Data), unanswered))
		ack, err := js.PublishMsg(once, m, opts...)
		if once.Err() != nil {
			unanswered++
		}
		stop()
		switch {
		case err == nil:
			return ack.Sequence, nil
		case !again(err):
			return 0, err
		case pause(ctx) != nil:
			return 0, fmt.Errorf("nats: %s is not stored: %w: %w", m.Subject, ErrAway, errors.Join(context.Cause(ctx), err, faultOf(js.Conn())))
		}
	}
}

// The windows of large messages, see tryFor.
const (
	smallBytes  = 64 << 10
	largeBytes  = 256 << 10
	slowRate    = 256 << 10 // bytes a second
	longestTry  = 30 * time.Second
	mostDoubles = 5
)

// tryFor returns how long a try waits for the answer to a message of some bytes, after tries
// without an answer. On a slow way, a large message takes its time, and a copy of it that is
// sent too early waits behind it: with the same time for each try, no answer would ever come in
// time.
func tryFor(bytes, unanswered int) time.Duration {
	if bytes <= smallBytes {
		return tryTime
	}
	first := tryTime + time.Duration(max(bytes-largeBytes, 0))*time.Second/slowRate
	return min(first<<min(unanswered, mostDoubles), longestTry)
}

// oneTry returns the context of a try that takes some time, and that goes on for at most
// tryTime when ctx ends.
func oneTry(ctx context.Context, most time.Duration) (once context.Context, stop func()) {
	once, cancel := context.WithTimeout(context.WithoutCancel(ctx), most)
	if most <= tryTime {
		return once, cancel
	}
	detach := context.AfterFunc(ctx, func() {
		select {
		case <-time.After(tryTime):
			cancel()
		case <-once.Done():
		}
	})
	return once, func() { detach(); cancel() }
}

// faultOf returns why the server in this process stores nothing; nil if it works, or if there
// is none. Another server of its cluster may store.
func faultOf(nc *nats.Conn) error {
	if s, here := nc.Opts.InProcessServer.(interface{ Err() error }); here {
		return s.Err()
	}
	return nil
}

// refusals are the errors of the client that stay, however often a message is sent again.
var refusals = []error{
	nats.ErrMaxPayload, nats.ErrBadSubject, nats.ErrInvalidMsg, nats.ErrHeadersNotSupported, nats.ErrPermissionViolation,
	nats.ErrConnectionClosed, nats.ErrConnectionDraining, nats.ErrInvalidConnection,
}

// again reports whether a message should be sent again. It should not if err is the answer
// of a server that leads the stream and does not still work on the message, or if it is a
// refusal. All else, such as a pipe that breaks, says only that there was no answer.
func again(err error) bool {
	var answer jetstream.JetStreamError
	switch {
	case errors.Is(err, jetstream.ErrNoStreamResponse):
		return true
	case errors.As(err, &answer):
		api := answer.APIError()
		return api != nil && (api.Code == 503 || api.ErrorCode == duplicateInFlight)
	}
	return !slices.ContainsFunc(refusals, func(r error) bool { return errors.Is(err, r) })
}

// conflicts reports whether err says that a subject has another message than expected. A
// stream with replicas also says so while it works on any message of the subject: look at
// the subject before believing it.
func conflicts(err error) bool {
	var api *jetstream.APIError
	return errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant)
}

// bounded returns a context that ends after 15 seconds, unless ctx has a deadline: a caller
// without a deadline must not wait for ever while NATS is away. Who has a deadline says how
// long it waits: an engine waits 30 s before it gives up a record.
func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	if _, has := ctx.Deadline(); has {
		return context.WithCancel(ctx)
	}
	return context.WithTimeoutCause(ctx, awayTime, ErrAway)
}

// asking calls f until it succeeds, or fails with an error that is an answer. While NATS is
// away, or chooses a leader, it tries again until ctx ends. f gets a context for one try.
func asking[T any](ctx context.Context, f func(context.Context) (T, error)) (T, error) {
	for {
		once, stop := context.WithTimeout(ctx, tryTime)
		v, err := f(once)
		stop()
		if err == nil || !again(err) {
			return v, err
		}
		if pause(ctx) != nil {
			return v, fmt.Errorf("nats: %w: %w", ErrAway, errors.Join(context.Cause(ctx), err))
		}
	}
}

// pause waits before the next attempt. It returns the error of ctx.
func pause(ctx context.Context) error {
	select {
	case <-time.After(5 * time.Millisecond):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
