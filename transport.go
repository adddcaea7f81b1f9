package nodebus

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Frame is an event encoded for the wire. Data is read-only, because all sessions with
// the same codec share it.
type Frame struct {
	ID     uint64 // of the event; in the greeting and a gap, the place where the session is
	Epoch  string // together with ID the cursor of the event; empty if the frame has no cursor
	Type   string // the event type
	Binary bool   // Data is a binary frame; otherwise it is JSON in UTF-8
	// Outcome is true if the event tells how a prompt ended. A transport whose clients
	// confirm what they receive asks for a confirmation of ID with this frame, see
	// [Session.Confirm].
	Outcome bool
	Data    []byte // the encoded event; read-only
}

// Cursor returns the place of the event in the log.
func (f Frame) Cursor() Cursor { return Cursor{f.Epoch, f.ID} }

// Transport sends frames to one client. A panic in a method of a transport ends only
// its session, with an error.
//
// The hub holds no lock while it calls a transport. A transport may therefore use the
// hub and its session, for example call [Session.Close]. A method of a transport must
// not wait for the end of its own session.
//
// A transport that also reads messages of its client may have a method
//
//	ReadLoop(ctx context.Context) error
//
// It reads until the connection ends and returns the reason. [Session.Serve] calls it
// once, in its own goroutine. When ReadLoop returns, the session ends. ReadLoop must
// return soon after Close has been called. ctx ends with the session.
type Transport interface {
	// Write sends frames in order and flushes. The hub calls the next Write after this
	// Write has returned, perhaps in another goroutine. Write should return when ctx
	// ends. An error ends the session.
	Write(ctx context.Context, frames []Frame) error
	// Close ends the connection. cause is the reason why the session ended; it may be
	// an error of this package. The hub calls Close once, perhaps while a Write, a
	// TryWrite or a ReadLoop runs. Close must end a Write that waits. A Write after
	// Close must fail. The hub ignores the error.
	Close(cause error) error
}

// TryWriter is a [Transport] that can also write without waiting. The hub then needs no
// goroutine for a client that is not behind. Clients that receive the same events share
// the encoded bytes: the hub makes the wire form of a batch of frames once for all
// sessions with the same codec and the same type of transport.
type TryWriter interface {
	Transport
	// AppendFrame appends the wire form of f to dst and returns the result. The result
	// must depend only on f, not on the connection, because the hub sends the same
	// bytes to other connections of the same Go type. AppendFrame may append nothing;
	// then f is not sent.
	AppendFrame(dst []byte, f Frame) []byte
	// TryWrite sends as much of wire as the connection accepts at once. wire holds
	// whole frames. If all bytes are sent, TryWrite returns true. Otherwise it keeps a
	// copy of the rest and returns false. The next Write must send the rest first; it
	// may come without frames. TryWrite must not wait, because one goroutine calls it
	// for many clients. It must not keep wire. The hub does not call it while a Write
	// runs.
	//
	// A connection that cannot write without waiting returns [errors.ErrUnsupported]
	// and sends nothing. The hub then calls Write for this session and never TryWrite
	// again.
	TryWrite(wire []byte) (all bool, err error)
}

// reader is a [Transport] with the method ReadLoop.
type reader interface {
	Transport
	ReadLoop(ctx context.Context) error
}

// Grant contains the rights of a request to a transport: the client's id, and the
// prompts of other clients that it may watch. Authorize of packages ws, sse and comfy
// returns it. The zero Grant allows every client id that the request knows, and the
// watching of no prompt.
type Grant struct {
	Client   string   // the client's id; if empty, the id that the request names, or a new id
	Watch    []string // ids of prompts that the client follows from the start
	WatchAll bool     // the client follows every prompt
	// May reports whether the client may watch a prompt that it asks for. It is called
	// without a lock, perhaps by several goroutines. A panic counts as false. Default:
	// the client may watch only the prompts in Watch.
	May func(promptID string) bool
}

// Allows reports whether the client may watch a prompt.
func (g *Grant) Allows(promptID string) (yes bool) {
	if g.WatchAll || slices.Contains(g.Watch, promptID) {
		return true
	}
	if g.May == nil {
		return false
	}
	err := Protect(func() error {
		yes = g.May(promptID)
		return nil
	})
	return yes && err == nil
}

// writeSafely calls t.Write. It returns a panic as an error.
func writeSafely(ctx context.Context, t Transport, frames []Frame) error {
	return transportError(t, "Write", Protect(func() error { return t.Write(ctx, frames) }))
}

// tryWriteSafely calls t.TryWrite. It returns a panic as an error.
func tryWriteSafely(t TryWriter, wire []byte) (all bool, err error) {
	err = Protect(func() (err error) {
		all, err = t.TryWrite(wire)
		return err
	})
	return all && err == nil, transportError(t, "TryWrite", err)
}

// transportError adds the transport and the method to a panic. It returns other errors
// unchanged.
func transportError(t Transport, method string, err error) error {
	if err == nil {
		return nil
	}
	if p := (*PanicError)(nil); errors.As(err, &p) {
		return fmt.Errorf("nodebus: transport %T: %s: %w", t, method, err)
	}
	return err
}

// closeSafely calls t.Close and ignores its error and panic.
func closeSafely(t Transport, cause error) {
	_ = Protect(func() error { return t.Close(cause) })
}
