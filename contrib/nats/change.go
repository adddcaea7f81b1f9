package nats

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

func isLapsed(err error) bool   { return errors.Is(err, flow.ErrLapsed) }
func isNotFound(err error) bool { return errors.Is(err, flow.ErrNotFound) }

func (q *queue) subject(token, kind string) string { return q.name + "." + token + "." + kind }

// store stores a message if its subject still has the message expected, and returns the
// sequence.
func (q *queue) store(ctx context.Context, subject string, x *meta, data []byte, expected uint64) (uint64, error) {
	m, err := message(subject, x, data, x.Gone)
	if err != nil {
		return 0, err
	}
	seq, err := publish(ctx, q.js, m, jetstream.WithExpectLastSequencePerSubject(expected))
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stored = max(q.stored, seq)
	return seq, err
}

// newest returns the header and the sequence of the message that a subject has, and waits
// until this process has read it. The sequence is 0 if there is none. The subject had the
// message own, or 0.
func (q *queue) newest(ctx context.Context, subject string, own uint64) (x meta, seq uint64, err error) {
	m, err := q.from.last(ctx, subject, own, q.known())
	switch {
	case errors.Is(err, jetstream.ErrMsgNotFound):
		return x, 0, nil
	case err != nil:
		return x, 0, fmt.Errorf("nats: reading %s: %w", subject, err)
	}
	if err := json.Unmarshal([]byte(m.Header.Get(metaKey)), &x); err != nil {
		return x, 0, fmt.Errorf("nats: the header of %s: %w", subject, err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	// A message that is replaced before it is read never comes. The next one does.
	once, stop := context.WithTimeout(ctx, tryTime)
	defer stop()
	if err := q.reads(once, m.Sequence); err != nil && (ctx.Err() != nil || q.err != nil) {
		return x, 0, err
	}
	return x, m.Sequence, nil
}

// replace replaces the state of x. It returns [flow.ErrLapsed] if somebody else has
// changed the state.
//
// A stream with replicas also refuses a message while it works on another one of the same
// subject, for example on the last one of this process. So a refusal is no proof: the
// subject is.
func (q *queue) replace(ctx context.Context, x *item, next meta) (uint64, error) {
	next.ID, next.Client, next.Size, next.Sealed, next.Name, next.Parts, next.Born = x.ID, x.Client, x.Size, x.Sealed, x.Name, x.Parts, x.Born
	if next.By == "" {
		next.By = rand.Text()
	}
	subject, expected := q.subject(x.token, "s"), x.state
	for {
		seq, err := q.store(ctx, subject, &next, nil, expected)
		if !conflicts(err) {
			return seq, err
		}
		now, has, err := q.newest(ctx, subject, expected)
		own := now.By == next.By && now.Born == next.Born
		switch {
		case err != nil:
			return 0, err
		case has == expected:
			if pause(ctx) != nil {
				return 0, away(ctx, subject)
			}
		case x.state == 0 && has < x.Born: // the state of a prompt that had the id before
			expected = has
		case own && stands(&now, &next, x.Lease): // the acknowledgement was lost
			return has, nil
		case own && now.Lease != "" && !now.Gone: // an earlier change of the same lease
			expected = has
		default:
			return 0, flow.ErrLapsed
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
	return fmt.Errorf("nats: %s is not stored: %w: %w", subject, ErrAway, context.Cause(ctx))
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
func (q *queue) encode(p *nodebus.Prompt, secrets map[string]string) (*item, []byte, error) {
	sealed, err := q.sealer.seal(p.ID, secrets)
	if err != nil {
		return nil, nil, err
	}
	var text []byte
	err = nodebus.Protect(func() (err error) { text, err = json.Marshal(p); return err })
	if err == nil && !isPlain(p) { // values with methods of their own
		err = nodebus.Protect(func() error { return json.Unmarshal(text, &nodebus.Prompt{}) })
	}
	if err != nil {
		return nil, nil, fmt.Errorf("nats: prompt %q has no JSON that can be read again; submit values that have: %w", p.ID, err)
	}
	x := &item{token: token(p.ID), meta: meta{
		ID: p.ID, Client: p.ClientID, Priority: p.Priority, Size: len(sealed) + len(text), Sealed: len(sealed), Name: rand.Text(),
	}}
	return x, append(sealed, text...), nil
}

// fetch returns a prompt. It returns [flow.ErrNotFound] if the prompt has left the queue. With
// errUnreadable, it returns what the header says.
func (q *queue) fetch(ctx context.Context, x *item) (*body, error) {
	m, err := q.from.get(ctx, q.subject(x.token, "p"), x.Born)
	if errors.Is(err, jetstream.ErrMsgNotFound) { // its end was not read, because this process was away for long
		q.forget(x)
		return nil, notWaiting(x.ID)
	}
	if err != nil {
		return nil, fmt.Errorf("nats: reading prompt %q: %w", x.ID, err)
	}
	data := m.Data
	if x.Parts > 0 {
		data, err = q.parts.get(ctx, x.token, x.Name, x.Parts, x.Born)
	}
	switch {
	case errors.Is(err, errNoPart) && q.isGone(ctx, x):
		return nil, notWaiting(x.ID)
	case errors.Is(err, errNoPart):
		return nameOnly(x), q.unreadable(x, err)
	case err != nil:
		return nil, err
	case len(data) != x.Size || x.Sealed > len(data):
		return nameOnly(x), q.unreadable(x, fmt.Errorf("it has %d bytes instead of %d", len(data), x.Size))
	}
	b := &body{prompt: &nodebus.Prompt{}, sealed: data[:x.Sealed]}
	if err := json.Unmarshal(data[x.Sealed:], b.prompt); err != nil {
		return nameOnly(x), q.unreadable(x, err)
	}
	b.prompt.Priority = x.Priority
	return b, nil
}

func (q *queue) unreadable(x *item, err error) error {
	return &StreamError{Stream: q.name, Reason: errUnreadable, Detail: fmt.Sprintf("prompt %q; delete it, and submit it again", x.ID), Err: err}
}

// isGone reports whether the stream does not have a prompt any more.
func (q *queue) isGone(ctx context.Context, x *item) bool {
	_, err := q.from.get(ctx, q.subject(x.token, "p"), x.Born)
	return errors.Is(err, jetstream.ErrMsgNotFound)
}

// forget removes a prompt from the index that the stream does not have.
func (q *queue) forget(x *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if now := q.byToken[x.token]; now != nil && now.Born == x.Born {
		q.remove(now)
		q.change()
	}
}
