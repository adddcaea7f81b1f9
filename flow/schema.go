package flow

import (
	"github.com/nodebus/nodebus"
)

// Schema describes a class. In JSON it has the form of an entry of the endpoint
// /object_info, which shows it to clients.
type Schema struct {
	nodebus.Info
	Inputs  []Port // in the order in which a front end shows them
	Outputs []Port
}

// Port is an input or an output of a class. Fields that do not apply are zero.
type Port struct {
	Name string
	// Type is the type of the values: "INT", "IMAGE", …; "*" connects to every type; commas
	// separate alternatives. An input with Grow, Cases or Rest has no Type. The Type of a port
	// with Match is ignored.
	Type     string
	Kind     PortKind
	List     bool // the port takes or returns a whole list
	Lazy     bool
	Default  any          // in the JSON form of the input; nil if there is no default
	Min, Max any          // int64, uint64, float64, or json.Number for more than 64 bits; nil if there is no limit
	Options  []PortOption // options for the client's input widget, in order

	// Choices returns the choices of a drop-down; nil for other ports. A choice is a string,
	// an int64, a float64, a bool, or nil, which is null in JSON. The choices may change from
	// call to call. Choices is called by several goroutines at the same time; if it may panic,
	// use ListChoices.
	Choices func() []any
	Combo   bool // the drop-down has the type COMBO; otherwise its type is its choices
	Multi   bool // the value of the drop-down is a list of choices; it is a Combo
	Raw     bool // the node receives the link, a [nodebus.Link], and not the value; the source runs
	// Unchecked leaves the check of limits and choices to the class's own validator.
	Unchecked bool

	Grow  *Grow  // not nil: the input stands for many
	Cases []Case // not nil: the input is a drop-down, and its choice decides which further inputs there are
	Match *Match // not nil: the type follows from the links of the ports with the same Match
	Rest  bool   // the input takes all inputs that the class does not declare
}

// Grow describes an input that stands for many: a front end shows another socket when the
// last socket is linked. The names of the sockets in a prompt are the name of the input, a
// dot, and an element of Names, or Prefix and a number from 0.
type Grow struct {
	Element Port     // describes each of the inputs; the first Min are required if its Kind is PortRequired
	Prefix  string   // of the names if Names is nil. Default: the name of the input
	Names   []string // at most 100; nil: the names follow from Prefix
	// Min is the number of required inputs, at most Max or the number of Names. Zero requires
	// none. The tag grow and the JSON form may leave the number out: there it is 1, as in ComfyUI.
	Min int
	Max int // the number of names that follow from Prefix, at most 100. Default: 10
}

// Case is one choice of a drop-down that decides which further inputs there are. The names
// of the inputs in a prompt are the name of the drop-down, a dot, and the name here.
type Case struct {
	Key    string
	Inputs []Port
}

// Match ties ports together whose type is not fixed: a front end gives all ports with the
// same ID the type of the first link. The executor does not check the types.
type Match struct {
	ID    string
	Types []string // the types that are possible; empty: all
}

// PortKind says whether an input is required, optional or hidden.
type PortKind string

// The kinds of inputs. Clients do not send hidden inputs: the executor sets them.
// The Type of a hidden input names the value. A name that nodebus does not know is the
// class's own: the value is the secret of this name, or else what the prompt has under the
// name of the input.
const (
	PortRequired PortKind = "required"
	PortOptional PortKind = "optional"
	PortHidden   PortKind = "hidden"
)

// PortOption is a named option of an input. encoding/json must be able to encode
// Value.
type PortOption struct {
	Name  string
	Value any
}

// ListChoices returns the choices of a drop-down. For any other port it returns nil. If
// Choices panics, the error is a [*nodebus.PanicError].
func (p *Port) ListChoices() (values []any, err error) {
	if p.Choices == nil {
		return nil, nil
	}
	err = nodebus.Protect(func() error { values = p.Choices(); return nil })
	return values, err
}
