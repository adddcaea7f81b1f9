package nodebus

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"reflect"
	"sync"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// message is one published event on its way: the log, the sessions' queues and
// the frames made of it share it. It is small because a prompt of many nodes
// leaves many of them in the log. Only enc changes after Publish.
type message struct {
	id      uint64
	at      int64 // Unix nanoseconds
	to      *address
	payload Payload
	key     string // what a foreign Coalescer answered
	size    int32  // about how many bytes its frame has
	keyed   bool
	spent   bool // payload may have been changed by its sender since: enc is what was said

	mu  sync.Mutex
	enc *encoded // in the form of the first codec that asked, linked to those of others
}

// address is whom an event is for. Those of a prompt share theirs.
type address struct{ promptID, to string }

func (m *message) event() Event {
	return Event{ID: m.id, Time: time.Unix(0, m.at), PromptID: m.to.promptID, To: m.to.to, Payload: m.payload}
}

// encoded is a message in the form of one codec.
type encoded struct {
	codec  Codec
	typ    string
	data   []byte
	binary bool
	none   bool // the codec has no form for it
	wires  *wire
	next   *encoded
}

// mailKey is what newer events replace older ones under.
type mailKey struct{ typ, a, b string }

// Key is the key of m's payload. The standard payloads answer without building
// a string.
func (m *message) Key() (mailKey, bool) {
	if !m.keyed {
		return mailKey{}, false
	}
	switch p := m.payload.(type) {
	case Status:
		return mailKey{typ: "status"}, true
	case Progress:
		return mailKey{"progress", p.PromptID, p.UniqueID}, true
	case ProgressState:
		return mailKey{"progress_state", p.PromptID, ""}, true
	case Preview:
		return mailKey{"preview", p.PromptID, p.UniqueID}, true
	case Overall:
		return mailKey{"overall", p.PromptID, ""}, true
	}
	if m.spent {
		return mailKey{"custom", m.enc.typ, m.key}, true
	}
	return mailKey{"custom", m.payload.EventType(), m.key}, true
}

// Size is what m weighs in a client's queue, which shares it with the log.
func (m *message) Size() int { return int(m.size) }

// draft is what Publish works out before it takes the hub's lock.
type draft struct {
	key   string
	keyed bool
	now   bool // encoded already
	frame Frame
	size  int
}

// newDraft finds out whether ev can be encoded, and encodes it unless that can
// wait: a payload that cannot change or fail any more costs nothing until a
// client is there to have it.
func newDraft(ev *Event) (d draft, err error) {
	if ev.Payload == nil {
		return d, &EncodeError{Type: typeName(nil), Err: errors.New("payload is nil")}
	}
	if d.keyed, d.key, err = coalesceKey(ev.Payload); err != nil {
		return d, err
	}
	if ev.Frozen && isStandard(ev.Payload) {
		d.size = sizeOf(ev.Payload)
		return d, nil
	}
	if later, size, err := canWait(ev.Payload); later || err != nil {
		d.size = size
		return d, err
	}
	d.now = true
	d.frame, err = JSON.Encode(*ev)
	d.size = len(d.frame.Data)
	return d, err
}

