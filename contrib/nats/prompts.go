package nats

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/stored"
)

func isLapsed(err error) bool   { return errors.Is(err, flow.ErrLapsed) }
func isNotFound(err error) bool { return errors.Is(err, flow.ErrNotFound) }

// promptStream stores, reads and removes prompts. The subject STREAM.TOKEN.p has a prompt,
// and STREAM.TOKEN.s its state; a large prompt has parts. It keeps nothing in memory.
type promptStream struct {
	way    *way
	stream jetstream.Stream
	from   *leader
	known  func() uint64 // returns the newest message that this process knows
	name   string
	parts  partStore
	sealer *stored.Sealer
}

// openPrompts opens the stream of the queue.
func (b *Bus) openPrompts(ctx context.Context) (*promptStream, error) {
	name := b.streamName("QUEUE")
	// Direct reads are not allowed: a replica that lags would say that a message is not there.
	stream, err := b.openStream(ctx, "QUEUE", jetstream.StreamConfig{
		Subjects: []string{name + ".*.p", name + ".*.s", partSubjects(name)}, MaxMsgsPerSubject: 1, AllowMsgTTL: true,
	})
	if err != nil {
		return nil, err
	}
	from := newLeader(b.way, stream)
	return &promptStream{way: b.way, stream: stream, from: from, name: name, parts: newParts(from), sealer: b.sealer}, nil
}

func (s *promptStream) subject(token, kind string) string { return s.name + "." + token + "." + kind }

// store stores a message if its subject still has the message expected, and returns the
// sequence.
func (s *promptStream) store(ctx context.Context, subject string, x *meta, data []byte, expected uint64) (uint64, error) {
	m, err := message(subject, x, data, false) // see expire
	if err != nil {
		return 0, err
	}
	opts := []jetstream.PublishOpt{jetstream.WithExpectLastSequencePerSubject(expected)}
	if x.Born == 0 { // a prompt: the stream stores the one of this Push once, however often it is sent
		opts = append(opts, jetstream.WithMsgID(x.Name))
	}
	return s.way.publish(ctx, m, opts...)
}

// newest returns the header and the sequence of the message that a subject has. The
// sequence is 0 if there is none. This process knows that the subject had the message own,
// or 0.
func (s *promptStream) newest(ctx context.Context, subject string, own uint64) (x meta, seq uint64, err error) {
	bytes := 0
	if strings.HasSuffix(subject, ".s") { // a state has no data
		bytes = 1
	}
	m, err := s.from.last(ctx, subject, own, s.known(), bytes)
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return x, 0, nil
	case err != nil:
		return x, 0, fmt.Errorf("nats: reading %s: %w", subject, err)
	}
	if err := json.Unmarshal([]byte(m.Header.Get(metaKey)), &x); err != nil {
		return x, 0, fmt.Errorf("nats: the header of %s: %w", subject, err)
	}
	return x, m.Sequence, nil
}

// lives reports whether a prompt that the stream has is in the queue. The stream may also
// have a prompt that has left the queue, until it is removed: then its state says so.
func (s *promptStream) lives(ctx context.Context, token string, born uint64) (bool, error) {
	x, seq, err := s.newest(ctx, s.subject(token, "s"), s.known())
	return seq == 0 || x.Born != born || !x.Gone, err
}

// replace replaces the state of x, and returns the sequence of the new state. If somebody
// else has changed the state, it returns the sequence of that state and [flow.ErrLapsed].
//
// A stream with replicas also refuses a message while it works on another one of the same
// subject, for example on the last one of this process. So a refusal is no proof: the
// subject is.
func (s *promptStream) replace(ctx context.Context, x *item, next meta) (uint64, error) {
	next.ID, next.Client, next.Size, next.Sealed, next.Name, next.Parts, next.Born = x.ID, x.Client, x.Size, x.Sealed, x.Name, x.Parts, x.Born
	if next.By == "" {
		next.By = rand.Text()
	}
	subject, expected := s.subject(x.token, "s"), x.state
	for {
		seq, err := s.store(ctx, subject, &next, nil, expected)
		if !conflicts(err) {
			return seq, err
		}
		now, has, err := s.newest(ctx, subject, expected)
		own := now.By == next.By && now.Born == next.Born
		switch {
		case err != nil:
			return 0, err
		case has == expected:
			if pause(ctx) != nil {
				return 0, away(ctx, subject)
			}
		case x.state == 0 && now.Born < x.Born: // the state of a prompt that had the id before
			expected = has
		case own && stands(&now, &next, x.Lease): // the acknowledgement was lost
			return has, nil
		case own && now.Lease != "" && !now.Gone: // an earlier change of the same lease
			expected = has
		default:
			return has, flow.ErrLapsed
		}
	}
}

// stands reports whether a stored state says what next says. An extension is stored again:
// it counts from now. was is the lease before.
func stands(now, next *meta, was string) bool {
	if now.Gone || next.Gone {
		return now.Gone && next.Gone
	}
	return now.Lease == next.Lease && (next.Lease == "" || next.Lease != was)
}

