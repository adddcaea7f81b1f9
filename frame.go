package nodebus

import "context"

// Frame is an event encoded for the wire. Sessions with the same codec share
// it, and what a transport makes of it.
type Frame struct {
	ID     uint64
	Type   string
	Binary bool
	Data   []byte // read-only

	m *message
	e *encoded
}

// Form is how a transport puts frames on the wire. Its address is its identity:
// a package has one, in a variable.
type Form struct {
	// Append appends the wire form of f. It must depend on f alone.
	Append func(dst []byte, f Frame) []byte
}

type wire struct {
	form *Form
	data []byte
	next *wire
}

// Wire returns f in a transport's form, which is made once and shared by all
// sessions that are sent this frame. The result is read-only.
func (f Frame) Wire(form *Form) []byte {
	if f.m == nil {
		return form.Append(nil, f)
	}
	f.m.mu.Lock()
	defer f.m.mu.Unlock()
	for w := f.e.wires; w != nil; w = w.next {
		if w.form == form {
			return w.data
		}
	}
	w := &wire{form: form, data: form.Append(make([]byte, 0, len(f.Data)+len(f.Type)+32), f), next: f.e.wires}
	f.e.wires = w
	return w.data
}

// Transport is the write half of one client's connection; its package does the
// reading. A panic in either method ends the session with an error.
type Transport interface {
	// Write sends frames in order and flushes. The next call comes once it has
	// returned, perhaps from another goroutine. It should end when ctx does.
	Write(ctx context.Context, frames []Frame) error
	// Close ends the connection because of cause, which may be one of this
	// package's errors. It is called once, perhaps while a Write waits, which it
	// must end. What is written after it must fail: nobody will have it.
	Close(cause error) error
}

// TryWriter is a Transport that can also write without waiting. The hub then
// needs no goroutine switch for a client that keeps up, and clients that are
// due the same events share one [Batch].
type TryWriter interface {
	Transport
	// TryWrite sends what the connection takes at once. Unless that is all, it
	// keeps the rest, answers false, and sends it first in the next Write, which
	// may come without frames. It is never called while a Write runs, must return,
	// since one goroutine calls it for many clients, and must not keep b.
	TryWrite(b *Batch) (all bool, err error)
}

// Batch is a run of frames due to one or more clients at once.
type Batch struct {
	frames []Frame
	msgs   []*message
	form   *Form
	wire   []byte
	buf    []byte
}

// NewBatch makes a batch, for tests of a [TryWriter].
func NewBatch(frames ...Frame) *Batch { return &Batch{frames: frames} }

// Frames returns the frames, oldest first; read-only.
func (b *Batch) Frames() []Frame { return b.frames }

// Wire returns the frames in a transport's form, one after the other. It is made
// once for all clients of the batch and valid until TryWrite returns.
func (b *Batch) Wire(form *Form) []byte {
	if b.form != form {
		b.buf = b.buf[:0]
		for _, f := range b.frames {
			b.buf = form.Append(b.buf, f)
		}
		b.form, b.wire = form, b.buf
	}
	return b.wire
}
