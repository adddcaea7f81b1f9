package flow_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// These tests check that a fault in a method of a node becomes a problem of that
// node when a prompt is checked.

// touchy is an error whose methods panic on a nil pointer.
type touchy struct{ text string }

func (e *touchy) Error() string        { return e.text }
func (e *touchy) Unwrap() error        { return errors.New(e.text) }
func (e *touchy) Is(target error) bool { return target.Error() == e.text }

type complainer struct {
	In  any
	err func() error
}

func (complainer) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }
func (n complainer) Validate(*nodebus.Context) error        { return n.err() }

func TestErrorsOfValidatorsThatPanic(t *testing.T) {
	for name, c := range map[string]struct {
		err  func() error
		want string
	}{
		"nil pointer":            {func() error { var e *touchy; return e }, "in - *flow_test.touchy"},
		"nil input error":        {func() error { var e *nodebus.InputError; return e }, "in - *nodebus.InputError"},
		"nil pointer of input":   {func() error { return &nodebus.InputError{Input: "in", Err: (*touchy)(nil)} }, "in - *flow_test.touchy"},
		"input error of nothing": {func() error { return &nodebus.InputError{Input: "in"} }, "in - <nil>"},
		"nil pointer in a wrap":  {func() error { return fmt.Errorf("odd: %w", (*touchy)(nil)) }, "in - odd: <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			reg := flow.NewRegistry()
			flow.Register(reg, complainer{err: c.err}, nodebus.Info{Name: "C"})
			err := prepare(reg, &nodebus.Prompt{Nodes: parse(t, `{"o":{"class_type":"C","inputs":{"in":1}}}`)})
			var ve *nodebus.ValidationError
			require.ErrorAs(t, err, &ve)
			require.Equal(t, "custom_validation_failed", ve.Nodes["o"].Errors[0].Type)
			require.Equal(t, c.want, ve.Nodes["o"].Errors[0].Details)
		})
	}
}

// brokenMode is a drop-down whose method Options panics.
type brokenMode string

func (brokenMode) Options() []string { panic("disk is gone") }

// brokenJSON panics when it is decoded.
type brokenJSON struct{}

func (*brokenJSON) UnmarshalJSON([]byte) error { panic("no memory") }

type unsteady struct {
	Mode  brokenMode `in:"mode,optional"`
	Read  brokenJSON `in:"read,optional"`
	Links any        `in:"links,optional"`
}

func (unsteady) Run(*nodebus.Context) (int, error) { return 0, nil }

func (unsteady) ValidateLinks(_ *nodebus.Context, types map[string]string) error {
	if types["links"] != "" {
		panic(errors.New("no such type"))
	}
	return nil
}

func TestPanicsWhileANodeIsChecked(t *testing.T) {
	reg := validationRegistry()
	flow.Register(reg, unsteady{}, nodebus.Info{Name: "Unsteady"})
	flow.Register(reg, unsteady{}, nodebus.Info{Name: "Out", Output: true})
	for inputs, want := range map[string]string{
		`{"mode":"x"}`:                 "disk is gone",
		`{"read":{}}`:                  "no memory",
		`{"links":["a",0]}`:            "no such type",
		`{"read":{},"links":["a",0]}`:  "no memory",
		`{"mode":"x","links":["a",0]}`: "disk is gone",
	} {
		t.Run(inputs, func(t *testing.T) {
			problems := func(class, rest string) *nodebus.ValidationError {
				err := prepare(reg, &nodebus.Prompt{Nodes: parse(t, `{"p":{"class_type":"`+class+`","inputs":`+inputs+`},"a":{"class_type":"Add","inputs":{"a":1,"b":1}}`+rest+`}`)})
				var ve *nodebus.ValidationError
				require.ErrorAs(t, err, &ve)
				require.Len(t, ve.Nodes["p"].Errors, 1)
				return ve
			}
			p := problems("Out", "").Nodes["p"].Errors[0]
			require.Equal(t, []string{"exception_during_validation", want}, []string{p.Type, p.Details})
			p = problems("Unsteady", `,"o":{"class_type":"Show","inputs":{"in":["p",0]}}`).Nodes["p"].Errors[0]
			require.Equal(t, []string{"exception_during_inner_validation", want}, []string{p.Type, p.Details})
		})
	}
	err := prepare(reg, &nodebus.Prompt{Nodes: parse(t, `{"a":{"class_type":"Add","inputs":{"a":1,"b":1}},"p":{"class_type":"Unsteady","inputs":{"mode":["p",0]}},"o":{"class_type":"Out","inputs":{"mode":["p",0]}}}`)})
	var ve *nodebus.ValidationError
	require.ErrorAs(t, err, &ve, "describing the inputs must not panic")
}

func TestSchemaOfADropDownThatPanics(t *testing.T) {
	reg := flow.NewRegistry()
	flow.Register(reg, unsteady{}, nodebus.Info{Name: "Unsteady"})
	c, ok := reg.Class("Unsteady")
	require.True(t, ok)
	port := c.Schema().Inputs[0]
	choices, err := port.ListChoices()
	require.Empty(t, choices)
	var panicked *nodebus.PanicError
	require.ErrorAs(t, err, &panicked)
	require.Equal(t, "disk is gone", panicked.Value)
	typ, _, err := port.Config()
	require.Equal(t, []any{}, typ)
	require.ErrorAs(t, err, &panicked)
}
