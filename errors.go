package nodebus

import (
	"errors"
	"fmt"
	"runtime/debug"
)

// Errors for [errors.Is].
var (
	// ErrClosed means that the hub, the session, the prompt or the call has ended.
	ErrClosed = errors.New("nodebus: closed")
	// ErrSlow ends a session whose missing events the log no longer has, a session whose
	// client takes no bytes, and a loop of [Hub.Subscribe] whose backlog is full.
	ErrSlow = errors.New("nodebus: reader is too slow")
	// ErrUnauthenticated is for the Authorize function of a transport: the request does
	// not say, or does not prove, who sends it. The client receives status 401. For any
	// other error of Authorize the client receives status 403.
	ErrUnauthenticated = errors.New("nodebus: sign in first")
	// ErrForbidden means that the grant of a session does not allow it to watch a prompt.
	ErrForbidden = errors.New("nodebus: the client may not watch this prompt")
	// ErrInterrupted means that a prompt was interrupted. A node may return it to
	// interrupt its prompt.
	ErrInterrupted = errors.New("nodebus: interrupted")
	// ErrNoAddress means that an event has none of PromptID, To and Broadcast.
	ErrNoAddress = errors.New("nodebus: the event has no address; set PromptID, To or Broadcast")
)

// EncodeError means that a payload cannot be encoded: it holds a channel or a
// cycle, or its marshaller failed or panicked. Only the call that sent the payload
// fails.
type EncodeError struct {
	Type string // the payload's Go type
	Err  error
}

func (e *EncodeError) Error() string {
	return fmt.Sprintf("nodebus: cannot encode %s: %v", e.Type, e.Err)
}

func (e *EncodeError) Unwrap() error { return e.Err }

// NodeError contains the node that failed and the reason. Clients receive the kind of
// Err: the result of its method ExceptionType() string, if Err or an error that it
// wraps has this method; otherwise the Go type of Err, for example fs.PathError. If Err is of
// package errors or fmt and wraps no other kind, clients receive "error".
type NodeError struct {
	Place
	Class     string           // the class of the node
	RealClass string           // the class of the node with the id RealID
	Inputs    map[string][]any // the inputs of the failed call, as plain values
	Executed  []string         // unique ids of the nodes that had run, in no particular order
	Cacheable []string         // unique ids of the nodes whose results a cache may hold
	Index     int              // number of the failed call, from 0, for a node that is called for each element of a list
	Err       error            // a *PanicError if the node panicked
}

func (e *NodeError) Error() string {
	if e.Index > 0 {
		return fmt.Sprintf("nodebus: node %s (%s), element %d: %v", e.UniqueID, e.Class, e.Index, e.Err)
	}
	return fmt.Sprintf("nodebus: node %s (%s): %v", e.UniqueID, e.Class, e.Err)
}

func (e *NodeError) Unwrap() error { return e.Err }

// InputError is an error about one input of a node. A node's Validate may return it;
// clients then mark only this input.
type InputError struct {
	Input string // the name of the input
	Err   error
}

func (e *InputError) Error() string { return fmt.Sprintf("input %q: %v", e.Input, e.Err) }

func (e *InputError) Unwrap() error { return e.Err }

// PanicError is a recovered panic of foreign code: a node, codec, transport, listener,
// queue or store.
type PanicError struct {
	Value any    // the argument of panic
	Stack string // the stack of the goroutine that panicked; may be empty
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// Unwrap returns Value if it is an error, otherwise nil.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// BlockedError is the error that [Block] returns.
type BlockedError struct{ Reason string }

func (b *BlockedError) Error() string {
	if b.Reason == "" {
		return "nodebus: blocked"
	}
	return "nodebus: blocked: " + b.Reason
}

// Protect calls f and returns its error. If f panics, Protect returns a [*PanicError]
// with the stack. Executors and transports use it to call foreign code, so that a panic
// ends one call and not the program. It does not stop runtime.Goexit.
func Protect(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: string(debug.Stack())}
		}
	}()
	return f()
}

// is does the same as errors.Is. A panic of a foreign error counts as false.
func is(err, target error) (yes bool) {
	_ = Protect(func() error {
		yes = errors.Is(err, target)
		return nil
	})
	return yes
}

func typeName(v any) string { return fmt.Sprintf("%T", v) }
