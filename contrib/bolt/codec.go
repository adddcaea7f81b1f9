package bolt

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"math"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
)

// Each value with data of callers begins with a checksum, because bbolt has none: a
// damaged value must not become a prompt that nobody has submitted.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

var errChecksum = errors.New("its checksum is wrong")

const sumLen = 4

// sign writes the checksum of value[sumLen:] into value[:sumLen].
func sign(value []byte) []byte {
	binary.BigEndian.PutUint32(value, crc32.Checksum(value[sumLen:], castagnoli))
	return value
}

// signed returns the data of a value. It shares the memory of value.
func signed(value []byte) ([]byte, error) {
	if len(value) < sumLen || binary.BigEndian.Uint32(value) != crc32.Checksum(value[sumLen:], castagnoli) {
		return nil, errChecksum
	}
	return value[sumLen:], nil
}

// toJSON returns a signed value with the JSON of v. v may hold values with methods of
// callers, which may panic.
func toJSON(v any) (value []byte, err error) {
	err = nodebus.Protect(func() error {
		text, err := json.Marshal(v)
		value = sign(append(make([]byte, sumLen, sumLen+len(text)), text...))
		return err
	})
	return value, err
}

// fromJSON reads a value of toJSON.
func fromJSON(value []byte, v any) error {
	text, err := signed(value)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// maxID is the size, in bytes, of the longest id of a prompt or client. All parts of the
// file can keep it: some of them have ids in keys, and the log remembers no longer names.
const maxID = 4096

// checkID returns an error if no file can keep an id: JSON has no bytes that are not UTF-8,
// so the next process would read another id.
func checkID(of, id string) error {
	switch {
	case len(id) > maxID:
		return fmt.Errorf("bolt: the id of the %s has %d bytes, at most %d are possible; choose a shorter id", of, len(id), maxID)
	case !utf8.ValidString(id):
		return fmt.Errorf("bolt: the id of the %s is not UTF-8, so no file can keep it; choose another id: %q", of, id)
	}
	return nil
}

// fillPercent is how full a page becomes in a bucket whose keys rise. bbolt would leave half of
// it free for keys between the others.
const fillPercent = 0.95

// number is a key: numbers in their order.
func number(n uint64) []byte { return binary.BigEndian.AppendUint64(nil, n) }

// numberOf reads a key of number.
func numberOf(key []byte) (uint64, error) {
	if len(key) != 8 {
		return 0, fmt.Errorf("a key has %d bytes instead of 8", len(key))
	}
	return binary.BigEndian.Uint64(key), nil
}

// promptValue is a prompt in the file: the length of its sealed secrets, the sealed
// secrets, and its JSON.
func promptValue(p *nodebus.Prompt, sealed []byte) (value []byte, err error) {
	err = nodebus.Protect(func() error {
		text, err := json.Marshal(p)
		value = make([]byte, sumLen, sumLen+4+len(sealed)+len(text))
		value = binary.BigEndian.AppendUint32(value, uint32(len(sealed)))
		value = sign(append(append(value, sealed...), text...))
		return err
	})
	return value, err
}

// readPrompt reads a value of promptValue.
func readPrompt(value []byte) (p *nodebus.Prompt, sealed []byte, err error) {
	data, err := signed(value)
	if err != nil {
		return nil, nil, err
	}
	if len(data) < 4 || uint64(len(data)) < 4+uint64(binary.BigEndian.Uint32(data)) {
		return nil, nil, errors.New("it is too short")
	}
	n := int(binary.BigEndian.Uint32(data))
	sealed, p = append([]byte(nil), data[4:4+n]...), &nodebus.Prompt{}
	return p, sealed, json.Unmarshal(data[4+n:], p)
}

// withoutSecrets returns a value of promptValue without the sealed secrets. The JSON stays as
// it is.
func withoutSecrets(value []byte) ([]byte, error) {
	data, err := signed(value)
	if err != nil {
		return nil, err
	}
	if len(data) < 4 || uint64(len(data)) < 4+uint64(binary.BigEndian.Uint32(data)) {
		return nil, errors.New("it is too short")
	}
	text := data[4+binary.BigEndian.Uint32(data):]
	return sign(append(make([]byte, sumLen+4, sumLen+4+len(text)), text...)), nil
}

// place is what changes of a prompt in the queue.
type place struct {
	seq      uint64  // its order among the prompts with the same priority
	priority float64 // since the last Move; else the prompt's own
	attempts int     // attempts that have begun
}

func (p place) value() []byte {
	value := binary.BigEndian.AppendUint64(make([]byte, sumLen, sumLen+24), p.seq)
	value = binary.BigEndian.AppendUint64(value, math.Float64bits(p.priority))
	return sign(binary.BigEndian.AppendUint64(value, uint64(p.attempts)))
}

func readPlace(value []byte) (p place, err error) {
	data, err := signed(value)
	if err != nil {
		return p, err
	}
	if len(data) != 24 {
		return p, errors.New("it has a wrong length")
	}
	return place{
		seq:      binary.BigEndian.Uint64(data),
		priority: math.Float64frombits(binary.BigEndian.Uint64(data[8:])),
		attempts: int(binary.BigEndian.Uint64(data[16:])),
	}, nil
}
