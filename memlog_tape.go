package nodebus

import (
	"encoding/binary"
	"iter"
	"time"
)

// tape keeps [Executing] events of one prompt as bytes. A graph of small nodes publishes
// mostly these events, and the garbage collector does not look into bytes. All events of
// a tape have the address of their source, and name a running node.
type tape struct {
	blocks []tapeBlock
	n      int // number of events
	bytes  int // size of the events
}

// tapeBlock holds events one after the other. Each event consists of: the difference of
// the ID and of the time to the event before it, as varints; the unique id with its
// length; and the display id with its length, if it is another id.
type tapeBlock struct {
	data     []byte
	id       uint64 // the first event's differences are to these
	at       int64
	lastID   uint64 // of the newest event
	lastTime int64
}

// tapeBlockLen is the size at which a new block begins. A client that reconnects reads a
// block from its start.
const tapeBlockLen = 4 << 10

// tapeRecord is one event of a tape.
type tapeRecord struct {
	id      uint64
	at      int64
	unique  []byte
	display []byte
}

// takes reports whether the tape of the source can keep ev.
func (p *source) takes(ev *Event) bool {
	e, ok := ev.Payload.(Executing)
	return ok && e.UniqueID != "" && p.place != nil && e.PromptID == ev.PromptID && p.addr.to == ev.To && p.addr.attempt == ev.Attempt
}

// add appends an event and returns the bytes that it uses.
func (t *tape) add(id uint64, at int64, e Executing) int {
	if n := len(t.blocks); n == 0 || len(t.blocks[n-1].data) >= tapeBlockLen {
		t.blocks = append(t.blocks, tapeBlock{id: id, at: at, lastID: id, lastTime: at})
	}
	b := &t.blocks[len(t.blocks)-1]
	was := len(b.data)
	b.data = binary.AppendUvarint(b.data, id-b.lastID)
	b.data = binary.AppendVarint(b.data, at-b.lastTime)
	b.data = appendTapeText(b.data, e.UniqueID)
	if e.DisplayID == e.UniqueID {
		b.data = append(b.data, 0)
	} else {
		b.data = binary.AppendUvarint(b.data, uint64(len(e.DisplayID))+1)
		b.data = append(b.data, e.DisplayID...)
	}
	b.lastID, b.lastTime = id, at
	t.n++
	t.bytes += len(b.data) - was
	return len(b.data) - was
}

func appendTapeText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// next reads the first event of the block and returns the number of its bytes.
func (b *tapeBlock) next(r *tapeRecord) (size int) {
	rest := b.data
	number := func() uint64 {
		v, n := binary.Uvarint(rest)
		rest = rest[n:]
		return v
	}
	r.id = b.id + number()
	ago, n := binary.Varint(rest)
	rest = rest[n:]
	r.at = b.at + ago
	n = int(number())
	r.unique, rest = rest[:n], rest[n:]
	r.display = r.unique
	if n = int(number()); n > 0 {
		r.display, rest = rest[:n-1], rest[n-1:]
	}
	return len(b.data) - len(rest)
}

// skip removes the first event of the block. r holds the values of the event.
func (b *tapeBlock) skip(r *tapeRecord, size int) {
	b.data, b.id, b.at = b.data[size:], r.id, r.at
}

// from yields the events with an ID above after.
func (t *tape) from(after uint64) iter.Seq[*tapeRecord] {
	return func(yield func(*tapeRecord) bool) {
		var r tapeRecord
		for _, b := range t.blocks {
			for b.lastID > after && len(b.data) > 0 {
				size := b.next(&r)
				b.skip(&r, size)
				if r.id > after && !yield(&r) {
					return
				}
			}
		}
	}
}

// oldest returns the ID of the oldest event.
func (t *tape) oldest() (id uint64, ok bool) {
	if t.n == 0 {
		return 0, false
	}
	var r tapeRecord
	t.blocks[0].next(&r)
	return r.id, true
}

// pop removes the oldest event, and returns its ID and the bytes that it used.
func (t *tape) pop() (id uint64, size int) {
	var r tapeRecord
	b := &t.blocks[0]
	size = b.next(&r)
	b.skip(&r, size)
	t.n--
	if len(b.data) == 0 {
		t.blocks = t.blocks[1:]
	}
	t.bytes -= size
	return r.id, size
}

// message returns a message for an event of the tape.
func (p *source) message(r *tapeRecord) *message {
	e := Executing{UniqueID: string(r.unique), PromptID: p.addr.promptID}
	if e.DisplayID = e.UniqueID; string(r.display) != e.UniqueID {
		e.DisplayID = string(r.display)
	}
	m := newMessage(&Event{Payload: e, Time: time.Unix(0, r.at)})
	m.id, m.to = r.id, &p.addr
	return m
}
