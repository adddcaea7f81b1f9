package flow_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// impossible is a node with one input whose type no input can have.
type impossible[In any] struct{ In In }

func (impossible[In]) Run(*nodebus.Context) (int, error) { return 0, nil }

type (
	// Oddly is a drop-down whose method has a form that nobody calls.
	Oddly string
	// Twice is a drop-down whose method takes an argument.
	Twice int
	// Codes is a named type without a method: it is linked, or a literal list.
	Codes []int

	badEmbedded struct{ *Common }
	okEmbedded  struct {
		*http.Client `in:"-"`
		*hiddenOne   //nolint:unused // on purpose
		common
	}
	hiddenOne struct{ n int } //nolint:unused // an object without inputs
	common    struct {
		Seed int
	}
	holdsNoText struct {
		X int `type:"STRING"`
	}
	holdsNoNumber struct {
		X *string `type:"INT, FLOAT"`
	}
	holdsSome struct {
		A string        `type:"INT,STRING"`
		B string        `type:"INT,NAME"`
		C any           `type:"BOOLEAN"`
		D time.Time     `type:"STRING"`
		E *float32      `type:"INT"`
		F string        `type:"COMBO" options:"a,b"`
		G Codes         `in:"g"`
		H func() string `type:"FUNC"`
		I chan int      `type:"PIPE"`
	}
	multiLimit struct {
		X []int `options:"1,2" max:"2"`
	}
	badChoice struct {
		X []int `options:"1,two"`
	}
	multiDefault struct {
		X []int `options:"1,2" default:"1,3"`
	}
	floatDefault struct {
		X float64 `options:"0.5,1" default:"1.0"`
	}
	rangeDefault struct {
		X float32 `default:"1e39"`
	}
	minText struct {
		X *int `min:"one"`
	}
)

func (Oddly) Options() map[string]string { return nil }
func (Twice) Options(int) []int          { return nil }

func (badEmbedded) Run(*nodebus.Context) (int, error)   { return 0, nil }
func (okEmbedded) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (holdsNoText) Run(*nodebus.Context) (int, error)   { return 0, nil }
func (holdsNoNumber) Run(*nodebus.Context) (int, error) { return 0, nil }
func (holdsSome) Run(*nodebus.Context) (int, error)     { return 0, nil }
func (multiLimit) Run(*nodebus.Context) (int, error)    { return 0, nil }
func (badChoice) Run(*nodebus.Context) (int, error)     { return 0, nil }
func (multiDefault) Run(*nodebus.Context) (int, error)  { return 0, nil }
func (floatDefault) Run(*nodebus.Context) (int, error)  { return 0, nil }
func (rangeDefault) Run(*nodebus.Context) (int, error)  { return 0, nil }
func (minText) Run(*nodebus.Context) (int, error)       { return 0, nil }

func refused[In any](r *flow.Registry) func() {
	return func() { flow.Register(r, impossible[In]{}, nodebus.Info{Name: "Impossible"}) }
}

// TestRegisterRefusesTypesThatTakeNothing: an input whose type can take neither a literal nor
// a link is refused, with the correction.
func TestRegisterRefusesTypesThatTakeNothing(t *testing.T) {
	r := flow.NewRegistry()
	const name = " has no name to connect by; give it a named type, a method PortType() string, or a tag `type:\"NAME\"`"
	for want, register := range map[string]func(){
		"In: type []int" + name:            refused[[]int](r),
		"In: type [3]int" + name:           refused[[3]int](r),
		"In: type map[string]int" + name:   refused[map[string]int](r),
		"In: type chan int" + name:         refused[chan int](r),
		"In: type func() int" + name:       refused[func() int](r),
		"In: type *[]int" + name:           refused[*[]int](r),
		"In: type struct { A int }" + name: refused[struct{ A int }](r),
		"In: is a pointer to a Lazy; write Lazy[int], which needs no pointer":                                                                                                refused[*nodebus.Lazy[int]](r),
		"In: is a pointer to a List; write List[int], which needs no pointer":                                                                                                refused[*nodebus.List[int]](r),
		"In: has the type nodebus.Out[int], which only a result has; write the type of its Value":                                                                            refused[nodebus.Out[int]](r),
		"In: the method Options of flow_test.Oddly has the form func() map[string]string, so that nobody calls it; let it return a slice of string, or give it another name": refused[Oddly](r),
		"In: the method Options of flow_test.Twice has the form func(int) []int, so that nobody calls it; let it return a slice of int, or give it another name":             refused[[]*Twice](r),
		"Common: is an embedded pointer, so that the fields of flow_test.Common are no inputs; embed flow_test.Common itself, or add a tag `in:\"-\"` if they shall be none": func() { flow.Register(r, badEmbedded{}, nodebus.Info{}) },
		"X: tag `type:\"STRING\"` gives values that the field cannot hold: it needs a whole number, got the string \"1\"; change the type of the field, or the tag":          func() { flow.Register(r, holdsNoText{}, nodebus.Info{}) },
		"X: tag `type:\"INT, FLOAT\"` gives values that the field cannot hold: it needs a string, got the number 1; change the type of the field, or the tag":                func() { flow.Register(r, holdsNoNumber{}, nodebus.Info{}) },
		"X: tag `max` is for numbers; remove it, or change the type []int":                                                                                                   func() { flow.Register(r, multiLimit{}, nodebus.Info{}) },
		"X: tag `default:\"1,3\"` is not in the list \"1,2\"; write one of its values":                                                                                       func() { flow.Register(r, multiDefault{}, nodebus.Info{}) },
		"X: tag `default:\"1e39\"` is no such value (value out of range); write a value of type float32":                                                                     func() { flow.Register(r, rangeDefault{}, nodebus.Info{}) },
		"X: tag `options:\"1,two\"` has a choice that is no such value (invalid syntax); write values of type int":                                                           func() { flow.Register(r, badChoice{}, nodebus.Info{}) },
		"X: tag `min:\"one\"` is no such value (invalid syntax); write a value of type *int":                                                                                 func() { flow.Register(r, minText{}, nodebus.Info{}) },
	} {
		message := ""
		func() {
			defer func() { message = fmt.Sprint(recover()) }()
			register()
		}()
		_, got, found := strings.Cut(message, ": field ")
		require.True(t, found, message)
		require.Equal(t, want, got)
	}
	flow.Register(r, holdsSome{}, nodebus.Info{})
	flow.Register(r, floatDefault{}, nodebus.Info{})
	flow.Register(r, okEmbedded{}, nodebus.Info{})
	require.Equal(t, `{"required":{"seed":["INT",{}]}}`, inputsOf(t, r, "okEmbedded"))
}
