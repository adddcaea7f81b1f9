package refpack

import (
	"errors"
	"fmt"
	"slices"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/pyfmt"
)

// StubInt returns its input.
type StubInt struct {
	Value int `default:"0" min:"-4294967295" max:"4294967295" step:"1"`
}

// Run returns the value.
func (n StubInt) Run(*nodebus.Context) (int, error) { return n.Value, nil }

// RefAdd adds two integers.
type RefAdd struct {
	A int `default:"0" min:"-1000000" max:"1000000"`
	B int `default:"0" min:"-1000000" max:"1000000"`
}

type sum struct {
	Sum int `out:"sum"`
}

// Run returns the sum.
func (n RefAdd) Run(*nodebus.Context) (sum, error) { return sum{n.A + n.B}, nil }

// RefPass returns its input.
type RefPass struct{ Value any }

// Run returns the value.
func (n RefPass) Run(*nodebus.Context) (any, error) { return n.Value, nil }

// RefOutput shows a value as text and passes the value on.
type RefOutput struct{ Value any }

type shown struct {
	Value any `out:"*"`
	UI    nodebus.UI
}

// Run returns the value. Clients see the value as text in Python's format.
func (n RefOutput) Run(*nodebus.Context) (shown, error) {
	return shown{n.Value, nodebus.Text(pyfmt.Str(n.Value))}, nil
}

// RefRaise fails with a message.
type RefRaise struct {
	Value   any
	Message string `default:"boom"`
}

// Run returns the error.
func (n RefRaise) Run(*nodebus.Context) (any, error) { return nil, errors.New(n.Message) }

// RefTypes has one input for each kind of literal that validation checks.
type RefTypes struct {
	I int     `default:"5" min:"0" max:"10" step:"1"`
	F float64 `default:"0.5" min:"0" max:"1"`
	S string  `default:""`
	B bool    `default:"true"`
	C string  `options:"red,green,blue" default:"red"`

	Big     thirty `in:",optional"`
	O       int    `in:",optional" min:"0" max:"3"`
	IOCombo string `in:"io_combo,optional,combo" options:"x,y"`
}

type types struct {
	I int     `out:"INT"`
	F float64 `out:"FLOAT"`
	S string  `out:"STRING"`
	B bool    `out:"BOOLEAN"`
}

// Run returns the required values except the choice.
func (n RefTypes) Run(*nodebus.Context) (types, error) { return types{n.I, n.F, n.S, n.B}, nil }

// thirty is a drop-down with too many options for an error message to list.
type thirty string

// Options returns opt0 to opt29.
func (thirty) Options() []string {
	names := make([]string, 30)
	for i := range names {
		names[i] = fmt.Sprint("opt", i)
	}
	return names
}

// RefValidate checks its inputs itself. Mode selects how the check ends.
type RefValidate struct {
	Mode string `in:",unchecked" options:"ok,false,message,raise"`
	N    int    `in:",unchecked" min:"0" max:"3"`
}

type number struct {
	N int `out:"INT"`
}

// Validate returns nil only if Mode is "ok".
func (n RefValidate) Validate(*nodebus.Context) error {
	switch n.Mode {
	case "raise":
		panic("validation blew up")
	case "false":
		return errors.New("")
	case "message":
		return errors.New("not today")
	}
	return nil
}

// Run returns n.
func (n RefValidate) Run(*nodebus.Context) (number, error) { return number{n.N}, nil }

// RefHidden shows the values that an executor puts into hidden inputs.
type RefHidden struct {
	Value        any
	UniqueID     string        `in:"unique_id" hidden:"UNIQUE_ID"`
	Prompt       nodebus.Nodes `hidden:"PROMPT"`
	ExtraPNGInfo any           `in:"extra_pnginfo" hidden:"EXTRA_PNGINFO"`
}

// Run shows the node's id, the ids of the prompt's nodes in alphabetical order,
// and the extra PNG info of the prompt.
func (n RefHidden) Run(*nodebus.Context) (nodebus.UI, error) {
	ids := make([]string, len(n.Prompt))
	for i, spec := range n.Prompt {
		ids[i] = spec.ID
	}
	slices.Sort(ids)
	keys := make([]any, len(ids))
	for i, id := range ids {
		keys[i] = id
	}
	return nodebus.UI{
		"unique_id":     {n.UniqueID},
		"prompt_keys":   keys,
		"extra_pnginfo": {n.ExtraPNGInfo},
	}, nil
}
