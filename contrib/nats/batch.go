package nats

import (
	"context"
	"encoding/binary"
	"errors"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
)

const (
	messageBytes = 1 << 20         // a larger batch is sent in parts
	partsTime    = 2 * time.Minute // a part that takes longer makes its batch begin again
)

// write sends batches until ctx ends.
func (l *eventLog) write(ctx context.Context) {
	var b []byte
	for {
		f := l.next(ctx)
		if f.entries == nil {
			return
		}
		b = append(b[:0], wireFormat)
		for _, e := range f.entries {
			l.beside.send(e)
			b = appendRecord(b, &e.record)
		}
		l.send(ctx, b, f.number)
		if cap(b) > messageBytes {
			b = nil
		}
	}
}

// next waits for events, and makes a batch of them.
func (l *eventLog) next(ctx context.Context) (f batch) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.waiting) == 0 {
		changed := l.changed
		l.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
		}
		l.mu.Lock()
		if ctx.Err() != nil {
			return batch{}
		}
	}
	n, size := 0, 0
	for n < len(l.waiting) && n < maxBatch {
		more := max(l.waiting[n].size(), l.waiting[n].weight) // a preview is sent, too
		if n > 0 && size+more > batchBytes {
			break
		}
		size += more
		n++
	}
	l.batches++
	f = batch{l.batches, l.waiting[:n:n]}
	if l.waiting = l.waiting[n:]; len(l.waiting) == 0 {
		l.waiting = nil // and not the rest of an array that holds what was sent
	}
	l.sent = append(l.sent, f)
	l.change()
	return f
}

// send sends a batch until the stream has stored it, in parts if it is large. Parts of a
// batch follow each other, except for messages of other processes.
func (l *eventLog) send(ctx context.Context, b []byte, number uint64) {
	var told troubles
	for begin := 0; ctx.Err() == nil && !l.has(number); begin++ {
		size := messageBytes
		if most := int(l.bus.nc.MaxPayload()); most > 0 { // of the server that is connected now
			size = max(min(size, most/2), 1<<10)
		}
		of := max(1, (len(b)+size-1)/size)
		last, whole, before := uint64(0), true, time.Now() // before the part before was sent
		for i := 0; i < of && whole; i++ {
			part, began := b[i*size:min((i+1)*size, len(b))], time.Now()
			last, whole = l.sendPart(ctx, part, partName{l.name, number, begin, i + 1, of}.String(), number, &told)
			whole = whole && passed(before) < partsTime // this process may have stood still
			before = began
		}
		if !whole {
			continue
		}
		if of > 1 { // if the clock of the stream has jumped, the readers have forgotten the first parts
			_ = l.until(ctx, func() bool { return l.read >= last })
		}
		if of == 1 || l.has(number) {
			return
		}
	}
}

// sendPart sends a message until the stream has stored it. The reader ignores a message
// that was stored twice, because its acknowledgement was lost. sendPart returns false if
// the reader has the batch, or ctx has ended, or the part is too large for the server, which is
// another one than before.
func (l *eventLog) sendPart(ctx context.Context, b []byte, id string, number uint64, told *troubles) (seq uint64, ok bool) {
	silent := 0 // tries without an answer
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		once, stop := context.WithTimeout(ctx, tryFor(len(b), silent))
		ack, err := ifConnected(l.bus.nc, func(ctx context.Context) (*jetstream.PubAck, error) {
			return l.bus.js.PublishMsg(ctx, &nats.Msg{Subject: l.subject, Data: b}, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
		})(once)
		if once.Err() != nil {
			silent++
		}
		stop()
		if err == nil {
			return ack.Sequence, true
		}
		if ctx.Err() != nil || l.has(number) {
			return 0, false
		}
		if told.tell() {
			l.bus.logger.Warn("nats: events wait, because NATS does not take them; trying again", "stream", l.stream, "max_payload", l.bus.nc.MaxPayload(), "error", err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
		}
		if errors.Is(err, nats.ErrMaxPayload) {
			return 0, false
		}
	}
}

// passed returns the time since t. The monotonic clock may stand while the machine sleeps, and
// the other clock may be set: so it is the larger of both.
func passed(t time.Time) time.Duration {
	return max(time.Since(t), time.Now().Round(0).Sub(t.Round(0)))
}

// has reports whether the reader has a batch of this process: then it is stored, whatever
// became of its acknowledgement.
func (l *eventLog) has(number uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.sent) == 0 || l.sent[0].number > number
}

