package nodebus

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"

	"github.com/nodebus/nodebus/internal/value"
)

// Node is implemented by a class of nodes. The exported fields of the struct are the
// inputs. Run computes the output. The executor makes a new copy of the struct for
// each call, so Run cannot keep state in it. Unexported fields are copied from the
// value that was registered.
//
// Out is one of:
//
//   - the type of the only output
//   - a struct: its fields with an `out` tag are the outputs and may have a tip; a
//     field of type [UI] holds what the node shows. Fields of embedded structs count, too
//   - [UI], for a node that only shows something
//   - struct{}, for a node that has neither outputs nor a UI
//
// Tags of an input's field:
//
//	in:"name,optional"  name of the input; default: the field's name in snake
//	                    case; - means that the field is no input.
//	                    Flags: optional, force (must be linked), combo (a
//	                    drop-down of the newer form), unchecked (Validate
//	                    checks limits and choices instead of the executor), raw
//	                    (the field is a Link and receives the link itself),
//	                    rest (a slice or map that takes all inputs that the
//	                    class does not declare, see [Named])
//	default:"0.5"       initial value in a front end, within the limits and
//	                    options below; also the value of an optional input
//	                    that the prompt leaves out. A prompt must still contain
//	                    required inputs; graphs made at run time need not. On a
//	                    field of type any: JSON, or else a text
//	min:"0" max:"1"     limits; step:"0.1" is the step of the front end's control
//	options:"a,b"       the choices of a drop-down of strings or numbers; a type
//	                    with a method Options, which returns a slice of them, is
//	                    a drop-down, too; a slice takes several choices. A
//	                    choice with a comma needs a JSON list: options:"[\"a,b\"]".
//	                    An empty tag asks the node, see [Chooser]
//	type:"A,B"          port types that the input accepts; default: the result of
//	                    the type's method PortType() string, or else the
//	                    field's type in capitals
//	tip:"…"             help text
//	multiline:"true"    a text field with several lines
//	widget:"image_upload,display=slider"  options that only a front end uses; a value is
//	                    JSON, or else a text without a comma
//	grow:"image,min=1,max=50"  a slice, map or []Named that stands for the inputs
//	                    image0 to image49, or grow:"names=a|b"; other tags
//	                    describe one of them, which may be a Lazy or a List
//	choice:"fine"       on the fields of a struct that is an input: a drop-down.
//	                    Each field is a pointer to a struct with the inputs of
//	                    the choice; the executor sets one of them
//	match:"T,IMAGE"     ports with the same id T have the type of the first link,
//	                    one of those listed; also on outputs
//	hidden:"UNIQUE_ID"  the executor sets the field: UNIQUE_ID, PROMPT_ID, PROMPT,
//	                    DYNPROMPT, EXTRA_PNGINFO, AUTH_TOKEN_COMFY_ORG,
//	                    API_KEY_COMFY_ORG, COMFY_USAGE_SOURCE. Any other name is
//	                    the node's own: the value is the secret of this name, or
//	                    else what the prompt has under the name of the input, so a
//	                    client may set it
//
// A pointer is nil if an optional input is not given and has no default. A type with a
// method UnmarshalText or UnmarshalJSON reads literals with it.
//
// In a field of type any, a number of a prompt, of a default or of EXTRA_PNGINFO is an int, a
// uint64 above the range of int, or a float64 if it has a fraction or an exponent, also inside
// of lists and objects. A value over a link has the type that its source returned, except
// that a nil pointer becomes nil. Numbers inside PROMPT and DYNPROMPT may also be an int64 or a
// [json.Number], so that they can be written again. [To] converts all of them.
//
// The executor may call Run in several goroutines at the same time. Other nodes
// share the values of the inputs: Run must not modify them.
type Node[Out any] interface {
	Run(ctx *Context) (Out, error)
}

