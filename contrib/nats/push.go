package nats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// largeTime is how long Push may take to store the parts of a large prompt. It is shorter
// than the time after which parts without a prompt are removed, see orphanSweeps.
const largeTime = 5 * time.Minute

// limits are the limits of a queue.
type limits struct {
	flow.QueueOptions
	share int // the maximum bytes of the prompts of one client
}

// newLimits returns the limits, with defaults.
func newLimits(opts *flow.QueueOptions) (l limits) {
	if opts != nil {
		l.QueueOptions = *opts
	}
	l.Len, l.Bytes = positive(l.Len, 10_000), positive(l.Bytes, 256<<20)
	l.PerClient = min(positive(l.PerClient, max(l.Len/2, 1)), l.Len)
	l.share = l.Bytes
	if l.PerClient < l.Len {
		l.share = int(float64(l.Bytes) * float64(l.PerClient) / float64(l.Len))
	}
	return l
}

// Push stores the prompt with one message. The message is refused if the stream has a
// prompt with the same id.
func (q *queue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	for of, id := range map[string]string{"prompt": p.ID, "client": p.ClientID} {
		if err := checkID(of, id); err != nil {
			return &nodebus.ValidationError{Problem: nodebus.Problem{
				Type: "invalid_id", Message: "The id of the " + of + " cannot be kept", Details: err.Error(), Extra: map[string]any{},
			}}
		}
	}
	x, data, err := q.prompts.encode(p, secrets)
	if err != nil {
		return err
	}
	if x.Size > q.limits.share { // to submit it again later would not help
		return &nodebus.ValidationError{Problem: nodebus.Problem{
			Type: "prompt_too_large", Message: "The prompt needs too much memory", Extra: map[string]any{},
			Details: fmt.Sprintf("it takes more than %d bytes, which is all that one client may use of the queue; submit a smaller prompt, or raise QueueOptions.Bytes", q.limits.share),
		}}
	}
	large := len(data) > q.prompts.parts.bytes()
	if large {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeoutCause(ctx, largeTime, ErrAway)
		defer stop()
	}
	ctx, stop, err := q.begin(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if large {
		return q.pushParts(ctx, x, data)
	}
	return q.push(ctx, x, data)
}

// pushParts stores a prompt that is too large for one message.
func (q *queue) pushParts(ctx context.Context, x *item, data []byte) error {
	if err := q.reserve(ctx, x); err != nil { // no parts are stored for a prompt that is refused
		return fmt.Errorf("%w: prompt %q", err, x.ID)
	}
	q.release(x)
	count, err := q.prompts.parts.put(ctx, x.token, x.Name, data)
	if err == nil {
		x.Parts = count
		err = q.push(ctx, x, nil)
	}
	if errors.Is(err, flow.ErrDuplicate) || errors.Is(err, flow.ErrFull) { // otherwise the prompt may be stored
		clean, stop := context.WithTimeout(context.WithoutCancel(ctx), tryTime)
		defer stop()
		_ = q.prompts.parts.drop(clean, x.token, x.Name)
	}
	return err
}

// push stores the message of a prompt.
func (q *queue) push(ctx context.Context, x *item, data []byte) error {
	subject, expected := q.prompts.subject(x.token, "p"), uint64(0)
	var drop func(context.Context) error
	for {
		if err := q.reserve(ctx, x); errors.Is(err, errPushed) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: prompt %q", err, x.ID)
		}
		if expected > 0 { // a prompt that has left the queue
			if err := drop(ctx); err != nil {
				q.release(x)
				return err
			}
		}
		seq, err := q.prompts.store(ctx, subject, &x.meta, data, expected)
		if err == nil {
			q.reservedUpTo(x, seq)
			return nil
		}
		q.release(x)
		if !conflicts(err) {
			return err
		}
		drop = q.leftover.before(x.token)
		was := expected
		if expected, err = q.replaceable(ctx, x); errors.Is(err, errPushed) {
			return nil
		} else if err != nil {
			return err
		}
		if expected == was && pause(ctx) != nil {
			return away(ctx, subject)
		}
	}
}