// away returns the error of a change that NATS has not answered in time.
func away(ctx context.Context, subject string) error {
	return fmt.Errorf("nats: %s is not stored: %w", subject, unanswered(ctx))
}

// body is a prompt as the stream has it.
type body struct {
	prompt *nodebus.Prompt
	sealed []byte
}

// nameOnly returns what the header says of a prompt.
func nameOnly(x *item) *body {
	return &body{prompt: &nodebus.Prompt{ID: x.ID, ClientID: x.Client, Priority: x.Priority}}
}

// errUnreadable means that this process cannot read a prompt.
var errUnreadable = errors.New("nats: the prompt cannot be read")

// encode returns the message of a prompt: its encrypted secrets, and its JSON. The list of
// inputs keeps its order, because Prompt encodes itself.
func (s *promptStream) encode(p *nodebus.Prompt, secrets map[string]string) (*item, []byte, error) {
	sealed, err := s.seal(p.ID, secrets)
	if err != nil {
		return nil, nil, err
	}
	var text []byte
	err = nodebus.Protect(func() (err error) { text, err = json.Marshal(p); return err })
	if err == nil && !stored.IsPlain(p) { // values with methods of their own
		err = nodebus.Protect(func() error { return json.Unmarshal(text, &nodebus.Prompt{}) })
	}
	if err != nil {
		return nil, nil, fmt.Errorf("nats: prompt %q has no JSON that can be read again; submit values that have: %w", p.ID, err)
	}
	x := &item{token: token(p.ID), meta: meta{
		ID: p.ID, Client: p.ClientID, Priority: p.Priority, Size: len(sealed) + len(text), Sealed: len(sealed), Name: rand.Text(), Deadline: p.Policy.Deadline,
	}}
	return x, append(sealed, text...), nil
}

// fetch returns a prompt. It returns [flow.ErrNotFound] if the prompt has left the queue. With
// errUnreadable, it returns what the header says.
func (s *promptStream) fetch(ctx context.Context, x *item) (*body, error) {
	if !x.isWhole() { // no process of ours stores this
		return nameOnly(x), s.unreadable(x, errors.New("its header has a size that cannot be"))
	}
	m, err := s.from.get(ctx, s.subject(x.token, "p"), x.Born, inMessage(x.Size, x.Parts))
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return nil, notWaiting(x.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("nats: reading prompt %q: %w", x.ID, err)
	}
	data := m.Data
	if x.Parts > 0 {
		data, err = s.parts.get(ctx, x.token, x.Name, x.Parts, x.Born)
	}
	switch {
	case errors.Is(err, errNoPart) && s.isGone(ctx, x):
		return nil, notWaiting(x.ID)
	case errors.Is(err, errNoPart):
		return nameOnly(x), s.unreadable(x, err)
	case err != nil:
		return nil, err
	case len(data) != x.Size:
		return nameOnly(x), s.unreadable(x, fmt.Errorf("it has %d bytes instead of %d", len(data), x.Size))
	}
	b := &body{prompt: &nodebus.Prompt{}, sealed: data[:x.Sealed]}
	if err := json.Unmarshal(data[x.Sealed:], b.prompt); err != nil {
		return nameOnly(x), s.unreadable(x, err)
	}
	b.prompt.Priority = x.Priority
	return b, nil
}

func (s *promptStream) unreadable(x *item, err error) error {
	return &StreamError{Stream: s.name, Reason: errUnreadable, Detail: fmt.Sprintf("prompt %q; delete it, and submit it again", x.ID), Err: err}
}

// isGone reports whether the stream does not have a prompt any more.
func (s *promptStream) isGone(ctx context.Context, x *item) bool {
	_, err := s.from.get(ctx, s.subject(x.token, "p"), x.Born, inMessage(x.Size, x.Parts))
	return errors.Is(err, jetstream.ErrMsgNotFound)
}

// remove removes a prompt that has left the queue, and its parts. It removes no newer
// prompt and no other id, whatever the stream has at that place. Until then, its state stays:
// without it, the prompt would wait again.
func (s *promptStream) remove(ctx context.Context, x *item) error {
	err := s.stream.Purge(ctx, jetstream.WithPurgeSubject(s.subject(x.token, "p")), jetstream.WithPurgeSequence(x.Born+1))
	if err == nil && x.Parts > 0 {
		err = s.parts.drop(ctx, x.token, x.Name)
	}
	if err == nil {
		err = s.expire(ctx, x)
	}
	return err
}

// expire makes the state of x expire, which says that x has left the queue. Other processes have
// goneTime to read it.
func (s *promptStream) expire(ctx context.Context, x *item) error {
	subject, gone := s.subject(x.token, "s"), x.meta
	gone.Gone = true
	for {
		m, err := message(subject, &gone, nil, true)
		if err != nil {
			return err
		}
		_, err = s.way.publish(ctx, m, jetstream.WithExpectLastSequencePerSubject(x.state))
		if !conflicts(err) {
			return err
		}
		_, seq, err := s.newest(ctx, subject, x.state)
		switch {
		case err != nil || seq != x.state: // it expires already, or a newer prompt has a state
			return err
		case pause(ctx) != nil:
			return away(ctx, subject)
		}
	}
}
