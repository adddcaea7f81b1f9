package nodebus

import (
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"sync"
	"time"
)

// message is one published event. The log, the queues of the sessions and the frames
// share it. It is small because the log keeps many messages of a large prompt. Only enc
// changes after Publish.
type message struct {
	id      uint64
	at      int64 // Unix nanoseconds
	to      *address
	payload Payload
	key     *coalesceKey // key of a foreign Coalescer; standard payloads compute their key
	size    int32        // estimated size of its frame, in bytes
	keyed   bool
	early   bool // Publish has encoded it as JSON; the sender may have changed the payload since

	mu  sync.Mutex // guards enc. While it is held, take no other lock and call no foreign code
	enc *encoded   // linked list of encoded forms, one for each codec that was used
}

// address holds the receivers of an event. The messages of a prompt share one address.
type address struct {
	promptID, to string
	attempt      int
}

// everyone reports whether the event is a broadcast.
func (a *address) everyone() bool { return a.promptID == "" && a.to == "" }

func (m *message) event() Event {
	return Event{
		ID: m.id, Time: time.Unix(0, m.at), Payload: m.payload,
		PromptID: m.to.promptID, To: m.to.to, Broadcast: m.to.everyone(), Attempt: m.to.attempt,
	}
}

// Key returns the key under which a newer message replaces m. It calls no foreign code.
func (m *message) Key() (coalesceKey, bool) {
	switch {
	case !m.keyed:
		return coalesceKey{}, false
	case m.key != nil:
		return *m.key, true
	}
	if p, ok := m.payload.(Progress); ok { // the most frequent type, for speed
		return p.key(), true
	}
	return m.payload.(standardCoalescer).key(), true
}

// Size returns the size of m in a client's queue, in bytes. The queue shares m with the
// log.
func (m *message) Size() int { return int(m.size) }

// typeName returns the event type of m. It may call foreign code.
func (m *message) typeName() string {
	if m.early {
		return m.enc.typ
	}
	return m.payload.EventType()
}

// draft holds the properties of an event that Publish computes before it takes the
// hub's lock. Publish calls the foreign methods of the payload in this step.
type draft struct {
	keyed      bool
	foreignKey bool
	key        coalesceKey // set if foreignKey
	early      bool        // frame is set
	frame      Frame
	size       int
}

// prepare checks that ev can be encoded. It encodes ev at once, unless the payload
// cannot change and cannot fail to encode; such a payload is encoded only when a client
// needs it.
func (d *draft) prepare(ev *Event) (err error) {
	later := false
	if t, ok := standardTraits(ev.Payload, ev.Frozen); ok {
		d.keyed, d.size, later = t.coalesces, t.size, t.later
	} else if err := Protect(func() error { return d.ask(ev.Payload) }); err != nil {
		return &EncodeError{Type: typeName(ev.Payload), Err: err}
	} else {
		later = isPlain(reflect.TypeOf(ev.Payload))
	}
	if later {
		if d.size == 0 {
			d.size = sizeOf(ev.Payload)
		}
		return nil
	}
	d.early = true
	d.frame, err = JSONCodec{}.Encode(*ev)
	d.size = len(d.frame.Data)
	return err
}

// ask calls the methods of a foreign payload for its type and its key.
func (d *draft) ask(p Payload) error {
	if p == nil {
		return errors.New("payload is nil")
	}
	typ := p.EventType()
	c, ok := p.(Coalescer)
	if ok {
		d.keyed, d.foreignKey, d.key = true, true, coalesceKey{typ: typ, a: c.CoalesceKey()}
	}
	return nil
}

// fill sets the fields of a new message from a payload and its draft.
func (m *message) fill(id uint64, at int64, p Payload, to *address, d *draft) {
	m.id, m.at, m.to, m.payload = id, at, to, p
	m.keyed, m.early, m.size = d.keyed, d.early, int32(min(d.size, math.MaxInt32))
	if d.early {
		m.enc = &encoded{codec: JSONCodec{}, ready: true}
		m.enc.set(d.frame, nil)
	}
}

// sizeOf estimates the size of p, and of its frame, in bytes.
func sizeOf(p Payload) (n int) {
	if p, ok := p.(jsonPayload); ok {
		return p.sizeJSON()
	}
	v := reflect.ValueOf(p)
	return int(v.Type().Size()) + referencedBytes(v)
}

// referencedBytes returns the total size of the strings, slices and maps in v. The size
// of v itself does not count. JSON must be able to encode v, so v has no cycle.
func referencedBytes(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Struct:
		for i := range v.NumField() {
			n += referencedBytes(v.Field(i))
		}
	case reflect.Slice:
		n = v.Len() * int(v.Type().Elem().Size())
		fallthrough
	case reflect.Array:
		for i := 0; v.Type().Elem().Kind() >= reflect.Array && i < v.Len(); i++ { // numbers and booleans refer to nothing
			n += referencedBytes(v.Index(i))
		}
	case reflect.Map:
		n = v.Len() * int(v.Type().Key().Size()+v.Type().Elem().Size())
		for it := v.MapRange(); it.Next(); {
			n += referencedBytes(it.Key()) + referencedBytes(it.Value())
		}
	case reflect.Interface, reflect.Pointer:
		if !v.IsNil() {
			n = int(v.Elem().Type().Size()) + referencedBytes(v.Elem())
		}
	}
	return n
}

var plainTypes sync.Map // reflect.Type to bool

// isPlain reports whether values of t may be encoded after Publish has returned: they
// hold no reference through which the sender could change them, and encoding cannot
// fail.
func isPlain(t reflect.Type) bool {
	plain, ok := plainTypes.Load(t)
	if !ok {
		plain, _ = plainTypes.LoadOrStore(t, hasPlainFields(t))
	}
	return plain.(bool)
}

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
	binAppender   = reflect.TypeFor[interface{ AppendBinary([]byte) ([]byte, error) }]()
)

// hasPlainFields reports whether values of t consist only of strings, booleans and
// integers. Floats are not plain, because a NaN cannot be encoded.
func hasPlainFields(t reflect.Type) bool {
	for _, m := range []reflect.Type{jsonMarshaler, textMarshaler, binAppender} {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return false
		}
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return true
	case reflect.Array:
		return hasPlainFields(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !hasPlainFields(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}
