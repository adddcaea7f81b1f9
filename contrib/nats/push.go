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

// queueLimits returns the limits of a queue, and the share of Bytes of one client.
func queueLimits(opts *flow.QueueOptions) (o flow.QueueOptions, share int) {
	if opts != nil {
		o = *opts
	}
	limit := func(v *int, standard int) {
		if *v <= 0 {
			*v = standard
		}
	}
	limit(&o.Len, 10_000)
	limit(&o.Bytes, 256<<20)
	limit(&o.PerClient, max(o.Len/2, 1))
	if o.PerClient >= o.Len {
		o.PerClient = o.Len
		return o, o.Bytes
	}
	return o, int(float64(o.Bytes) * float64(o.PerClient) / float64(o.Len))
}

// Push stores the prompt with one message. The message is refused if the stream has a
// prompt with the same id.
func (q *queue) Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error {
	if err := q.failed(); err != nil {
		return err
	}
	for of, id := range map[string]string{"prompt": p.ID, "client": p.ClientID} {
		if err := checkID(of, id); err != nil {
			return &nodebus.ValidationError{Problem: nodebus.Problem{
				Type: "invalid_id", Message: "The id of the " + of + " cannot be kept", Details: err.Error(), Extra: map[string]any{},
			}}
		}
	}
	x, data, err := q.encode(p, secrets)
	if err != nil {
		return err
	}
	if x.Size > q.share { // to submit it again later would not help
		return &nodebus.ValidationError{Problem: nodebus.Problem{
			Type: "prompt_too_large", Message: "The prompt needs too much memory", Extra: map[string]any{},
			Details: fmt.Sprintf("it takes more than %d bytes, which is all that one client may use of the queue; submit a smaller prompt, or raise QueueOptions.Bytes", q.share),
		}}
	}
	if len(data) > q.parts.bytes {
		return q.pushParts(ctx, x, data)
	}
	return q.push(ctx, x, data)
}

// pushParts stores a prompt that is too large for one message.
func (q *queue) pushParts(ctx context.Context, x *item, data []byte) error {
	long, stop := context.WithTimeoutCause(ctx, largeTime, ErrAway)
	defer stop()
	if err := q.reserve(long, x); err != nil { // many bytes for nothing
		return fmt.Errorf("%w: prompt %q", err, x.ID)
	}
	q.release(x)
	count, err := q.parts.put(long, x.token, x.Name, data)
	if err == nil {
		x.Parts = count
		err = q.push(ctx, x, nil)
	}
	if errors.Is(err, flow.ErrDuplicate) || errors.Is(err, flow.ErrFull) { // otherwise the prompt may be stored
		clean, stop := context.WithTimeout(context.WithoutCancel(ctx), tryTime)
		defer stop()
		_ = q.parts.drop(clean, x.token, x.Name)
	}
	return err
}

// push stores the message of a prompt.
func (q *queue) push(ctx context.Context, x *item, data []byte) error {
	ctx, stop := bounded(ctx)
	defer stop()
	subject, expected := q.subject(x.token, "p"), uint64(0)
	var drop func(context.Context) error
	for {
		if err := q.reserve(ctx, x); errors.Is(err, errPushed) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%w: prompt %q", err, x.ID)
		}
		if expected > 0 {
			if err := drop(ctx); err != nil {
				q.release(x)
				return err
			}
		}
		seq, err := q.store(ctx, subject, &x.meta, data, expected)
		if err == nil {
			q.reservedUpTo(x, seq)
			return nil
		}
		q.release(x)
		if !conflicts(err) {
			return err
		}
		drop = q.leftover.before(x.token)
		_, has, err := q.newest(ctx, subject, expected)
		if err != nil {
			return err
		}
		// If it is a prompt that has left the queue, the new prompt replaces it.
		if has == expected && pause(ctx) != nil {
			return away(ctx, subject)
		}
		expected = has
	}
}

// errPushed means that the stream has the prompt of this Push.
var errPushed = errors.New("nats: the prompt is stored")

// release ends the reservation of a prompt.
func (q *queue) release(x *item) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pushed(x)
	q.change()
}

// reservedUpTo makes the reservation of a prompt end when this process has read up to its
// message. The message itself may never come: another process may have ended the prompt.
func (q *queue) reservedUpTo(x *item, seq uint64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	x.Born = seq
	if q.read >= seq {
		q.pushed(x)
		q.change()
	}
}

// pushed ends the reservation of x, if x has one. q.mu is held.
func (q *queue) pushed(x *item) {
	if x != nil && q.pushing[x.token] == x {
		q.count(x, -1)
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
	if old != nil && q.isGone(ctx, old) { // this process was away for long
		q.forget(old)
		_, err = q.tryReserve(ctx, x)
	}
	return err
}

// tryReserve also returns the prompt that has the id of x.
func (q *queue) tryReserve(ctx context.Context, x *item) (old *item, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.pushing[x.token] != nil && q.err == nil { // another call pushes a prompt with the same id
		if err := q.wait(ctx); err != nil {
			return nil, err
		}
	}
	q.lapse()
	err = q.room(x)
	if err != nil && q.err == nil && q.read < q.stored { // what this process has ended still counts
		if err = q.current(ctx); err == nil {
			err = q.room(x)
		}
	}
	if err != nil {
		return q.byToken[x.token], err
	}
	q.count(x, 1)
	q.pushing[x.token] = x
	return nil, nil
}

// room returns an error if the queue has no room for x. q.mu is held.
func (q *queue) room(x *item) error {
	own, size := q.clients[x.Client], x.Size
	switch old := q.byToken[x.token]; {
	case q.err != nil:
		return q.err
	case old != nil && old.Name == x.Name:
		return errPushed
	case old != nil && old.Lease != "":
		return fmt.Errorf("%w: the prompt runs; choose another id, or submit again when it has ended", flow.ErrDuplicate)
	case old != nil:
		return fmt.Errorf("%w: the prompt waits; choose another id, or delete the waiting prompt", flow.ErrDuplicate)
	case q.all.prompts >= q.opts.Len:
		return fmt.Errorf("%w: %d prompts wait or run; submit again later, or raise QueueOptions.Len", flow.ErrFull, q.all.prompts)
	case own.prompts >= q.opts.PerClient:
		return fmt.Errorf("%w: %d prompts of this client wait or run; submit again when one of them has ended, or raise QueueOptions.PerClient", flow.ErrFull, own.prompts)
	case q.all.bytes+size > q.opts.Bytes:
		return fmt.Errorf("%w: the prompts that wait or run take %d of %d bytes, and this prompt takes %d; submit again later, or raise QueueOptions.Bytes",
			flow.ErrFull, q.all.bytes, q.opts.Bytes, size)
	case own.bytes+size > q.share:
		return fmt.Errorf("%w: the prompts of this client that wait or run take %d of %d bytes, and this prompt takes %d; submit again when one of them has ended, or raise QueueOptions.Bytes",
			flow.ErrFull, own.bytes, q.share, size)
	}
	return nil
}
