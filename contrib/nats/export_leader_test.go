package nats

import (
	"context"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/flow"
)

// Leader asks the leader of a stream.
type Leader struct{ l leader }

// NewLeader returns a leader of a stream.
func NewLeader(stream jetstream.Stream, state func(subject string) (last uint64, count int, err error)) *Leader {
	return &Leader{leader{stream: stream, name: "S", way: newWay(new(natsgo.Conn), nil), state: func(_ context.Context, subject string) (uint64, int, error) {
		return state(subject)
	}}}
}

// Last returns the newest message of a subject.
func (l *Leader) Last(ctx context.Context, subject string, own, all uint64) (*jetstream.RawStreamMsg, error) {
	return l.l.last(ctx, subject, own, all, 0)
}

// Get returns a message.
func (l *Leader) Get(ctx context.Context, subject string, seq uint64) (*jetstream.RawStreamMsg, error) {
	return l.l.get(ctx, subject, seq, 0)
}

// Lacks reports whether a subject has no message.
func (l *Leader) Lacks(ctx context.Context, subject string, all uint64) (bool, error) {
	return l.l.lacks(ctx, subject, all)
}

// Newest returns the sequence of the newest message of a subject.
func (l *Leader) Newest(ctx context.Context, subject string, all uint64) (uint64, error) {
	return l.l.newest(ctx, subject, all)
}

// SetGoneTime sets how long streams say that something is gone, and returns a function that
// sets it back. No bus may be open meanwhile that was open before.
func SetGoneTime(d time.Duration) (back func()) {
	before := goneTime
	goneTime = d
	return func() { goneTime = before }
}

// Known returns how many records, and how many bytes, a store knows.
func Known(s flow.Store) (records, bytes int) {
	x := s.(*recordStore)
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.byToken), x.bytes
}

// FirstAnswer calls f until there is an answer.
func FirstAnswer(ctx context.Context, bytes int, late time.Duration, f func(context.Context) (int, error)) (int, error) {
	return firstAnswer(ctx, newWay(nil, nil).there, bytes, late, f)
}

// Way is the way from a bus to NATS.
type Way struct{ w *way }

// NewWay returns a way that publishes with js.
func NewWay(js jetstream.JetStream) Way { return Way{newWay(new(natsgo.Conn), js)} }

// Publish stores a message of some bytes.
func (w Way) Publish(ctx context.Context, subject string, bytes int) error {
	_, err := w.w.publish(ctx, &natsgo.Msg{Subject: subject, Data: make([]byte, bytes)})
	return err
}

// Read asks for a message of about so many bytes.
func (w Way) Read(ctx context.Context, bytes int, f func(context.Context) (*jetstream.RawStreamMsg, error)) error {
	_, err := request(ctx, w.w, bytes, f)
	return err
}

// Causes joins errors.
func Causes(errs ...error) error { return causes(errs...) }
