package nodebus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/nodebus/nodebus/internal/value"
)

// AwaitOptions holds the options of [Await]. A nil pointer, and a zero value in any
// field, select the defaults.
type AwaitOptions struct {
	// Schema is a JSON Schema of the answer, from which clients can make a form. It only
	// informs clients: nobody checks an answer against it. An answer is refused only if
	// it is not a T. So a node that needs more, for example a number from 1 to 5, checks
	// what Await returns, and calls Await again. Default: {"type": …} if T is a string, a
	// boolean or a number, otherwise none.
	Schema json.RawMessage
	// Timeout is how long the node waits. After that, Await returns [ErrExpired]. Default
	// 0: without a limit. A question that nobody answers then keeps its prompt until the
	// prompt is interrupted or its [Policy] ends it.
	Timeout time.Duration
}

// Errors of [Await].
var (
	// ErrExpired means that nobody answered a question in time.
	ErrExpired = errors.New("nodebus: nobody answered in time")
	// ErrRefused is what a [*RefusedError] wraps, for [errors.Is].
	ErrRefused = errors.New("nodebus: refused")
	// errNoAwait is the error of Await if the executor cannot ask.
	errNoAwait = errors.New("nodebus: this executor cannot ask clients; run the node with an engine")
)

// RefusedError means that a person or a program said no. [Await] returns it if the
// question is refused. If a node returns it, the prompt ends as [Refused].
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string {
	if e.Reason == "" {
		return ErrRefused.Error()
	}
	return "nodebus: refused: " + e.Reason
}

// Is makes errors.Is(e, ErrRefused) true.
func (e *RefusedError) Is(target error) bool { return target == ErrRefused }

// ExceptionType returns "refused", which is the exception_type that clients receive.
func (*RefusedError) ExceptionType() string { return "refused" }

// Await asks clients for an answer and waits for it. Clients receive a [Waiting] event
// and answer with the method Answer of an engine, over HTTP (package comfy) or with
// package client. The node's unique id and name identify the question. If a node asks the same
// question several times, each answer answers one of them, in order. An answer that comes
// before the question is kept for it. So an answer that is sent twice, for example by a
// double click, also answers the next question of that name, and nobody can tell. If that
// would do harm, give each question a name of its own, for example with [Context.Index].
//
// While the node waits, it occupies no worker. If every node of the prompt that has begun
// waits, the prompt does not count as running: other prompts run, also of the same client.
//
// The result of the node, and of all nodes that need it, depends on the answer, so no cache
// keeps it: the next prompt asks again.
//
// If T is any, a number is an int, a uint64 above the range of int, or a float64 if it has a
// fraction or an exponent.
//
// An answer that is not a T is refused to whoever gives it, and Await waits on. null is a
// T only if T is a pointer, an interface, a map or a slice, or if its UnmarshalJSON accepts
// null. If ctx ends after an answer or a refusal was accepted, Await still returns that,
// unless the prompt ends. Errors:
// [ErrExpired] if opts has a timeout and it passes; a [*RefusedError] if the question is
// refused; the cause of ctx if ctx ends, for example because the prompt is interrupted.
func Await[T any](ctx *Context, name string, opts *AwaitOptions) (answer T, err error) {
	if opts == nil {
		opts = &AwaitOptions{}
	}
	if ctx.Ended() {
		return answer, ErrClosed
	}
	if ctx.runtime == nil {
		return answer, errNoAwait
	}
	ctx.flushTexts() // the question comes after what was written before
	q := Waiting{Place: ctx.Place(), PromptID: ctx.PromptID(), Name: name, Schema: opts.Schema}
	if q.Schema == nil {
		q.Schema = schemaOf(reflect.TypeFor[T]())
	}
	if opts.Timeout > 0 {
		q.Deadline = time.Now().Add(opts.Timeout).UnixMilli()
	}
	data, err := ctx.runtime.Await(ctx, q, func(data json.RawMessage) error {
		_, err := decodeAnswer[T](data)
		return err
	})
	if err != nil {
		return answer, err
	}
	if answer, err = decodeAnswer[T](data); err != nil { // only if the executor has not checked it
		err = fmt.Errorf("%w: question %q of node %s", err, name, ctx.UniqueID())
	}
	return answer, err
}

// answerError is the reason why an answer does not fit its question. Clients show it to
// users. It wraps the error of encoding/json, whose text names Go types.
type answerError struct {
	reason string
	err    error
}

func (e *answerError) Error() string { return "nodebus: " + e.reason }
func (e *answerError) Unwrap() error { return e.err }

// decodeAnswer decodes an answer. Its error says why the answer is not a T.
func decodeAnswer[T any](data json.RawMessage) (v T, err error) {
	if err = json.Unmarshal(data, &v); err != nil {
		return v, &answerError{jsonenc.Misfit("the answer", err), err}
	}
	if loose, isAny := any(&v).(*any); isAny && jsonenc.Decode(data, loose) == nil {
		*loose = value.Numbers(*loose)
	}
	if t := reflect.TypeFor[T](); string(bytes.TrimSpace(data)) == "null" && !holdsNull(t) {
		return v, &answerError{reason: "the answer must be " + jsonenc.KindOf(t) + ", but it is null"}
	}
	return v, nil
}

// holdsNull reports whether null is a value of type t. encoding/json leaves other types as
// they are, so that null would be a zero value that nobody has given.
func holdsNull(t reflect.Type) bool {
	switch t.Kind() {
	case reflect.Pointer, reflect.Interface, reflect.Map, reflect.Slice:
		return true
	}
	return reflect.PointerTo(t).Implements(reflect.TypeFor[json.Unmarshaler]())
}

// schemaOf returns the JSON Schema of a simple type; nil for any other type.
func schemaOf(t reflect.Type) json.RawMessage {
	switch t.Kind() {
	case reflect.Bool:
		return json.RawMessage(`{"type":"boolean"}`)
	case reflect.String:
		return json.RawMessage(`{"type":"string"}`)
	case reflect.Float32, reflect.Float64:
		return json.RawMessage(`{"type":"number"}`)
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return json.RawMessage(`{"type":"integer"}`)
	}
	return nil
}
