package nodebus

import (
	"encoding/binary"
	"iter"
	"time"
)

// tape keeps the most frequent events of one prompt as bytes: [Executing], because a graph
// of small nodes publishes mostly these events, and [TextPiece], because a text may have many
// small pieces. The garbage collector does not look into bytes. All events of a tape have the
// address of their source.
type tape struct {
	blocks []tapeBlock
	n      int // number of events
	bytes  int // size of the events

	texts   []tapeText // the texts that have, or had, a piece in the tape
	numbers map[tapeText]int
}

// tapeText identifies a text.
type tapeText struct {
	Place
	name string
}

// tapeBlock holds events one after the other. Each event begins with the difference of the
// ID and of the time to the event before it, as varints. In an Executing follow the unique
// id with its length, which is not 0, and the display id with its length, if it is another
// id. In a TextPiece follow a 0, the number of the text, the offset, and the piece with its
// length.
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
	unique  []byte // empty: a TextPiece
	display []byte
	text    int // number of the text
	offset  int
	piece   []byte
}

// takes reports whether the tape of the source can keep ev.
func (p *source) takes(ev *Event) bool {
	fits := false
	switch e := ev.Payload.(type) {
	case Executing:
		fits = e.UniqueID != "" && e.PromptID == ev.PromptID
	case TextPiece:
		fits = e.Offset >= 0 && e.PromptID == ev.PromptID
	}
	return fits && p.place != nil && p.addr.to == ev.To && p.addr.attempt == ev.Attempt
}

// add appends an event and returns the bytes that it uses.
func (t *tape) add(id uint64, at int64, p Payload) (size int) {
	if n := len(t.blocks); n == 0 || len(t.blocks[n-1].data) >= tapeBlockLen {
		t.blocks = append(t.blocks, tapeBlock{id: id, at: at, lastID: id, lastTime: at})
	}
	b := &t.blocks[len(t.blocks)-1]
	size = -len(b.data)
	b.data = binary.AppendUvarint(b.data, id-b.lastID)
	b.data = binary.AppendVarint(b.data, at-b.lastTime)
	if e, ok := p.(Executing); ok {
		b.addExecuting(&e)
	} else {
		piece := p.(TextPiece)
		number, room := t.number(&piece)
		b.addPiece(number, &piece)
		size += room
	}
	b.lastID, b.lastTime = id, at
	t.n++
	size += len(b.data)
	t.bytes += size
	return size
}

func (b *tapeBlock) addExecuting(e *Executing) {
	b.data = appendTapeText(b.data, e.UniqueID)
	if e.DisplayID == e.UniqueID {
		b.data = append(b.data, 0)
	} else {
		b.data = binary.AppendUvarint(b.data, uint64(len(e.DisplayID))+1)
		b.data = append(b.data, e.DisplayID...)
	}
}

func (b *tapeBlock) addPiece(text int, p *TextPiece) {
	b.data = binary.AppendUvarint(append(b.data, 0), uint64(text))
	b.data = binary.AppendUvarint(b.data, uint64(p.Offset))
	b.data = appendTapeText(b.data, p.Piece)
}

// number returns the number of the text of a piece. room is the memory for the number, if it
// is new. The memory is in use until the whole tape is dropped.
func (t *tape) number(p *TextPiece) (n, room int) {
	text := tapeText{p.Place, p.Name}
	if n = len(t.texts) - 1; n >= 0 && t.texts[n] == text {
		return n, 0
	}
	if n, known := t.numbers[text]; known {
		return n, 0
	}
	if t.numbers == nil {
		t.numbers = map[tapeText]int{}
	}
	n = len(t.texts)
	t.numbers[text] = n
	t.texts = append(t.texts, text)
	return n, messageWeight + len(p.UniqueID) + len(p.DisplayID) + len(p.ParentID) + len(p.RealID) + len(p.Name)
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
	if n == 0 {
		r.text, r.offset, n = int(number()), int(number()), int(number())
		r.piece = rest[:n]
		return len(b.data) - len(rest) + n
	}
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
	m := newMessage(&Event{Payload: p.payload(r), Time: time.Unix(0, r.at)})
	m.id, m.to = r.id, &p.addr
	return m
}

func (p *source) payload(r *tapeRecord) Payload {
	if len(r.unique) == 0 {
		text := &p.tape.texts[r.text]
		return TextPiece{Place: text.Place, PromptID: p.addr.promptID, Name: text.name, Offset: r.offset, Piece: string(r.piece)}
	}
	e := Executing{UniqueID: string(r.unique), PromptID: p.addr.promptID}
	if e.DisplayID = e.UniqueID; string(r.display) != e.UniqueID {
		e.DisplayID = string(r.display)
	}
	return e
}