// isStandard reports whether p can be encoded later if nobody changes it. It lists
// the payloads that are large or many, and that cannot fail then.
func isStandard(p Payload) bool {
	switch p := p.(type) {
	case Executing, ExecutionCached, Preview:
		return true
	case Progress:
		return jsonenc.Finite(p.Value, p.Max)
	case ProgressState:
		for i := range p.Nodes {
			if !jsonenc.Finite(p.Nodes[i].Value, p.Nodes[i].Max) {
				return false
			}
		}
		return true
	}
	return false
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

// coalesceKey asks p for its key. Code that is not ours is asked here, in the
// sender's call, for all it could panic with.
func coalesceKey(p Payload) (keyed bool, key string, err error) {
	switch p := p.(type) {
	case Status:
		return p.SID == "", "", nil
	case Progress, ProgressState, Preview, Overall:
		return true, "", nil
	case Executing, Executed:
		return false, "", nil
	}
	defer func() {
		if r := recover(); r != nil {
			err = &EncodeError{Type: typeName(p), Err: fmt.Errorf("panic: %v", r)}
		}
	}()
	_ = p.EventType()
	if c, ok := p.(Coalescer); ok {
		return true, c.CoalesceKey(), nil
	}
	return false, "", nil
}

// canWait reports whether p may be encoded after Publish has returned: it holds
// no reference that its sender could still change, and nothing that could fail.
// If so, size is about that of its frame.
func canWait(p Payload) (_ bool, size int, _ error) {
	switch p := p.(type) {
	case Executing:
		return true, p.sizeJSON(), nil
	case Progress:
		if !jsonenc.Finite(p.Value, p.Max) {
			_, err := JSON.Encode(Event{Payload: p})
			return false, 0, err
		}
		return true, p.sizeJSON(), nil
	case Executed:
		return p.Output == nil, p.sizeJSON(), nil
	case Status, ExecutionStart, ExecutionSuccess, ProgressText, Gap:
		return true, sizeOf(p), nil
	case ExecutionCached, ExecutionError, ExecutionInterrupted, ProgressState, FeatureFlags, Preview, Overall, Custom:
		return false, 0, nil
	}
	t := reflect.TypeOf(p)
	plain, ok := plainTypes.Load(t)
	if !ok {
		plain, _ = plainTypes.LoadOrStore(t, isPlain(t))
	}
	if !plain.(bool) {
		return false, 0, nil
	}
	return true, sizeOf(p), nil
}

var plainTypes sync.Map // reflect.Type to bool

var (
	jsonMarshaler = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[interface{ MarshalText() ([]byte, error) }]()
	binAppender   = reflect.TypeFor[interface{ AppendBinary([]byte) ([]byte, error) }]()
)

// isPlain reports whether values of t are made of strings, booleans and
// integers alone. Floats are not plain: a NaN cannot be encoded.
func isPlain(t reflect.Type) bool {
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
		return isPlain(t.Elem())
	case reflect.Struct:
		for i := range t.NumField() {
			if !isPlain(t.Field(i).Type) {
				return false
			}
		}
		return true
	}
	return false
}

// fill puts a payload, and what its draft found out, into a fresh m.
func (m *message) fill(id uint64, at int64, p Payload, to *address, d *draft) {
	m.id, m.at, m.to, m.payload = id, at, to, p
	m.key, m.keyed, m.size = d.key, d.keyed, int32(min(d.size, math.MaxInt32))
	if d.now {
		m.enc = &encoded{codec: JSON, typ: d.frame.Type, data: d.frame.Data, binary: d.frame.Binary}
	}
}

// encodeFor encodes m for codecs that are not ours: now, for its sender may use
// the payload again.
func (m *message) encodeFor(codecs map[Codec]int) {
	for c := range codecs {
		m.frame(c)
	}
}

// frame returns m in c's form, encoding it if nobody has asked before. ok is
// false if c, which is not JSON, has none.
func (m *message) frame(c Codec) (_ Frame, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	at := &m.enc
	for ; *at != nil; at = &(*at).next {
		if (*at).codec == c {
			return m.of(*at), !(*at).none
		}
	}
	f, err := m.encode(c)
	*at = &encoded{codec: c, typ: f.Type, data: f.Data, binary: f.Binary, none: err != nil}
	return m.of(*at), err == nil
}

func (m *message) of(e *encoded) Frame {
	return Frame{ID: m.id, Type: e.typ, Binary: e.binary, Data: e.data, m: m, e: e}
}

// encode makes the frame of a codec from what JSON has made already, if it has:
// the payload itself may have been changed by its sender since.
func (m *message) encode(c Codec) (Frame, error) {
	jc, ours := c.(JSONCodec)
	if !ours {
		ev := m.event()
		if m.spent {
			said, err := JSON.Decode(m.of(m.enc))
			if err != nil {
				return Frame{}, err
			}
			ev.Payload = said.Payload
		}
		return encodeSafely(c, ev)
	}
	if m.enc == nil || m.enc.codec != JSON {
		return encodeSafely(c, m.event())
	}
	f := m.of(m.enc)
	switch p := m.payload.(type) {
	case Preview:
		if jc.BarePreviews {
			sent, err := decodeBinary(f.Data, false)
			if err != nil {
				return Frame{}, err
			}
			p = sent.(Preview)
			f.Data = p.appendBare(nil)
		}
	case ProgressText:
		if jc.TextPrompts {
			f.Data = p.appendWithPrompt(nil)
		}
	default:
		if jc.IDs && !f.Binary {
			f.Data = appendID(f.Data, m.id)
		}
	}
	return f, nil
}

// encodeSafely calls a codec that may not be ours. Its error is an
// [*EncodeError].
func encodeSafely(c Codec, ev Event) (f Frame, err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("codec %T panicked: %v", c, r)
		}
		if as := (*EncodeError)(nil); err != nil && !errors.As(err, &as) {
			err = &EncodeError{Type: typeName(ev.Payload), Err: err}
		}
	}()
	return c.Encode(ev)
}