// Info describes a class of nodes: what the Go struct and its tags cannot express. All
// fields are optional.
type Info struct {
	Name        string // the class in prompts; default: the name of the Go type
	Title       string // the name that users see; default: Name
	Category    string // the menu of the front end, with / between levels
	Description string
	Output      bool // the node runs even if no node uses its outputs; implied if Run returns only a UI
	Async       bool // the node mostly waits and computes little, so it runs without a worker slot
	// NoCache keeps equal nodes with different ids from sharing a result. The result is
	// still cached for the node id: a later prompt that has an equal node with the same
	// id takes it, also a prompt of another client. For a node that must run in every
	// prompt, write a [Fingerprinter] that returns an error.
	NoCache bool
	// Intermediate makes clients receive what a cached node shows in every prompt that
	// succeeds. Without it, they receive nothing of a cached node in the middle of a graph,
	// because only the outputs of the graph are visited. Immediately before the prompt ends,
	// each node of the class that the prompt has, that has a cached result and that was not
	// visited sends its [UI] again, and the record has it. The node does not run for it, and
	// Intermediate does not make it an output node. The executor does this: flow.Local does,
	// an executor of your own may not.
	Intermediate bool

	Deprecated   bool     // the front end marks the node and offers it last
	Experimental bool     // the front end marks the node
	DevOnly      bool     // the front end hides the class unless its developer mode is on
	Search       []string // more words by which the front end's search finds the node
	Essentials   string   // the group of the front end's Essentials tab that has the node; default: the tab does not have it
	// Module says where the class comes from. The front end takes the first part, up to the
	// first dot: nodes, comfy_extras and comfy_api_nodes are ComfyUI itself. custom_nodes is
	// a pack; the second part is its name, as in custom_nodes.my-pack, which the front end
	// shows beside the node, and asks for help. For any other module, it shows a question
	// mark. Default: nodes.
	Module string
	// APINode says that the node uses a service that costs money. The front end marks the node,
	// and asks users to sign in to ComfyUI's service before they run it; it does not ask if the
	// server announces the feature flag partner_run_gate_enabled as false.
	APINode bool
	// PriceBadge is a JSON object that says what a run of an APINode costs, as in ComfyUI:
	// {"engine":"jsonata","depends_on":{"widgets":[{"name":"n","type":"INT"}],"inputs":[],"input_groups":[]},"expr":"…"}.
	// The front end computes the price from the inputs. Default: no price.
	PriceBadge json.RawMessage

	// Help is a text about the node in Markdown. The front end shows it instead of the
	// Description, when a user asks for help. The server of package comfy serves it; only a
	// file of the host at the same address comes before it. Help is for all languages.
	Help string
}

// Validator is implemented by nodes that check their inputs when the prompt is
// submitted. At that time, inputs that are linked to other nodes have their zero value. To
// tell a link from a literal that is empty or 0, make the field of a required input a pointer:
// it is nil for a link, and not for a text, a number or a truth value.
// Clients receive the error for each input that was given; if none was, for the node. If the
// error is an [InputError], clients receive it only for the input that it names. Each error in
// an [errors.Join] is an error of its own.
//
// ctx ends when whoever submits the prompt gives up. It knows the prompt as it was
// submitted and the ids, but no secrets. The node does not run yet: SendSync, Eval and
// Await return errors, and Progress does nothing. ctx is of no use after Validate has
// returned.
//
// A node may also have a method ValidateLinks(ctx *Context, types map[string]string) error.
// The executor calls it before Validate. types maps the name of each linked input to the
// port type of the output it is linked to. Such a node accepts links of every type for
// which ValidateLinks returns nil.
type Validator interface{ Validate(ctx *Context) error }

// Chooser is implemented by nodes with drop-downs whose choices depend on what the program has
// given to the registered node, for example on a folder. Choices is called on the registered
// node, with the name of an input that has an empty tag `options:""`: when a client asks for
// the choices, and when a prompt is checked. For an input below another input, it is the last
// part of the name; for an input that grows, the prefix. Choices must be safe for concurrent
// use. If it panics, the class is left out of /object_info, and the check of the node fails.
type Chooser interface {
	Choices(input string) []string
}

// Fingerprinter is implemented by nodes whose result depends on more than their inputs,
// for example on the content of a file. The result of Fingerprint becomes part of the
// cache key. If Fingerprint returns an error, the node runs, and so do the nodes that need
// it: no cache keeps their results. At the time of the call, inputs that are linked to
// other nodes have their zero value. ctx ends with the prompt. It is as limited as the
// context of a [Validator], but it also knows the secrets.
type Fingerprinter interface {
	Fingerprint(ctx *Context) (string, error)
}

// Lazy is an input that the executor computes only if the node calls Get.
type Lazy[T any] struct {
	_   [0]T // makes the type of the value visible to reflection
	get func(context.Context) (any, error)
}

// Bind sets the function from which Get takes the value. Only executors call Bind,
// before the node runs.
func (l *Lazy[T]) Bind(get func(context.Context) (any, error)) { l.get = get }

// Get waits for the value and returns it. It returns early when ctx ends. It returns an
// error if the node that computes the value fails, is blocked, or itself needs the node
// that called Get. For an optional input that is not connected, Get returns the zero
// value.
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

// Given reports whether Get has a value to wait for: the input is linked, the prompt has a
// literal for it, or it has a default. It is false for an optional input that is left out, and
// for the zero Lazy. Given does not compute anything.
//
// A node that package flow calls for another executor, see flow.Class.Call, looks into the
// prompt. If the prompt does not have the node, Given is true.
func (l Lazy[T]) Given() bool { return l.get != nil }

// receive converts a value from a link to a T. T may be a List.
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

