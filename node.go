package nodebus

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/nodebus/nodebus/internal/value"
)

// Node is one kind of node. Its exported fields are its inputs; Run turns them
// into its output. Each call gets a fresh copy, so Run keeps no state in it;
// unexported fields are copied from the value given to [Register].
//
// Out is the type of the one output; or a struct whose fields with an `out` tag
// are the outputs, and may have a tip, with a field of type [UI] for what the node
// shows; or UI alone.
//
// Tags of an input's field:
//
//	in:"name,optional"  its name, by default the field's in snake case; - for no
//	                    input; flags: optional, force (must be linked), combo
//	                    (a drop-down of the newer form), unchecked (Validate
//	                    checks limits and choices)
//	default:"0.5"       what a front end begins with, within the limits and
//	                    options below; and used for an optional input that the
//	                    prompt leaves out. Required inputs must still be given,
//	                    except in graphs made at run time
//	min:"0" max:"1"     limits, and the step of the front end's control: step
//	options:"a,b"       a drop-down; so is a string type with Options() []string
//	type:"A,B"          the port types it connects to, by default the field's
//	                    type in capitals, or what its PortType() string says
//	tip:"…" multiline:"true"
//	widget:"image_upload,display=slider"  what only a front end understands
//	hidden:"UNIQUE_ID"  filled by the executor: also PROMPT_ID, PROMPT,
//	                    DYNPROMPT, EXTRA_PNGINFO, AUTH_TOKEN_COMFY_ORG,
//	                    API_KEY_COMFY_ORG
//
// Run may be called at the same time in several goroutines. Values it is given
// are shared with other nodes and must not be modified.
type Node[Out any] interface {
	Run(ctx *Context) (Out, error)
}

// Info is what the struct cannot say about itself.
type Info struct {
	Name        string // class name; default: the Go type's name
	Title       string // for people; default: Name
	Category    string // where node libraries list it, with / between levels
	Description string
	Output      bool // run even if nothing reads it; implied when it returns UI alone
	Async       bool // waits more than it computes, so needs no worker slot
	NoCache     bool // two equal nodes are not the same, and none is remembered under another id
}

// Validator is a node that checks its inputs when the prompt is submitted.
// Inputs that are linked are zero then. Clients receive the error for each input that
// was given; an [InputError], for its input alone.
//
// A node may also have a method ValidateLinks(types map[string]string) error: it
// is asked first, with the port types of what is linked to its inputs, by name.
// Such a node may be linked to anything, unless it says no.
type Validator interface{ Validate() error }

// Fingerprinter is a node that depends on more than its inputs, a file's
// content say. Its answer joins the cache key; an error makes the node run.
// Inputs that are linked are zero then.
type Fingerprinter interface{ Fingerprint() (string, error) }

// Lazy is an input that is computed only if Get is called.
type Lazy[T any] struct {
	_   [0]T // gives the type of the value to those who use reflection
	get func(context.Context) (any, error)
}

// Bind sets where Get takes the value from, for executors. It is called before
// the node runs.
func (l *Lazy[T]) Bind(get func(context.Context) (any, error)) { l.get = get }

// Get waits until the value is there. It ends early when ctx does, and with an
// error if what it waits for fails, is blocked, or needs this node itself. An
// optional input that is not connected is the zero value.
func (l Lazy[T]) Get(ctx context.Context) (T, error) {
	var zero T
	if l.get == nil {
		return zero, nil
	}
	v, err := l.get(ctx)
	if err != nil {
		return zero, err
	}
	return receive[T](v)
}

// receive converts a value that came over a link to a T, which may be a List.
func receive[T any](v any) (t T, err error) {
	if list, ok := any(&t).(interface{ SetValues([]any) error }); ok {
		err = list.SetValues(value.ListOf(v, reflect.TypeFor[T]().Elem()))
		return t, err
	}
	if list, ok := v.(value.List); ok {
		v = []any(list)
	}
	return value.To[T](v)
}

// Ready returns a Lazy whose value is there already, for tests of nodes.
func Ready[T any](v T) Lazy[T] {
	return Lazy[T]{get: func(context.Context) (any, error) { return v, nil }}
}

// List is a whole list. As an input, it makes the node be called once, not once
// per element, and its other inputs are the first of theirs unless they are
// lists too. As an output, its elements go on one by one. In Go, any slice may
// be given where a List is taken.
type List[T any] []T

// SetValues fills the list, converting each value to T, for executors.
func (l *List[T]) SetValues(values []any) error {
	*l = make(List[T], len(values))
	for i, v := range values {
		e, err := value.To[T](v)
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		(*l)[i] = e
	}
	return nil
}

// Values returns the elements, for executors.
func (l List[T]) Values() []any { return anyList(l) }

// Out is an output that need not be a value: another node may stand in for it,
// or it may be blocked while the node's other outputs are not. The zero value
// is the zero value of T.
type Out[T any] struct {
	Value T
	// Blocked, if not nil, stops what depends on this output: see [Block].
	Blocked error
	// From, if set, is the output of a node whose result goes on in the place of
	// Value: a node of Graph, which runs after this one, or one of the prompt.
	From  Link
	Graph *Graph
}

// Any returns o with its value as an any, for executors.
func (o Out[T]) Any() Out[any] {
	return Out[any]{Value: o.Value, Blocked: o.Blocked, From: o.From, Graph: o.Graph}
}

// Block stops what depends on a node, but not the prompt: return it as the error
// of Run, or put it into [Out].Blocked. If reason is not empty,
// the client receives it for each node that is skipped because it takes a value from
// the blocked node. Nodes further down are skipped without a message. The error is a [*BlockedError].
func Block(reason string) error { return &BlockedError{Reason: reason} }

// Eval runs nodes made at run time and returns the value at out. Like
// [Lazy].Get it waits, and gives the node's worker slot back meanwhile.
func Eval[T any](ctx *Context, g *Graph, out Link) (T, error) {
	var zero T
	if ctx.call.Runtime == nil {
		return zero, errNoGraphs
	}
	v, err := ctx.call.Runtime.Eval(ctx, g, out)
	if err != nil {
		return zero, err
	}
	return receive[T](v)
}

var errNoGraphs = errors.New("nodebus: this executor does not run graphs made by nodes")
