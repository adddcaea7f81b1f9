package nats

import (
	"context"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
)

// Trim trims the stream of a log as if it were a later time.
func Trim(ctx context.Context, l nodebus.Log, later time.Duration) error {
	return l.(*eventLog).trim(ctx, time.Now().Add(later))
}

// Flush waits until the events of a log are stored.
func Flush(ctx context.Context, l nodebus.Log) error { return l.(*eventLog).Flush(ctx) }

// TrimAfter is the time after which messages that nobody needs may be trimmed.
func TrimAfter(retain time.Duration) time.Duration { return retain + trimMargin }

// Record is a record of a message of the log.
type Record struct {
	Kind         byte
	PromptID, To string
	Attempt      int
	Data         []byte
}

// AppendBatch returns the bytes of a message of the log.
func AppendBatch(all ...Record) []byte {
	b := []byte{wireFormat}
	for _, r := range all {
		b = appendRecord(b, &record{r.Kind, r.PromptID, r.To, r.Attempt, r.Data})
	}
	return b
}

// ParseBatch returns the records of a message of the log.
func ParseBatch(b []byte) (all []Record, err error) {
	records, err := parseRecords(b)
	for _, r := range records {
		all = append(all, Record{r.kind, r.promptID, r.to, r.attempt, r.data})
	}
	return all, err
}

// EventOf returns the event of a record.
func EventOf(r Record) (nodebus.Event, error) {
	return (&record{r.Kind, r.PromptID, r.To, r.Attempt, r.Data}).event()
}

// PartName returns the parts of the name of a message, and the name that they make.
func PartName(text string) (publisher string, batch uint64, part, of int, again string, ok bool) {
	n, ok := parsePartName(text)
	return n.publisher, n.batch, n.part, n.of, n.String(), ok
}

// Arrivals collects the messages of a log.
type Arrivals struct{ a arrivals }

// NewArrivals returns a collector of messages.
func NewArrivals() *Arrivals {
	a := &Arrivals{}
	a.a.set()
	return a
}

// Collect takes a message with a name, a sequence and a time. It returns the batch that is
// whole with this message.
func (a *Arrivals) Collect(name, data string, seq uint64, at time.Time) (string, bool) {
	n, ok := parsePartName(name)
	if !ok {
		return "", false
	}
	whole, ok := a.a.collect(n, []byte(data), &jetstream.MsgMetadata{Sequence: jetstream.SequencePair{Stream: seq}, Timestamp: at})
	return string(whole), ok
}

// From returns the first message that is needed for the event in message seq.
func (a *Arrivals) From(seq uint64) uint64 { return a.a.from(seq) }

// Orphan returns the newest message that ends a batch without a beginning.
func (a *Arrivals) Orphan() uint64 { return a.a.newestOrphan() }

// Publishers returns the number of the publishers that are known.
func (a *Arrivals) Publishers() int { return len(a.a.seen) }

// Bytes returns the size of the parts whose batch is not whole.
func (a *Arrivals) Bytes() (n int) {
	for _, p := range a.a.partly {
		n += len(p.data)
	}
	return n
}

// AwaitSending waits until the writer of the log sends all that waits.
func AwaitSending(b *Bus) {
	_ = b.log.until(context.Background(), func() bool { return len(b.log.waiting) == 0 })
}

// StopReading ends the reader of a part, as if its consumer did not deliver.
func StopReading(b *Bus, part string) {
	switch part {
	case "LOG":
		b.log.reading.close()
	case "QUEUE":
		b.queue.(*queue).reader.close()
	case "STORE":
		b.store.(*recordStore).reader.close()
	case "SIGNALS":
		b.signals.(*signals).reader.close()
	}
}

// EndLog ends the log of a bus.
func EndLog(b *Bus, err error) { b.log.fail(err) }

// CatchUpLog waits until a log has read what any process has stored.
func CatchUpLog(ctx context.Context, l nodebus.Log) error { return l.(*eventLog).catchUp(ctx) }

// Previews are the previews that have come.
type Previews struct{ p previews }

// NewPreviews returns previews without a connection.
func NewPreviews() *Previews {
	p := &Previews{previews{data: map[string][]byte{}, came: make(chan struct{})}}
	p.p.live.Store(true)
	return p
}

// Take takes a preview, and returns how long it has waited.
func (p *Previews) Take(name string) (time.Duration, bool) {
	began := time.Now()
	_, ok := p.p.take(name)
	return time.Since(began), ok
}

// Keep keeps a preview that has come.
func (p *Previews) Keep(m *nats.Msg) { p.p.keep(m) }

// PreviewName is the header with the name of a preview.
const PreviewName = nameKey

// IsOld reports whether a server is too old.
func IsOld(version string) bool { return isOld(version) }

// SetLostTime changes how long a connection is lost until the loggers learn it, and returns a
// function that changes it back.
func SetLostTime(d time.Duration) (back func()) {
	before := lostTime
	lostTime = d
	return func() { lostTime = before }
}

// SetAwayTime changes how long a call without a deadline waits for NATS.
func SetAwayTime(d time.Duration) { awayTime = d }

// AnyBytes is the size of an answer that may be large.
const AnyBytes = anyBytes

// Taken says in the log that a process has taken a prompt.
func Taken(b *Bus, promptID string, attempt int, lease uint64) { b.taken(promptID, attempt, lease) }

// Ends are the attempts that are over.
type Ends struct{ e ends }

// Add says that the attempts before attempt are over; lease is 0 if the prompt has ended.
func (x *Ends) Add(promptID string, attempt int, lease uint64, by string, id uint64, at time.Time) {
	x.e.add(end{promptID: promptID, attempt: attempt, lease: lease, by: by, id: id, at: at})
}

// Begins says that a publisher that has read the event id begins a prompt.
func (x *Ends) Begins(promptID, by string, id uint64) { x.e.begins(promptID, by, id) }

// IsLate reports whether an attempt is over for a publisher.
func (x *Ends) IsLate(id string, attempt int, by string) bool { return x.e.isLate(id, attempt, by) }

// Len returns the number of ends that are known.
func (x *Ends) Len() int { return len(x.e.known) }

// AwaitQueued waits until an event waits for room.
func AwaitQueued(b *Bus) {
	for {
		b.log.mu.Lock()
		n := b.log.queued
		b.log.mu.Unlock()
		if n > 0 {
			return
		}
		time.Sleep(time.Millisecond)
	}
}
