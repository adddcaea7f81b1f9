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
// changes after the log has taken it.
type message struct {
	id        uint64
	at        int64 // Unix nanoseconds
	to        *address
	payload   Payload
	key       *coalesceKey // key of a foreign Coalescer; standard payloads compute their key
	size      int32        // estimated size of its frame, in bytes
	steps     uint32       // number of steps of the prompt before it, see traits
	keyed     bool
	early     bool // Publish has encoded it as JSON
	frozen    bool // the sender does not change the payload; true for all messages that are not early
	outcome   bool // see traits
	extension bool // see traits

	mu  sync.Mutex // guards enc. While it is held, take no other lock and call no foreign code
	enc *encoded   // linked list of encoded forms, one for each codec that was used
}

// newMessage returns a message for an event that a log has passed on without a message.
func newMessage(ev *Event) *message {
	m := &message{id: ev.ID, at: ev.Time.UnixNano(), to: &address{ev.PromptID, ev.To, ev.Attempt, ev.Epoch}}
	if ev.mark.known && ev.memo == nil { // a standard payload that is encoded later
		m.fill(ev.Payload, ev.mark)
		return m
	}
	var d draft
	frozen := *ev
	frozen.Frozen = true // nobody changes a payload that comes from a log
	err := d.prepare(&frozen)
	d.fill(m, &frozen)
	if err != nil { // each session refuses it
		m.early, m.enc = true, &encoded{codec: JSONCodec{}, typ: typeName(ev.Payload), refused: true, ready: true}
	}
	return m
}

// message returns the message that came with an event through a log, or nil. shared is
// true if the log in memory has completed the message: then other hubs use it, too. A
// foreign log may have kept the event as Publish has made it; message then returns a copy
// with the ID and the address.
func (ev *Event) message() (m *message, shared bool) {
	made, _ := ev.memo.(*message)
	if made == nil || made.to != nil {
		return made, made != nil
	}
	m = &message{
		id: ev.ID, at: ev.Time.UnixNano(), to: &address{ev.PromptID, ev.To, ev.Attempt, ev.Epoch},
		payload: made.payload, key: made.key, size: made.size, keyed: made.keyed, early: made.early, frozen: made.frozen,
		outcome: made.outcome, extension: made.extension,
	}
	if made.early {
		json := *made.enc // nobody uses made, so it has no other form
		m.enc = &json
	}
	return m, false
}

// address holds the receivers of an event. The messages of a prompt share one address.
type address struct {
	promptID, to string
	attempt      int
	epoch        string // the life of the log
}

// everyone reports whether the event is a broadcast.
func (a *address) everyone() bool { return a.promptID == "" && a.to == "" }

func (m *message) event() Event {
	return Event{
		ID: m.id, Epoch: m.to.epoch, Time: time.Unix(0, m.at), Payload: m.payload,
		PromptID: m.to.promptID, To: m.to.to, Broadcast: m.to.everyone(), Attempt: m.to.attempt,
	}
}

// stateKey returns the key under which a newer message replaces m in the log. It
// calls no foreign code.
func (m *message) stateKey() (coalesceKey, bool) {
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

// queueKey is the key under which a newer message replaces m in the queue of a session.
// A state from before a step of its prompt stays: the step must not overtake it. This
// does not apply to previews, because they are large.
type queueKey struct {
	coalesceKey
	steps uint32
}

// Key returns the key of m in the queue of a session. It calls no foreign code.
func (m *message) Key() (queueKey, bool) {
	key, keyed := m.stateKey()
	if _, preview := m.payload.(Preview); preview {
		return queueKey{key, 0}, keyed
	}
	return queueKey{key, m.steps}, keyed
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

// draft holds the properties of an event that are computed before a lock is taken. The
// foreign methods of the payload are called in this step.
type draft struct {
	traits
	foreign bool         // the payload is not a standard payload
	key     *coalesceKey // set for a foreign Coalescer
	early   bool         // frame is set
	frame   Frame
}

// mark returns what the log and the hub need.
func (d *draft) mark() mark {
	return mark{
		known: true, size: int32(min(d.size, math.MaxInt32)),
		coalesces: d.coalesces, step: d.step, outcome: d.outcome, extension: d.extension,
	}
}

// prepare checks that ev can be encoded. It encodes ev at once, unless the payload
// cannot change and cannot fail to encode; such a payload is encoded only when a client
// needs it.
func (d *draft) prepare(ev *Event) (err error) {
	if t, ok := standardTraits(ev.Payload, ev.Frozen); ok {
		d.traits = t
	} else if err := Protect(func() error { return d.ask(ev.Payload) }); err != nil {
		return &EncodeError{Type: typeName(ev.Payload), Err: err}
	} else {
		d.foreign, d.later = true, isPlain(reflect.TypeOf(ev.Payload))
	}
	if d.later {
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
	d.extension = isExtension(typ) // for example a pointer to a standard payload
	if c, ok := p.(Coalescer); ok {
		d.coalesces, d.key = true, &coalesceKey{typ: typ, a: c.CoalesceKey()}
	}
	return nil
}

// fill sets the fields of a new message for a payload that is encoded later.
func (m *message) fill(p Payload, k mark) {
	m.payload, m.frozen = p, true
	m.size, m.keyed, m.outcome, m.extension = k.size, k.coalesces, k.outcome, k.extension
}

// fill sets the fields of a new message that follow from the payload.
func (d *draft) fill(m *message, ev *Event) {
	m.fill(ev.Payload, d.mark())
	m.key, m.early, m.frozen = d.key, d.early, !d.early || ev.Frozen
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
// numbers.
func hasPlainFields(t reflect.Type) bool {
	for _, m := range []reflect.Type{jsonMarshaler, textMarshaler, binAppender} {
		if t.Implements(m) || reflect.PointerTo(t).Implements(m) {
			return false
		}
	}
	switch t.Kind() {
	case reflect.String, reflect.Bool,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64,
		reflect.Float32, reflect.Float64:
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
