package nodebus_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// What the methods of a node do wrong while a prompt is checked is a problem of
// that node.

// touchy is an error whose methods use their receiver.
type touchy struct{ text string }

func (e *touchy) Error() string        { return e.text }
func (e *touchy) Unwrap() error        { return errors.New(e.text) }
func (e *touchy) Is(target error) bool { return target.Error() == e.text }

type complainer struct {
	In  any
	err func() error
}

func (complainer) Run(*nodebus.Context) (nodebus.UI, error) { return nil, nil }
func (n complainer) Validate() error                        { return n.err() }

func TestErrorsOfValidatorsThatPanic(t *testing.T) {
	for name, c := range map[string]struct {
		err  func() error
		want string
	}{
		"nil pointer":            {func() error { var e *touchy; return e }, "in - *nodebus_test.touchy"},
		"nil input error":        {func() error { var e *nodebus.InputError; return e }, "in - *nodebus.InputError"},
		"nil pointer of input":   {func() error { return &nodebus.InputError{Input: "in", Err: (*touchy)(nil)} }, "in - *nodebus_test.touchy"},
		"input error of nothing": {func() error { return &nodebus.InputError{Input: "in"} }, "in - <nil>"},
		"nil pointer in a wrap":  {func() error { return fmt.Errorf("odd: %w", (*touchy)(nil)) }, "in - odd: <nil>"},
	} {
		t.Run(name, func(t *testing.T) {
			reg := nodebus.NewRegistry()
			nodebus.Register(reg, complainer{err: c.err}, nodebus.Info{Name: "C"})
			err := nodebus.Validate(reg, &nodebus.Prompt{Nodes: parse(t, `{"o":{"class_type":"C","inputs":{"in":1}}}`)})
			var ve *nodebus.ValidationError
			require.ErrorAs(t, err, &ve)
			require.Equal(t, "custom_validation_failed", ve.Nodes["o"].Errors[0].Type)
			require.Equal(t, c.want, ve.Nodes["o"].Errors[0].Details)
		})
	}
}
