package nats

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// leader asks the leader of a stream for messages. All reads of queue, store and signals go
// through it.
//
// A server that has just become the leader may know less than the leader before it: it
// says that a message is not there, or that an older message is the newest of a subject. So
// such an answer counts only if the leader has all messages that this process knows. That is so
// also if the stream has one replica: somebody may give it more while this process runs.
type leader struct {
	stream jetstream.Stream
	name   string // of the stream
	way    *way
	// state asks for the sequence of the newest message that the leader has had, and for the
	// number of messages of a subject. Tests replace it.
	state func(ctx context.Context, subject string) (last uint64, count int, err error)
}

func newLeader(w *way, stream jetstream.Stream) *leader {
	l := &leader{stream: stream, way: w, name: stream.CachedInfo().Config.Name}
	l.state = func(ctx context.Context, subject string) (uint64, int, error) {
		return streamState(ctx, w.nc, l.name, subject)
	}
	return l
}

// subjectState is what state returns.
type subjectState struct {
	last  uint64
	count int
}

// streamState asks for both with one request: Info of the client writes into its handle,
// so that a call for each goroutine would need a handle of its own, and two requests.
func streamState(ctx context.Context, nc *nats.Conn, stream, subject string) (last uint64, count int, err error) {
	filter, err := json.Marshal(map[string]string{"subjects_filter": subject})
	if err != nil {
		return 0, 0, err
	}
	m, err := nc.RequestWithContext(ctx, jetstream.DefaultAPIPrefix+"STREAM.INFO."+stream, filter)
	if err != nil {
		return 0, 0, err
	}
	var x struct {
		Error *jetstream.APIError   `json:"error"`
		State jetstream.StreamState `json:"state"`
	}
	if err := json.Unmarshal(m.Data, &x); err != nil {
		return 0, 0, err
	}
	if x.Error != nil {
		return 0, 0, x.Error
	}
	for _, n := range x.State.Subjects {
		count += int(n)
	}
	return x.State.LastSeq, count, nil
}

// last returns the newest message of a subject, or [jetstream.ErrMsgNotFound]. This process
// knows that the subject had the message own, or 0, and the stream the message all. The message
// probably has so many bytes; 0: not known.
func (l *leader) last(ctx context.Context, subject string, own, all uint64, bytes int) (*jetstream.RawStreamMsg, error) {
	if bytes == 0 {
		bytes = anyBytes
	}
	return l.ask(ctx, subject, own, all, bytes, func(ctx context.Context) (*jetstream.RawStreamMsg, error) {
		return l.stream.GetLastMsgForSubject(ctx, subject)
	})
}

// get returns a message of about so many bytes, or [jetstream.ErrMsgNotFound].
func (l *leader) get(ctx context.Context, subject string, seq uint64, bytes int) (*jetstream.RawStreamMsg, error) {
	return l.ask(ctx, subject, seq, seq, bytes, func(ctx context.Context) (*jetstream.RawStreamMsg, error) { return l.stream.GetMsg(ctx, seq) })
}

// ask believes a message from own on. It believes another answer after the leader has had
// the messages own and all.
func (l *leader) ask(
	ctx context.Context, subject string, own, all uint64, bytes int, read func(context.Context) (*jetstream.RawStreamMsg, error),
) (*jetstream.RawStreamMsg, error) {
	m, err := request(ctx, l.way, bytes, read)
	absent := errors.Is(err, jetstream.ErrMsgNotFound)
	if err != nil && !absent || err == nil && m.Sequence >= own {
		return m, err
	}
	switch lacks, failed := l.lacks(ctx, subject, max(own, all)); {
	case failed != nil:
		return nil, failed
	case absent && lacks:
		return nil, err
	}
	return request(ctx, l.way, bytes, read) // the leader may have got the message in between
}

// lacks reports whether a subject has no message. This process knows that the stream had the
// message all. Who expects none asks so, because it costs one request, and [leader.last] two.
func (l *leader) lacks(ctx context.Context, subject string, all uint64) (bool, error) {
	for behind := error(nil); ; {
		state, err := request(ctx, l.way, 0, func(ctx context.Context) (x subjectState, err error) {
			x.last, x.count, err = l.state(ctx, subject)
			return x, err
		})
		switch {
		case err != nil:
			return false, causes(behind, err)
		case state.last >= all:
			return state.count == 0, nil
		}
		behind = fmt.Errorf("nats: the leader of %s has message %d, this process has %d", l.name, state.last, all)
		if pause(ctx) != nil {
			return false, causes(behind, unanswered(ctx))
		}
	}
}

// newest returns the sequence of the newest message that a subject still has, and 0 if it
// has none. The newest sequence of the stream is of no use to wait for: its message may be
// deleted or expired, and then no consumer receives it.
func (l *leader) newest(ctx context.Context, subject string, all uint64) (uint64, error) {
	m, err := l.last(ctx, subject, all, all, 0)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("nats: reading %s: %w", subject, err)
	}
	return m.Sequence, nil
}

// readTime returns how long to wait until a message was read, before somebody asks whether it is
// still there, after asking n times. The answer is a whole message: on a slow way, too many
// answers would keep back what is to be read.
func readTime(n int) time.Duration { return tryTime << min(n, mostDoubles-1) }

// catchUp waits until reads has returned nil for the newest message. It asks again now and
// then, because a message may be deleted before it is read. known returns the newest
// message of the stream that this process knows.
func (l *leader) catchUp(ctx context.Context, subject string, known func() uint64, reads func(context.Context, uint64) error) error {
	for n := 0; ; n++ {
		seq, err := l.newest(ctx, subject, known())
		if err != nil {
			return err
		}
		once, stop := context.WithTimeout(ctx, readTime(n))
		err = reads(once, seq)
		stop()
		if err == nil || ctx.Err() != nil || !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
	}
}
