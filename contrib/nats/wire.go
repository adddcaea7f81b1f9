package nats

import (
	"encoding/binary"
	"errors"
	"math"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/stored"
)

// A message of the log stream carries the events of one batch, in order. The cursor's ID
// of an event is the stream sequence of its message, followed by its place in the message
// in 10 bits: all processes that read the stream see the same IDs.
const (
	placeBits  = 10
	maxBatch   = 1 << placeBits // events in a message
	wireFormat = 1              // the first byte of a message
)

// idOf returns the ID of an event.
func idOf(seq uint64, place int) uint64 { return seq<<placeBits | uint64(place) }

// The kinds of records in a message.
const (
	recordEvent         = iota // JSON
	recordBinary               // a binary frame
	recordDrop                 // the events of a prompt are dropped
	recordPreview              // the name of a preview, which travels beside the stream
	recordMark                 // nothing; who has read it has read all that was stored before
	recordForeign              // JSON of a payload of a caller, see stored.Encode
	recordForeignBinary        // a binary frame of a payload of a caller
	recordKeyed                // a key, see nodebus.Coalescer, and what recordForeign has
	recordKeyedBinary          // a key, and what recordForeignBinary has
	recordBegins               // how far its process has read before the first event of a prompt, see ends
	recordTaken                // its process has taken a prompt: the earlier attempts of others are over, see ends
	recordKinds                // the number of kinds
)

// record is an event as the stream stores it.
type record struct {
	kind         byte
	promptID, to string
	attempt      int
	data         []byte
}

// isNote reports whether a record is no event, and tells the readers something about a prompt.
func (r *record) isNote() bool { return r.kind == recordBegins || r.kind == recordTaken }

// size returns at least the number of bytes that appendRecord appends.
func (r *record) size() int { return len(r.promptID) + len(r.to) + len(r.data) + 24 }

// appendRecord appends the bytes of a record.
func appendRecord(b []byte, r *record) []byte {
	b = append(b, r.kind)
	b = binary.AppendUvarint(b, uint64(min(max(r.attempt, 0), math.MaxInt32)))
	for _, text := range []string{r.promptID, r.to} {
		b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
	}
	return append(binary.AppendUvarint(b, uint64(len(r.data))), r.data...)
}

// errWire is the reason why a message cannot be read.
var errWire = errors.New("it is damaged, or of a newer version of this package")

// parseRecords returns the records of a message, at most 1024. Their data is part of b.
func parseRecords(b []byte) (all []record, err error) {
	if len(b) == 0 || b[0] != wireFormat {
		return nil, errWire
	}
	for b = b[1:]; len(b) > 0; {
		r := record{kind: b[0]}
		b = b[1:]
		var attempt uint64
		var fields [3][]byte
		ok := r.kind < recordKinds && number(&b, &attempt) && attempt <= math.MaxInt32
		for i := range fields {
			ok = ok && field(&b, &fields[i])
		}
		if !ok || len(all) == maxBatch { // a further record would have an ID of the next message
			return nil, errWire
		}
		r.attempt, r.promptID, r.to, r.data = int(attempt), string(fields[0]), string(fields[1]), fields[2]
		all = append(all, r)
	}
	return all, nil
}

// number takes a number off b. It returns false if there is none.
func number(b *[]byte, v *uint64) bool {
	n := 0
	*v, n = binary.Uvarint(*b)
	if n <= 0 {
		return false
	}
	*b = (*b)[n:]
	return true
}

// field takes a text with its length off b. It returns false if there is none.
func field(b *[]byte, f *[]byte) bool {
	var n uint64
	if !number(b, &n) || n > uint64(len(*b)) {
		return false
	}
	*f, *b = (*b)[:n:n], (*b)[n:]
	return true
}

// event returns the event of a record that another process has sent.
func (r *record) event() (ev nodebus.Event, err error) {
	f := nodebus.Frame{Binary: r.kind == recordBinary || r.kind == recordForeignBinary || r.kind == recordKeyedBinary, Data: r.data}
	var key []byte
	keyed := r.kind == recordKeyed || r.kind == recordKeyedBinary
	if keyed && !field(&f.Data, &key) {
		return ev, errWire
	}
	if ev.Payload, err = stored.Decode(f, r.kind != recordEvent && r.kind != recordBinary); err != nil {
		return ev, err
	}
	if keyed {
		ev.Payload = withKey(ev.Payload, string(key))
	}
	ev.PromptID, ev.To, ev.Attempt = r.promptID, r.to, r.attempt
	ev.Broadcast = r.promptID == "" && r.to == ""
	return ev, nil
}
