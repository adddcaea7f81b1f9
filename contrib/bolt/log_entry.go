package bolt

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/stored"
)

// logEntry is an event as the file has it. The key of the entry in its bucket is the ID of
// the event.
type logEntry struct {
	at           int64 // Unix nanoseconds
	promptID, to string
	attempt      int
	newest       int    // the newest attempt of the prompt so far; the event that began it may not be kept
	key          string // the event type, a zero byte and the key of the [nodebus.Coalescer]; empty: no newer event replaces the event
	binary       bool
	foreign      bool   // the payload has a type of the caller, whatever its event type says
	data         []byte // the frame of [nodebus.JSONCodec]
}

const (
	entryVersion = 1
	entryBinary  = 1 << 0 // flag: data is a binary frame
	entryForeign = 1 << 1 // flag: the payload has a type of the caller
	entryFlags   = entryBinary | entryForeign
)

// newEntry encodes an event. It calls foreign code.
func newEntry(ev *nodebus.Event) (e logEntry, outcome bool, err error) {
	f, foreign, err := stored.Encode(ev)
	if err != nil {
		return e, false, err
	}
	e = logEntry{promptID: ev.PromptID, to: ev.To, attempt: min(max(ev.Attempt, 0), math.MaxInt32), binary: f.Binary, foreign: foreign, data: f.Data}
	if c, ok := ev.Payload.(nodebus.Coalescer); ok {
		e.key = f.Type + "\x00" + c.CoalesceKey()
	}
	return e, f.Outcome, nil
}

// append appends the bytes of the entry: the version, the flags, the time, the attempts,
// and the texts with their lengths. The frame is the rest.
func (e *logEntry) append(b []byte) []byte {
	flags := byte(0)
	if e.binary {
		flags |= entryBinary
	}
	if e.foreign {
		flags |= entryForeign
	}
	b = append(b, entryVersion, flags)
	b = binary.BigEndian.AppendUint64(b, uint64(e.at))
	b = binary.AppendUvarint(b, uint64(e.attempt))
	b = binary.AppendUvarint(b, uint64(e.newest))
	for _, s := range []string{e.promptID, e.to, e.key} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return append(b, e.data...)
}

// size returns at least the number of bytes that the entry takes in the file, without free
// space.
func (e *logEntry) size() int {
	const head = 8 + 16 + 2 + 8 + 2 + 3 // the ID, bbolt's header of an element, and the smallest entry
	return head + len(e.promptID) + len(e.to) + len(e.key) + len(e.data)
}

var errShortEntry = errors.New("the entry is too short")

// parseEntry reads the bytes of an entry. The data of the entry is a part of b.
func parseEntry(b []byte) (e logEntry, err error) {
	switch {
	case len(b) < 10:
		return e, errShortEntry
	case b[0] != entryVersion:
		return e, fmt.Errorf("the entry has the version %d, want %d", b[0], entryVersion)
	case b[1]&^entryFlags != 0:
		return e, fmt.Errorf("the entry has unknown flags %#x", b[1])
	}
	e.binary, e.foreign = b[1]&entryBinary != 0, b[1]&entryForeign != 0
	e.at = int64(binary.BigEndian.Uint64(b[2:]))
	b = b[10:]
	for _, attempt := range []*int{&e.attempt, &e.newest} {
		n, rest, err := takeNumber(b)
		if err != nil {
			return e, err
		}
		if n > math.MaxInt32 {
			return e, fmt.Errorf("the entry has the attempt %d", n)
		}
		*attempt, b = int(n), rest
	}
	for _, s := range []*string{&e.promptID, &e.to, &e.key} {
		n, rest, err := takeNumber(b)
		if err != nil {
			return e, err
		}
		if n > uint64(len(rest)) {
			return e, errShortEntry
		}
		*s, b = string(rest[:n]), rest[n:]
	}
	e.data = b
	return e, nil
}

func takeNumber(b []byte) (n uint64, rest []byte, err error) {
	n, size := binary.Uvarint(b)
	if size <= 0 {
		return 0, nil, errShortEntry
	}
	return n, b[size:], nil
}

// event decodes the event. It does not share memory with the entry.
func (e *logEntry) event(id uint64, epoch string) (ev nodebus.Event, err error) {
	f := nodebus.Frame{Binary: e.binary, Data: append([]byte(nil), e.data...)}
	if ev.Payload, err = stored.Decode(f, e.foreign); err != nil {
		return ev, err
	}
	ev.ID, ev.Epoch, ev.Time = id, epoch, time.Unix(0, e.at)
	ev.PromptID, ev.To, ev.Attempt = e.promptID, e.to, e.attempt
	ev.Broadcast = e.promptID == "" && e.to == ""
	ev.Frozen = true
	return ev, nil
}