// replaceable returns the sequence of the prompt that the stream has under the id of x, if
// the prompt has left the queue and x may replace it; and 0 if there is none. The stream
// decides: this process may not have read what others have stored.
func (q *queue) replaceable(ctx context.Context, x *item) (uint64, error) {
	old, seq, err := q.prompts.newest(ctx, q.prompts.subject(x.token, "p"), 0)
	switch {
	case err != nil || seq == 0:
		return 0, err
	case old.Name == x.Name: // the acknowledgement was lost
		q.changes(seq)
		return 0, errPushed
	}
	lives, err := q.prompts.lives(ctx, x.token, seq)
	if lives && err == nil {
		err = fmt.Errorf("%w: the queue has a prompt with this id; choose another id, or submit again when the prompt has ended: prompt %q", flow.ErrDuplicate, x.ID)
	}
	return seq, err
}

// errPushed means that the stream has the prompt of this Push.
var errPushed = errors.New("nats: the prompt is stored")

// release ends the reservation of a prompt.
func (q *queue) release(x *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pushed(x)
	q.wake()
}

// reservedUpTo makes the reservation of a prompt end when this process has read up to its
// message. The message itself may never come: another process may have ended the prompt.
func (q *queue) reservedUpTo(x *item, seq uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.knows(seq)
	x.Born = seq
	if read, _ := q.now(); read >= seq {
		q.pushed(x)
		q.wake()
	}
}

// pushed ends the reservation of x, if x has one. q.mu is held.
func (q *queue) pushed(x *item) {
	if x != nil && q.pushing[x.token] == x {
		q.index.count(x, -1)
		delete(q.pushing, x.token)
	}
}

// settle ends the reservations of prompts whose messages are read. q.mu is held.
func (q *queue) settle(read uint64) {
	for _, x := range q.pushing {
		if x.Born > 0 && x.Born <= read {
			q.pushed(x)
		}
	}
}

// reserve counts x if the queue has room for it. Before it refuses, it makes sure that what
// this process knows is true.
func (q *queue) reserve(ctx context.Context, x *item) error {
	old, err := q.tryReserve(ctx, x)
	if old != nil && q.prompts.isGone(ctx, old) { // this process was away for long
		q.forget(old)
		_, err = q.tryReserve(ctx, x)
	}
	return err
}

// tryReserve also returns the prompt that has the id of x.
func (q *queue) tryReserve(ctx context.Context, x *item) (old *item, err error) {
	for {
		read, changed := q.now()
		q.mu.Lock()
		busy := q.pushing[x.token] != nil // another call pushes a prompt with the same id
		if !busy {
			q.index.lapse()
			old, err = q.index.byToken[x.token], q.room(x)
		}
		if !busy && err == nil {
			q.index.count(x, 1)
			q.pushing[x.token] = x
		}
		behind := read < q.hasStored() // what this process has ended may still count
		q.mu.Unlock()
		switch {
		case busy:
			err = q.waitChange(ctx, changed)
		case err == nil:
			return nil, nil
		case !behind:
			return old, err
		default:
			err = q.hasOwn(ctx)
		}
		if err != nil {
			return nil, err
		}
	}
}

// room returns an error if the queue has no room for x. q.mu is held.
func (q *queue) room(x *item) error {
	all, own, size := q.index.all, q.index.clients[x.Client], x.Size
	switch old := q.index.byToken[x.token]; {
	case old != nil && old.Name == x.Name:
		return errPushed
	case old != nil && old.Lease != "":
		return fmt.Errorf("%w: the prompt runs; choose another id, or submit again when it has ended", flow.ErrDuplicate)
	case old != nil:
		return fmt.Errorf("%w: the prompt waits; choose another id, or delete the waiting prompt", flow.ErrDuplicate)
	case all.prompts >= q.limits.Len:
		return fmt.Errorf("%w: %d prompts wait or run; submit again later, or raise QueueOptions.Len", flow.ErrFull, all.prompts)
	case own.prompts >= q.limits.PerClient:
		return fmt.Errorf("%w: %d prompts of this client wait or run; submit again when one of them has ended, or raise QueueOptions.PerClient", flow.ErrFull, own.prompts)
	case all.bytes+size > q.limits.Bytes:
		return fmt.Errorf("%w: the prompts that wait or run take %d of %d bytes, and this prompt takes %d; submit again later, or raise QueueOptions.Bytes",
			flow.ErrFull, all.bytes, q.limits.Bytes, size)
	case own.bytes+size > q.limits.share:
		return fmt.Errorf("%w: the prompts of this client that wait or run take %d of %d bytes, and this prompt takes %d; submit again when one of them has ended, or raise QueueOptions.Bytes",
			flow.ErrFull, own.bytes, q.limits.share, size)
	}
	return nil
}
