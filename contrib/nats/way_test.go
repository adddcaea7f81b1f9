package nats_test

import (
	"context"
	"fmt"
	"io"
	"math"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// TestFirstAnswer calls what answers late, or with errors that are no answers: the first answer
// counts, whichever call it answers, and no call stays.
func TestFirstAnswer(t *testing.T) {
	refusal := &jetstream.APIError{Code: 400, ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}
	for name, c := range map[string]struct {
		bytes    int
		takes    time.Duration // of the first call that is answered; the next ones take a second more each
		none     int           // so many calls end at once, without an answer
		err      error         // the answer
		patience time.Duration // of the caller
		late     time.Duration
		calls    int64
		after    time.Duration
		want     int
		fails    error
	}{
		"at once":                              {want: 1, calls: 1},
		"in time":                              {takes: 900 * time.Millisecond, want: 1, calls: 1, after: 900 * time.Millisecond},
		"later than it was sent again":         {takes: 3500 * time.Millisecond, want: 1, calls: 4, after: 3500 * time.Millisecond},
		"a large message has more time":        {bytes: 512 << 10, takes: 5 * time.Second, want: 1, calls: 2, after: 5 * time.Second},
		"a size that is not known":             {bytes: nats.AnyBytes, takes: 5500 * time.Millisecond, want: 1, calls: 3, after: 5500 * time.Millisecond},
		"a size that cannot be":                {bytes: math.MaxInt, takes: 5 * time.Second, want: 1, calls: 2, after: 5 * time.Second},
		"no leader at first":                   {none: 3, want: 4, calls: 4, after: 15 * time.Millisecond},
		"a refusal":                            {err: refusal, want: 1, calls: 1, fails: refusal},
		"a refusal that is late":               {takes: 1500 * time.Millisecond, err: refusal, want: 1, calls: 2, after: 1500 * time.Millisecond, fails: refusal},
		"the caller gives up":                  {takes: time.Hour, patience: 2500 * time.Millisecond, calls: 3, after: 2500 * time.Millisecond, fails: context.DeadlineExceeded},
		"the caller gives up, but it was sent": {takes: 3 * time.Second, patience: 2500 * time.Millisecond, late: time.Second, want: 1, calls: 3, after: 3 * time.Second},
		"the answer is too late":               {takes: time.Hour, patience: 2500 * time.Millisecond, late: time.Second, calls: 3, after: 3500 * time.Millisecond, fails: context.DeadlineExceeded},
		"never connected":                      {none: 1 << 30, patience: 1002 * time.Millisecond, late: time.Second, calls: 201, after: 1002 * time.Millisecond, fails: natsgo.ErrReconnectBufExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := t.Context(), func() {}
				if c.patience > 0 {
					ctx, stop = context.WithTimeout(ctx, c.patience)
				}
				defer stop()
				var calls atomic.Int64
				began := time.Now()
				got, err := nats.FirstAnswer(ctx, c.bytes, c.late, func(ctx context.Context) (int, error) {
					n := int(calls.Add(1))
					if n <= c.none {
						return 0, natsgo.ErrReconnectBufExceeded
					}
					select {
					case <-time.After(c.takes + time.Duration(n-1-c.none)*time.Second):
						return n, c.err
					case <-ctx.Done():
						return 0, ctx.Err()
					}
				})
				require.Equal(t, c.after, time.Since(began))
				require.Equal(t, c.calls, calls.Load())
				if require.ErrorIs(t, err, c.fails); err == nil {
					require.Equal(t, c.want, got)
				}
			})
		})
	}
}

// TestCauses joins errors: the text is one line that says nothing twice, and no error is lost.
func TestCauses(t *testing.T) {
	require.NoError(t, nats.Causes(nil, nil))
	outer := fmt.Errorf("a call: %w", context.Canceled)
	err := nats.Causes(nil, outer, context.Canceled, io.EOF, nil, io.EOF)
	require.EqualError(t, err, "a call: context canceled: EOF")
	require.ErrorIs(t, err, outer)
	require.ErrorIs(t, err, context.Canceled)
	require.ErrorIs(t, err, io.EOF)
}

// leaderless is a JetStream with a stream that nobody leads.
type leaderless struct{ jetstream.JetStream }

func (leaderless) PublishMsg(_ context.Context, m *natsgo.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if m.Subject == "away" {
		return nil, jetstream.ErrNoStreamResponse
	}
	return &jetstream.PubAck{Sequence: 1}, nil
}

// TestLargeMessagesOfOtherStreams stores and reads large messages while other large messages wait
// for a stream that nobody leads.
func TestLargeMessagesOfOtherStreams(t *testing.T) {
	const large = 512 << 10
	answer := func(err error) func(context.Context) (*jetstream.RawStreamMsg, error) {
		return func(context.Context) (*jetstream.RawStreamMsg, error) { return &jetstream.RawStreamMsg{}, err }
	}
	for name, call := range map[string]func(ctx context.Context, w nats.Way, away bool) error{
		"publish": func(ctx context.Context, w nats.Way, away bool) error {
			return w.Publish(ctx, map[bool]string{true: "away", false: "here"}[away], large)
		},
		"read": func(ctx context.Context, w nats.Way, away bool) error {
			return w.Read(ctx, large, answer(map[bool]error{true: jetstream.ErrNoStreamResponse}[away]))
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := nats.NewWay(leaderless{})
				ctx, stop := context.WithTimeout(t.Context(), time.Minute)
				defer stop()
				began, away := time.Now(), make(chan error)
				for range 8 {
					go func() { away <- call(ctx, w, true) }()
				}
				time.Sleep(time.Second)
				require.NoError(t, call(ctx, w, false))
				require.Less(t, time.Since(began), 2*time.Second)
				for range 8 {
					err := <-away
					require.ErrorIs(t, err, nats.ErrAway)
					require.ErrorIs(t, err, context.DeadlineExceeded)
					require.ErrorIs(t, err, jetstream.ErrNoStreamResponse)
				}
				require.NoError(t, call(t.Context(), w, false), "all room is free")
			})
		})
	}
}
