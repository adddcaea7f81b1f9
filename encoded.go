package nodebus

import (
	"errors"
	"fmt"
)

// encoded is the form of a message for one codec. The message's lock guards it until it
// is ready. After that only next changes.
//
// A foreign codec is never called while a lock is held. Therefore the goroutine that
// adds an entry must make it ready, and all others wait until it is ready. Publish adds
// entries for all foreign codecs in use while it holds the hub's lock. It encodes them
// after it has released the lock and before it returns. A worker or a writer that finds
// no entry, because the session began to use the codec later, adds the entry itself.
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
	return Frame{ID: m.id, Type: e.typ, Binary: e.binary, Data: e.data}, !e.refused
}

// reserve adds an entry for each codec. No other goroutine knows the message yet.
func (m *message) reserve(codecs map[Codec]int) {
	at := &m.enc
	for *at != nil {
		at = &(*at).next
	}
	for c := range codecs {
		*at = &encoded{codec: c}
		at = &(*at).next
	}
}

// encodeReserved makes the n entries ready that reserve has added.
func (m *message) encodeReserved(n int) {
	if n == 0 {
		return
	}
	e := m.enc
	if m.early {
		e = e.next
	}
	m.encodeEntries(e, n)
}

// encodeEntries makes e and the n-1 entries after it ready. If a codec ends the
// goroutine with runtime.Goexit, only the entry of this codec is refused.
func (m *message) encodeEntries(e *encoded, n int) {
	defer func() {
		if n > 0 {
			m.encodeEntries(e, n)
		}
	}()
	for n > 0 {
		current := e
		if n--; n > 0 { // do not read next of the last entry: other goroutines may add entries after it
			e = e.next
		}
		m.encodeEntry(current, encodeSafely) // the sender has not changed the payload yet
	}
}

// frame returns the frame of m for c. It encodes m if no goroutine has done so before.
// ok is false if c refuses the event; [JSON] never refuses.
func (m *message) frame(c Codec) (f Frame, ok bool) {
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
	if jc, ours := c.(JSONCodec); ours && m.isOwn() {
		e.set(m.encodeOwn(jc))
		e.ready = true
		m.mu.Unlock()
		return m.of(e)
	}
	m.mu.Unlock()
	m.encodeEntry(e, m.encode)
	return m.of(e)
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

// encode encodes m with c. If Publish has already encoded m as JSON, the sender may
// have changed the payload since; a foreign codec then receives the payload that is
// decoded from the JSON.
func (m *message) encode(c Codec, ev Event) (Frame, error) {
	if !m.early {
		return encodeSafely(c, ev)
	}
	if jc, ours := c.(JSONCodec); ours {
		return m.encodeOwn(jc)
	}
	said, _ := m.of(m.enc)
	decoded, err := JSONCodec{}.Decode(said)
	if err != nil {
		return Frame{}, err
	}
	ev.Payload = decoded.Payload
	return encodeSafely(c, ev)
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
	if !m.hasJSON() {
		return c.Encode(m.event())
	}
	f, _ := m.of(m.enc)
	if _, ok := m.payload.(Preview); ok {
		if !c.BarePreviews {
			return f, nil
		}
		sent, err := decodeBinary(f.Data)
		if err != nil {
			return Frame{}, err
		}
		f.Data = sent.(Preview).appendBare(nil)
		return f, nil
	}
	if c.IDs && !f.Binary {
		f.Data = appendID(f.Data, m.id)
	}
	return f, nil
}

// encodeSafely calls a codec that may be foreign. Its error is always an
// [*EncodeError], also after a panic.
func encodeSafely(c Codec, ev Event) (f Frame, err error) {
	err = Protect(func() (err error) {
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
