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
// made of it share one message. It is small because a prompt of many nodes leaves
// many messages in the log. Only enc changes after Publish.
type message struct {
	id      uint64
	at      int64 // Unix nanoseconds
	to      *address
	payload Payload
	key     *coalesceKey // of a foreign Coalescer; standard payloads make theirs
	size    int32        // about how many bytes its frame has
	keyed   bool
	early   bool // encoded by Publish: enc begins with JSON; the sender may have changed the payload since

	mu  sync.Mutex // guards what follows; a leaf: no other lock is taken and no foreign code called under it
	enc *encoded   // list of the forms of the codecs that have asked
}

// address is for whom an event is. The messages of a prompt share one.
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

// Key is the key under which a newer message replaces m. It calls no foreign code.
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

// Size is what m weighs in a client's queue, which shares it with the log.
func (m *message) Size() int { return int(m.size) }

// typeName is the event type of m. It may call foreign code.
func (m *message) typeName() string {
	if m.early {
		return m.enc.typ
	}
	return m.payload.EventType()
}

// draft is what Publish finds out about an event before it takes the hub's lock. The
// foreign methods of the payload that must not wait are called here.
type draft struct {
	keyed      bool
	foreignKey bool
	key        coalesceKey // set if foreignKey
	early      bool        // frame is set
	frame      Frame
	size       int
}

// prepare finds out whether ev can be encoded, and encodes it unless the encoding can
// wait: a payload that cannot change or fail any more costs nothing until a client is
// there to receive it.
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
	d.frame, err = JSON.Encode(*ev)
	d.size = len(d.frame.Data)
	return err
}

// ask asks a foreign payload for its type and its key.
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

// fill puts a payload, and what its draft found out, into a fresh m.
func (m *message) fill(id uint64, at int64, p Payload, to *address, d *draft) {
	m.id, m.at, m.to, m.payload = id, at, to, p
	m.keyed, m.early, m.size = d.keyed, d.early, int32(min(d.size, math.MaxInt32))
	if d.early {
		m.enc = &encoded{codec: JSON, ready: true}
		m.enc.set(d.frame, nil)
	}
}

// sizeOf is about how many bytes p holds, and its frame will.
func sizeOf(p Payload) (n int) {
	if p, ok := p.(jsonPayload); ok {
		return p.sizeJSON()
	}
	v := reflect.ValueOf(p)
	return int(v.Type().Size()) + stringBytes(v)
}

// stringBytes adds up the strings in v, a value that JSON has a form for.
func stringBytes(v reflect.Value) (n int) {
	switch v.Kind() {
	case reflect.String:
		return v.Len()
	case reflect.Struct:
		for i := range v.NumField() {
			n += stringBytes(v.Field(i))
		}
	case reflect.Array, reflect.Slice:
		for i := 0; v.Type().Elem().Kind() >= reflect.Array && i < v.Len(); i++ { // not numbers
			n += stringBytes(v.Index(i))
		}
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			n += stringBytes(it.Key()) + stringBytes(it.Value())
		}
	case reflect.Interface:
		return stringBytes(v.Elem())
	}
	return n
}

var plainTypes sync.Map // reflect.Type to bool

// isPlain reports whether values of t may be encoded after Publish has returned: they
// hold no reference that the sender could change, and nothing that could fail.
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

// hasPlainFields reports whether values of t are made of strings, booleans and
// integers alone. Floats are not plain: a NaN cannot be encoded.
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
