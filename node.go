package nodebus

import (
	"context"
	"errors"
	"fmt"
	"reflect"
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
//	                    options below; and what an optional input is if the
//	                    prompt does not say. A required one must be said all the
//	                    same, except of nodes made at run time
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
// Inputs that are linked are zero then. The error is told about each input that
// was given; an [InputError], about that input alone.
//
// A node may also have a method ValidateLinks(types map[string]string) error: it
// is asked first, with the port types of what is linked to its inputs, by name.
// Such a node may be linked to anything, unless it says no.
type Validator interface{ Validate() error }

// Fingerprinter is a node that depends on more than its inputs, a file's
// content say. Its answer joins the cache key; an error makes the node run.
// Inputs that are linked are zero then.
type Fingerprinter interface{ Fingerprint() (string, error) }

// UI is what a node shows: names, each with a list. Lists of images and the
// like hold [File] values.
type UI map[string][]any

// File names a file for clients to fetch.
type File struct {
	Filename  string `json:"filename"`
	Subfolder string `json:"subfolder"`
	Type      string `json:"type"` // the folder: "output", "temp" or "input"
}

// Text shows lines of text.
func Text(lines ...string) UI {
	list := make([]any, len(lines))
	for i, l := range lines {
		list[i] = l
	}
	return UI{"text": list}
}

// Images shows image files.
func Images(files ...File) UI {
	list := make([]any, len(files))
	for i, f := range files {
		list[i] = f
	}
	return UI{"images": list}
}

// Lazy is an input that is computed only if Get is called.
type Lazy[T any] struct {
	get func(context.Context) (any, error)
}

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

// receive is a value that came over a link as a T, which may be a List.
func receive[T any](v any) (t T, err error) {
	if list, ok := any(&t).(listPort); ok {
		err = list.fill(listOf(v, list.elem()))
		return t, err
	}
	if list, ok := v.(many); ok {
		v = []any(list)
	}
	return convertTo[T](v)
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

// Block stops what depends on a node, but not the prompt: return it as the error
// of Run, or put it into [Out].Blocked. A reason that is not empty is told to
// the client by each node that takes something from the blocked one and is
// skipped; those after them are silent. The error is [ErrBlocked].
func Block(reason string) error { return &blocked{reason: reason} }

type blocked struct{ reason string }

func (b *blocked) Error() string {
	if b.reason == "" {
		return "nodebus: blocked"
	}
	return "nodebus: blocked: " + b.reason
}

// Is makes it [ErrBlocked].
func (b *blocked) Is(target error) bool { return target == ErrBlocked }

// blockOf is why an output is blocked, which must be what Block made.
func blockOf(output string, err error) (*blocked, error) {
	b, ok := err.(*blocked) //nolint:errorlint // nothing around it
	if !ok {
		return nil, fmt.Errorf("output %q: Blocked is %w; use Block for a reason", output, err)
	}
	return b, nil
}

// Eval runs nodes made at run time and returns the value at out. Like
// [Lazy].Get it waits, and gives the node's worker slot back meanwhile.
func Eval[T any](ctx *Context, g *Graph, out Link) (T, error) {
	var zero T
	if ctx.rt == nil {
		return zero, errNoGraphs
	}
	v, err := ctx.rt.Eval(ctx, g, out)
	if err != nil {
		return zero, err
	}
	return receive[T](v)
}

var errNoGraphs = errors.New("nodebus: this executor does not run graphs made by nodes")

// What schema.go and the executors need to know of the generic types.

type lazyPort interface {
	elem() reflect.Type
	bind(get func(context.Context) (any, error))
}

func (*Lazy[T]) elem() reflect.Type { return reflect.TypeFor[T]() }

func (l *Lazy[T]) bind(get func(context.Context) (any, error)) { l.get = get }

type listPort interface {
	elem() reflect.Type
	fill(values []any) error
	values() []any
}

func (*List[T]) elem() reflect.Type { return reflect.TypeFor[T]() }

func (l *List[T]) fill(values []any) error {
	*l = make(List[T], len(values))
	for i, v := range values {
		e, err := convertTo[T](v)
		if err != nil {
			return fmt.Errorf("element %d: %w", i, err)
		}
		(*l)[i] = e
	}
	return nil
}

func (l *List[T]) values() []any {
	vs := make([]any, len(*l))
	for i, v := range *l {
		vs[i] = v
	}
	return vs
}

// listOf is the list that v is, or that of v alone, to fill a List of elem.
func listOf(v any, elem reflect.Type) []any {
	if all, ok := elements(v, elem); ok {
		return all
	}
	return []any{v}
}

// elements takes a list apart. A slice that may be either is one element if it
// has the elements' own type or, where any will do, if it is of bytes or of a
// named type.
func elements(v any, elem reflect.Type) (all []any, ok bool) {
	switch v := v.(type) {
	case many:
		return v, true
	case []any:
		return v, true
	}
	list := reflect.ValueOf(v)
	if list.Kind() != reflect.Slice || isElement(list.Type(), elem) {
		return nil, false
	}
	all = make([]any, list.Len())
	for i := range all {
		all[i] = list.Index(i).Interface()
	}
	return all, true
}

func isElement(slice, elem reflect.Type) bool {
	switch {
	case !slice.AssignableTo(elem):
		return false
	case elem.Kind() != reflect.Interface || isBytes(slice):
		return true
	}
	return slice.Name() != "" && !reflect.PointerTo(slice).Implements(listPortType)
}

func isBytes(slice reflect.Type) bool { return slice.Elem().Kind() == reflect.Uint8 }

var listPortType = reflect.TypeFor[listPort]()

type outPort interface {
	elem() reflect.Type
	split() (value any, from Link, g *Graph, blocked error)
}

func (*Out[T]) elem() reflect.Type { return reflect.TypeFor[T]() }

func (o *Out[T]) split() (any, Link, *Graph, error) { return o.Value, o.From, o.Graph, o.Blocked }
