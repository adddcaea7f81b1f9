package nodebus

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// encoded is the form of a message for one codec. The message's lock guards it until it
// is ready. After that only next changes.
//
// When an event is encoded: Publish encodes it as JSON, unless the payload cannot change
// and JSON can represent it. All other forms are made when the first session needs them.
// A foreign codec is called only by the writer of a session, and never while a lock is
// held. Therefore the goroutine that adds an entry must make it ready, and all others
// wait until it is ready.
type encoded struct {
	codec   Codec
	typ     string
	data    []byte
	binary  bool
	refused bool // the codec returned an error or panicked
	ready   bool
	wait    chan struct{} // closed when the entry is ready; nil if nobody waits
	next    *encoded
}

func (e *encoded) set(f Frame, err error) {
	e.typ, e.data, e.binary, e.refused = f.Type, f.Data, f.Binary, err != nil
}

// of returns the frame of a ready entry. ok is false if the codec refused the event.
func (m *message) of(e *encoded) (f Frame, ok bool) {
	return Frame{ID: m.id, Epoch: m.to.epoch, Type: e.typ, Binary: e.binary, Outcome: m.outcome, Data: e.data}, !e.refused
}

// frame returns the frame of m for c. It encodes m if no goroutine has done so before.
// ok is false if c refuses the event. A JSONCodec without an Envelope refuses payloads
// that ComfyUI does not know.
func (m *message) frame(c Codec) (f Frame, ok bool) {
	jc, ours := c.(JSONCodec)
	if ours && m.hiddenFrom(jc) {
		return Frame{}, false
	}
	m.mu.Lock()
	at := &m.enc
	for ; *at != nil; at = &(*at).next {
		if e := *at; e.codec == c {
			wait := e.waitChannel()
			m.mu.Unlock()
			if wait != nil {
				<-wait
			}
			return m.of(e)
		}
	}
	e := &encoded{codec: c}
	*at = e
	if ours && m.isOwn() {
		e.set(m.encodeOwn(jc))
		e.ready = true
		m.mu.Unlock()
		return m.of(e)
	}
	m.mu.Unlock()
	m.encodeEntry(e, m.encode)
	return m.of(e)
}

// withoutCursor returns a copy of m without a cursor. The copy keeps the form of JSON that
// Publish has made, because the payload may have changed since.
func (m *message) withoutCursor() *message {
	c := &message{
		at: m.at, to: &address{promptID: m.to.promptID, to: m.to.to, attempt: m.to.attempt}, payload: m.payload,
		early: m.early, frozen: m.frozen, extension: m.extension,
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.hasJSON() {
		e := *m.enc
		e.next, c.enc = nil, &e
	}
	return c
}

// waitChannel returns the channel that is closed when e is ready; nil if e is ready.
// The message's lock is held.
func (e *encoded) waitChannel() chan struct{} {
	if e.ready {
		return nil
	}
	if e.wait == nil {
		e.wait = make(chan struct{})
	}
	return e.wait
}

// encodeEntry makes an entry ready that the calling goroutine has added. It holds no
// lock while it encodes. The entry becomes ready even if the codec ends the goroutine
// with runtime.Goexit.
func (m *message) encodeEntry(e *encoded, encode func(Codec, Event) (Frame, error)) {
	f, err := Frame{}, errCodecGone
	defer func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		e.set(f, err)
		e.ready = true
		if e.wait != nil {
			close(e.wait)
		}
	}()
	f, err = encode(e.codec, m.event())
}

var errCodecGone = errors.New("nodebus: the codec ended its goroutine with runtime.Goexit")

// encode encodes m with c. If the sender may have changed the payload since Publish, a
// foreign codec receives a copy that is decoded from the JSON, of the same Go type if
// JSON can be decoded into it, otherwise a [Custom].
func (m *message) encode(c Codec, ev Event) (Frame, error) {
	if jc, ours := c.(JSONCodec); ours && m.early {
		return m.encodeOwn(jc)
	}
	if !m.frozen {
		said, _ := m.of(m.enc)
		decoded, err := JSONCodec{}.Decode(said)
		if err != nil {
			return Frame{}, err
		}
		ev.Payload = likeOriginal(decoded.Payload, ev.Payload)
	}
	return encodeSafely(c, ev)
}

// likeOriginal decodes the data of a [Custom] into the Go type of the original payload.
// It returns other payloads, and a payload that it cannot decode, unchanged.
func likeOriginal(decoded, original Payload) Payload {
	c, ok := decoded.(Custom)
	data, text := c.Data.(json.RawMessage)
	if _, custom := original.(Custom); !ok || !text || custom {
		return decoded
	}
	v := reflect.New(reflect.TypeOf(original))
	if err := Protect(func() error { return json.Unmarshal(data, v.Interface()) }); err != nil {
		return decoded
	}
	return v.Elem().Interface().(Payload)
}

// isOwn reports whether a JSONCodec can encode m without calling foreign code. m.mu is
// held.
func (m *message) isOwn() bool {
	if m.hasJSON() {
		return true
	}
	_, standard := standardTraits(m.payload, false)
	return standard
}

// hasJSON reports whether m.enc begins with a ready form of JSON.
func (m *message) hasJSON() bool {
	return m.enc != nil && m.enc.codec == Codec(JSONCodec{}) && m.enc.ready
}

// encodeOwn encodes m with a JSONCodec. If m already has the form of JSON, it uses that
// form, because the payload may have changed since. m.mu is held, unless Publish has
// made the form of JSON.
func (m *message) encodeOwn(c JSONCodec) (Frame, error) {
	if m.hasJSON() {
		return m.encodeAgain(c)
	}
	ev := m.event()
	if t, soFar := ev.Payload.(TextSoFar); soFar && !c.Envelope {
		ev.Payload = ProgressText(t)
	}
	return c.Encode(ev)
}

// encodeAgain encodes m, which has the form of JSON. It is a function of its own so that
// the writers of sessions, which usually do not need it, fit into a small stack.
//
//go:noinline
func (m *message) encodeAgain(c JSONCodec) (Frame, error) {
	f, _ := m.of(m.enc)
	if _, ok := m.payload.(Preview); ok && c.BarePreviews {
		sent, err := decodeBinary(f.Data)
		if err != nil {
			return Frame{}, err
		}
		f.Data = sent.(Preview).appendBare(nil)
	}
	if c.Envelope {
		ev := m.event()
		f = withEnvelope(f, &ev)
	}
	return f, nil
}

var errNoEnvelope = errors.New("only clients that ask for the envelope receive this event")

// encodeSafely calls a codec that may be foreign. Its error is always an
// [*EncodeError], also after a panic. It refuses the same payloads as message.frame.
func encodeSafely(c Codec, ev Event) (f Frame, err error) {
	err = Protect(func() (err error) {
		if jc, ours := c.(JSONCodec); ours && !jc.Envelope && ev.Payload != nil && isExtension(ev.Payload.EventType()) {
			return errNoEnvelope
		}
		f, err = c.Encode(ev)
		return err
	})
	if err == nil {
		return f, nil
	}
	if p := (*PanicError)(nil); errors.As(err, &p) {
		err = fmt.Errorf("codec %T: %w", c, err)
	}
	if as := (*EncodeError)(nil); !errors.As(err, &as) {
		err = &EncodeError{Type: typeName(ev.Payload), Err: err}
	}
	return Frame{}, err
}
