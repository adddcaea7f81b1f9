package nodebus

import (
	"context"
	"errors"
	"fmt"
)

// Frame is an event encoded for the wire. Sessions with the same codec share a
// frame.
type Frame struct {
	ID     uint64
	Type   string
	Binary bool
	Data   []byte // read-only
}

// Transport carries frames to one client. A panic in a method of a transport ends
// the session with an error; no other session notices.
//
// The hub holds no lock while it calls a transport. A transport may therefore use
// the hub and its session, for example call [Session.Close]. A method of a transport
// must not wait for the end of its own session.
//
// A transport that also reads what its client sends may have a method
//
//	ReadLoop(ctx context.Context) error
//
// which reads until the connection ends, and returns the reason. [Session.Serve] calls
// it once, in its own goroutine; its return ends the session. ReadLoop must return
// soon after Close has been called. ctx ends with the session.
type Transport interface {
	// Write sends frames in order and flushes. The next Write begins after this Write
	// has returned, perhaps in another goroutine. Write should return when ctx ends.
	Write(ctx context.Context, frames []Frame) error
	// Close ends the connection because of cause, which may be an error of this
	// package. The hub calls Close once, perhaps while a Write, a TryWrite or a
	// ReadLoop runs. Close must end a Write that waits. A Write after Close must fail.
	Close(cause error) error
}

// TryWriter is a [Transport] that can also write without waiting. The hub then needs
// no goroutine for a client that keeps up. Clients that receive the same events share
// the bytes: the hub makes the wire form of a batch of frames once for all sessions
// that have the same codec and the same type of transport.
type TryWriter interface {
	Transport
	// AppendFrame appends the wire form of f to dst and returns the result. It must
	// depend on f alone, and not on the connection: the hub sends the bytes to other
	// connections of the same Go type, too. It may append nothing, to leave f out.
	AppendFrame(dst []byte, f Frame) []byte
	// TryWrite sends as much of wire as the connection takes at once. wire holds whole
	// frames. If all of wire is sent, TryWrite returns true. Otherwise it keeps a copy of
	// the rest, returns false, and sends the rest first in the next Write, which may come
	// without frames. TryWrite must not wait, because one goroutine calls it for many
	// clients, and it must not keep wire. It does not run while a Write runs.
	//
	// A connection that cannot write without waiting returns [errors.ErrUnsupported]
	// and sends nothing. The hub then calls Write for this session and does not try again.
	TryWrite(wire []byte) (all bool, err error)
}

// reader is a [Transport] that also reads; see there.
type reader interface {
	Transport
	ReadLoop(ctx context.Context) error
}

// Grant says what a request to a transport may do: which client it is, and which
// prompts of other clients it may watch.
type Grant struct {
	Client   string   // the client's id; empty: the id that the request asks for, or a new id
	Watch    []string // ids of prompts that it may watch
	WatchAll bool     // it may watch every prompt
}

// writeSafely calls t.Write. A panic is an error.
func writeSafely(ctx context.Context, t Transport, frames []Frame) error {
	return transportError(t, "Write", Protect(func() error { return t.Write(ctx, frames) }))
}

// tryWriteSafely calls t.TryWrite. A panic is an error.
func tryWriteSafely(t TryWriter, wire []byte) (all bool, err error) {
	err = Protect(func() (err error) {
		all, err = t.TryWrite(wire)
		return err
	})
	return all && err == nil, transportError(t, "TryWrite", err)
}

// transportError says where a panic came from. Other errors stay as they are.
func transportError(t Transport, method string, err error) error {
	if err == nil {
		return nil
	}
	if p := (*PanicError)(nil); errors.As(err, &p) {
		return fmt.Errorf("nodebus: transport %T: %s: %w", t, method, err)
	}
	return err
}

// closeSafely calls t.Close. Nobody can use its error.
func closeSafely(t Transport, cause error) {
	_ = Protect(func() error { return t.Close(cause) })
}