// Ready returns a Lazy that already has its value, for tests of nodes.
func Ready[T any](v T) Lazy[T] {
	return Lazy[T]{get: func(context.Context) (any, error) { return v, nil }}
}

// List is a list of values that stays one value. A node with a List input is called
// once for the whole list, not once for each element; each of its other inputs then has
// the first element of its list, unless it is a List too. If a node returns a List, the
// elements are passed on one by one. In Go code, any slice may be given for a List.
type List[T any] []T

// SetValues fills the list and converts each value to T. It is for executors.
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

// Values returns the elements. It is for executors.
func (l List[T]) Values() []any { return anyList(l) }

// Out is an output that can be something else than a value: the output of another node
// can replace it, or it can be blocked although the node's other outputs are not. The
// zero Out holds the zero value of T.
type Out[T any] struct {
	Value T
	// Blocked, if not nil, skips the nodes that depend on this output: see [Block].
	Blocked error
	// From, if set, is the output of another node. Its result replaces Value. The node
	// belongs to Graph, which runs after this node, or to the prompt. Without From, Value
	// stands, and the output nodes of Graph run, if it has any.
	From  Link
	Graph *Graph
}

// Any returns a copy of o whose value is an any. It is for executors.
func (o Out[T]) Any() Out[any] {
	return Out[any]{Value: o.Value, Blocked: o.Blocked, From: o.From, Graph: o.Graph}
}

// Block returns an error that skips the nodes that depend on a node. The prompt
// continues. Return the error from Run, or set it as [Out].Blocked. If reason is not
// empty, the client receives reason once for each skipped node that takes a value
// directly from the blocked node. Nodes further downstream are skipped without a
// message. The error is a [*BlockedError].
func Block(reason string) error { return &BlockedError{Reason: reason} }

// Eval runs the nodes of g and returns the value at out. Like [Lazy.Get] it waits, and
// the node does not hold its worker slot while it waits. It returns an error if the
// executor does not run graphs made by nodes.
func Eval[T any](ctx *Context, g *Graph, out Link) (T, error) {
	all, err := EvalAll[T](ctx, g, out)
	if err != nil {
		var zero T
		return zero, err
	}
	return all[0], nil
}

// EvalAll is [Eval] for several values. The nodes that compute them run side by side, as
// nodes of a prompt do. g may contain several graphs that have nothing to do with each
// other: one [Graph] is enough to evaluate all of them. The values have the order of outs.
// If T is any, each value may have another type. EvalAll returns an error if one of the
// values cannot be computed or is blocked.
func EvalAll[T any](ctx *Context, g *Graph, outs ...Link) ([]T, error) {
	switch {
	case ctx.Ended():
		return nil, ErrClosed
	case ctx.runtime == nil:
		return nil, errNoGraphs
	case len(outs) == 0:
		return nil, nil
	}
	values, err := ctx.runtime.Eval(ctx, g, outs...)
	if err != nil {
		return nil, err
	}
	if len(values) != len(outs) {
		return nil, fmt.Errorf("nodebus: the executor returned %d values for %d outputs", len(values), len(outs))
	}
	all := make([]T, len(values))
	for i, v := range values {
		if all[i], err = receive[T](v); err != nil {
			return nil, err
		}
	}
	return all, nil
}

var errNoGraphs = errors.New("nodebus: this executor does not run graphs made by nodes")

// To converts a value of type any, for example an input or a literal in a graph, to a T. It has
// the rules of a link between two nodes: a T passes unchanged. A number becomes a number of
// another type if that can hold it; a fraction does not become an integer. A value may become a
// pointer to a copy of it, and the other way round. The elements of a []any are converted one by one.
// A type with a method UnmarshalText or UnmarshalJSON reads text and other literals with it.
//
// To also reads decoded JSON: an object becomes a struct as in encoding/json, and each
// [json.Number] becomes an int, a uint64 above the range of int, or a float64 if it has a
// fraction or an exponent. To[any] does only that, also inside of lists and objects.
//
// The error says what v is and what was wanted. To never modifies v.
func To[T any](v any) (T, error) {
	decoded := false
	switch v.(type) {
	case map[string]any, []any:
		v, decoded = value.Numbers(v), true
	}
	t, err := receive[T](v)
	if err == nil {
		return t, nil
	}
	if decoded {
		if lit, bad := value.Literal(reflect.TypeFor[T](), v); bad == nil {
			return lit.(T), nil
		}
	}
	var zero T
	return zero, fmt.Errorf("nodebus: To: %w", err)
}

// Named is an input with its name. A node uses it where the names of inputs are not fixed:
// the executor fills a field of type []Named[T] in the order in which the inputs were given.
type Named[T any] struct {
	Name  string
	Value T
}
