package nats

import (
	"maps"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// forgetTime is how long the readers keep a part if no other part follows it, by the clock
// of the stream: its process was killed. A process that lives has begun the batch again by
// then, see partsTime.
const forgetTime = 10 * time.Minute

// publisherTime is how long the readers know a publisher after its newest message, by the clock
// of the stream. Each life of a process is another publisher.
const publisherTime = 24 * time.Hour

// partsBytes is more than the largest event takes in a message.
const partsBytes = eventBytes + 1<<10

// arrivals is what the reader knows about the batches of all processes. All readers
// decide in the same way which messages they ignore.
type arrivals struct {
	mu     sync.Mutex // the reader writes; trim reads
	seen   map[string]*publisher
	partly map[string]*parts // the batches that are not whole, by publisher
	spans  []span            // the batches of several messages, in the order of the stream
	orphan uint64            // the newest message that ends a batch whose beginning the stream does not have
}

// publisher is what has come of a publisher.
type publisher struct {
	whole uint64    // the newest batch that is whole
	begun uint64    // the newest batch whose first part has come
	at    time.Time // of the newest message
}

// parts are the first parts of a batch.
type parts struct {
	name  partName // of the newest part
	first uint64   // the sequence of the first part
	at    time.Time
	data  []byte
}

// span is the place of a batch of several messages.
type span struct{ first, last uint64 }

func (a *arrivals) set() {
	a.seen, a.partly = map[string]*publisher{}, map[string]*parts{}
}

// collect returns the data of a batch when its last part has come. It returns false
// before, and for parts that came before.
func (a *arrivals) collect(name partName, data []byte, at *jetstream.MsgMetadata) ([]byte, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for publisher, p := range a.partly {
		if at.Timestamp.Sub(p.at) > forgetTime {
			delete(a.partly, publisher)
		}
	}
	from := a.publisher(name.publisher, at.Timestamp)
	if name.batch <= from.whole {
		return nil, false
	}
	if name.of > 1 {
		var first uint64
		if data, first = a.join(from, name, data, at); data == nil {
			return nil, false
		}
		a.spans = append(a.spans, span{first, at.Sequence.Stream})
	}
	delete(a.partly, name.publisher)
	from.whole = name.batch
	return data, true
}

// publisher returns a publisher that has sent a message at some time. It forgets others. a.mu
// is held.
func (a *arrivals) publisher(name string, at time.Time) *publisher {
	p := a.seen[name]
	if p == nil {
		maps.DeleteFunc(a.seen, func(_ string, p *publisher) bool { return at.Sub(p.at) > publisherTime })
		p = &publisher{}
		a.seen[name] = p
	}
	p.at = at
	return p
}

// join adds a part to the parts before. With the last part, it returns the whole and the
// sequence of its first part. a.mu is held.
func (a *arrivals) join(from *publisher, name partName, data []byte, at *jetstream.MsgMetadata) ([]byte, uint64) {
	p := a.partly[name.publisher]
	switch {
	case name.part == 1:
		p = &parts{first: at.Sequence.Stream}
		a.partly[name.publisher], from.begun = p, max(from.begun, name.batch)
	case p == nil || p.name.batch != name.batch || p.name.begin != name.begin || p.name.part != name.part-1:
		if name.part == name.of && name.batch > from.begun {
			a.orphan = at.Sequence.Stream
		}
		return nil, 0
	}
	if len(p.data)+len(data) > partsBytes { // no process of ours sends this
		delete(a.partly, name.publisher)
		return nil, 0
	}
	p.name, p.at, p.data = name, at.Timestamp, append(p.data, data...)
	if name.part < name.of {
		return nil, 0
	}
	return p.data, p.first
}

// newestOrphan returns orphan.
func (a *arrivals) newestOrphan() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.orphan
}

// from returns the first message that is needed for the event in message seq.
func (a *arrivals) from(seq uint64) uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	for len(a.spans) > 0 && a.spans[0].last < seq {
		a.spans = a.spans[1:]
	}
	for _, s := range a.spans {
		seq = min(seq, s.first)
	}
	for _, p := range a.partly {
		seq = min(seq, p.first)
	}
	return seq
}

// parsePartName parses what String of partName returns.
func parsePartName(text string) (n partName, ok bool) {
	words := strings.Split(text, "-")
	if len(words) != 2 && len(words) != 5 || words[0] == "" {
		return n, false
	}
	n.publisher, n.part, n.of = words[0], 1, 1
	var err error
	if n.batch, err = strconv.ParseUint(words[1], 10, 64); err != nil || n.batch == 0 {
		return n, false
	}
	for i, v := range []*int{&n.begin, &n.part, &n.of} {
		if len(words) == 2 {
			break
		}
		if *v, err = strconv.Atoi(words[2+i]); err != nil {
			return n, false
		}
	}
	return n, n.begin >= 0 && n.part >= 1 && n.part <= n.of
}