// receive adds the events of a message to the cache.
func (l *eventLog) receive(m jetstream.Msg, at *jetstream.MsgMetadata) {
	l.cache.SetTime(at.Timestamp)
	number := l.arrive(m, at)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.read, l.readAt = at.Sequence.Stream, time.Now()
	if number > 0 && len(l.sent) > 0 && l.sent[0].number == number {
		for _, e := range l.sent[0].entries {
			l.told++
			l.bytes -= e.weight
			if s := l.prompts[e.promptID]; s != nil && !e.isNote() {
				if s.events--; s.events == 0 {
					delete(l.prompts, e.promptID)
				}
			}
		}
		if l.sent = l.sent[1:]; len(l.sent) == 0 {
			l.sent = nil
		}
	}
	l.change()
}

// arrive does the work of receive. It returns the number of the batch that is whole with
// this message, if this process has sent it; otherwise 0.
func (l *eventLog) arrive(m jetstream.Msg, at *jetstream.MsgMetadata) (number uint64) {
	name, ok := parsePartName(m.Headers().Get(jetstream.MsgIDHeader))
	if !ok {
		l.strange(at, errWire)
		return 0
	}
	data, ok := l.coming.collect(name, m.Data(), at)
	if !ok {
		return 0
	}
	records, err := parseRecords(data)
	if err != nil {
		l.strange(at, err)
	}
	var own []*entry
	if name.publisher == l.name {
		own = l.own(name.batch)
	}
	for i := 0; i < len(records); {
		done := make(chan struct{})
		go func() { // a follower may call runtime.Goexit: that must not end the reader
			defer close(done)
			for i < len(records) {
				r, id, e := &records[i], idOf(at.Sequence.Stream, i), (*entry)(nil)
				if own != nil && i < len(own) {
					e = own[i]
				}
				i++
				_ = nodebus.Protect(func() error { l.apply(r, name.publisher, e, id, at.Timestamp); return nil })
			}
		}()
		<-done
	}
	if own == nil {
		return 0
	}
	return name.batch
}

// strange reports a message that this process cannot read.
func (l *eventLog) strange(at *jetstream.MsgMetadata, err error) {
	l.bus.logger.Error("nats: a message of the log is left out", "stream", l.stream, "sequence", at.Sequence.Stream, "error", err)
}

// own returns the entries of a batch of this process, if it is the oldest that the
// reader has not seen. They need no decoding.
func (l *eventLog) own(number uint64) []*entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.sent) == 0 || l.sent[0].number != number {
		return nil
	}
	return l.sent[0].entries
}

// apply adds a record of a publisher to the cache. own is the entry of the record, if this process
// has sent it.
func (l *eventLog) apply(r *record, by string, own *entry, id uint64, at time.Time) {
	switch r.kind {
	case recordDrop:
		l.ends.forget(r.promptID)
		_ = l.cache.Drop(r.promptID)
		return
	case recordBegins:
		if read, n := binary.Uvarint(r.data); n > 0 {
			l.ends.begins(r.promptID, by, read)
		}
		return
	case recordTaken:
		if lease, n := binary.Uvarint(r.data); n > 0 {
			l.ends.add(end{promptID: r.promptID, attempt: r.attempt, lease: lease, by: by, id: id, at: at})
		}
		return
	case recordMark:
		return
	}
	if l.ends.isLate(r.promptID, r.attempt, by) {
		return
	}
	if own != nil {
		l.tell(own.ev, by, id, at)
		return
	}
	if r.kind == recordPreview {
		data, ok := l.beside.take(string(r.data))
		if !ok {
			return
		}
		r.kind, r.data = recordBinary, data
	}
	ev, err := r.event()
	if err != nil {
		l.bus.logger.Error("nats: an event of the log is left out", "stream", l.stream, "id", id, "error", causes(errWire, err))
		return
	}
	l.tell(ev, by, id, at)
}

// tell adds an event of a publisher to the cache. What comes too late is left out.
func (l *eventLog) tell(ev nodebus.Event, by string, id uint64, at time.Time) {
	ev.ID, ev.Time = id, at
	if l.cache.Add(ev) == nil && ev.PromptID != "" && closes(ev.Payload) {
		l.ends.add(end{promptID: ev.PromptID, attempt: ev.Attempt, by: by, id: id, at: at})
	}
}

// partName is the name of a message of the log: by it, the stream and the readers know what
// they have already.
type partName struct {
	publisher       string
	batch           uint64
	begin, part, of int // how often the batch has begun again; which part of how many
}

func (n partName) String() string {
	text := n.publisher + "-" + strconv.FormatUint(n.batch, 10)
	if n.of == 1 && n.begin == 0 {
		return text
	}
	return text + "-" + strconv.Itoa(n.begin) + "-" + strconv.Itoa(n.part) + "-" + strconv.Itoa(n.of)
}
