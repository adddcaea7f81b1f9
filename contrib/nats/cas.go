package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const metaKey = "Nb-Meta"

// awayTime is how long a call without a deadline waits for NATS.
var awayTime = 15 * time.Second

// goneTime is how long a stream says that something is gone. A process that has read nothing
// for half of it compares what it knows with the stream.
var goneTime = time.Hour

// duplicateInFlight is the error of a stream that still works on a message with the same id.
const duplicateInFlight jetstream.ErrorCode = 10158

// offline is the error of a cluster if all servers that keep the stream are away.
const offline jetstream.ErrorCode = 10118

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
		return api != nil && (api.Code == 503 || api.ErrorCode == duplicateInFlight || api.ErrorCode == offline)
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
			return v, fmt.Errorf("nats: %w", causes(unanswered(ctx), said(err)))
		}
	}
}

// ifConnected returns a function that calls f, or returns an error if there is no connection.
func ifConnected[T any](nc *nats.Conn, f func(context.Context) (T, error)) func(context.Context) (T, error) {
	return func(ctx context.Context) (v T, err error) {
		if err = connected(nc); err == nil {
			v, err = f(ctx)
		}
		return v, err
	}
}

// connected returns the error of the client if there is no connection. Whoever tries again and
// again asks it before each request: the client keeps a request that it could not send until the
// connection is closed for good, so that hours without NATS would fill the memory.
func connected(nc *nats.Conn) error {
	if nc.IsReconnecting() {
		return nats.ErrReconnectBufExceeded
	}
	return nil
}

// said returns the error of an attempt, if it says something: that nothing can be sent says
// only that there is no connection, see [faultOf].
func said(err error) error {
	if errors.Is(err, nats.ErrReconnectBufExceeded) {
		return nil
	}
	return err
}

// unanswered returns why a call has ended whose context has ended: NATS did not answer in time;
// or the caller has cancelled it, or the part is closed, and NATS may well answer.
func unanswered(ctx context.Context) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx)
	}
	return fmt.Errorf("%w: %w", ErrAway, causes(ctx.Err(), context.Cause(ctx)))
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
