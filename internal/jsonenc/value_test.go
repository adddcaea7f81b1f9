package jsonenc_test

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"reflect"
	"testing"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

// Types for the rules of encoding/json about names, embedded structs and options.
type (
	named   string
	hidden  struct{ Shown, shown int }
	Base    struct{ A, B, C float64 }
	Twin    struct{ B, D float64 }
	deeper  struct{ Base }
	withTag struct {
		E int `json:"A"`
	}
	pointing  struct{ *Base }
	shadowing struct {
		Base
		A string
	}
	ambiguous struct {
		Base
		Twin
	}
	twice struct {
		deeper
		Other struct{ Base }
		*Base
	}
	sameTwice struct {
		Left  leftOf
		Right rightOf
		leftOf
		rightOf
	}
	leftOf  struct{ Base }
	rightOf struct{ Base }
	tagWins struct {
		withTag
		Base
	}
	inner struct {
		hidden
		Base `json:"base"`
		named
		Named named `json:"näme"`
	}
	options struct {
		Skipped  int            `json:"-"`
		Dash     float64        `json:"-,"`   //nolint:staticcheck // odd on purpose
		Odd      float64        `json:"a\"b"` //nolint:staticcheck // odd on purpose
		Fine     float64        `json:"!#$%&()*+-./:;<=>?@[]^_{|}~ "`
		Empty    []float64      `json:",omitempty"`
		Zero     []float64      `json:",omitzero"`
		EmptyMap map[string]any `json:",omitempty"`
		EmptyAny any            `json:"any,omitempty"`
		EmptyF   float32        `json:",omitempty"`
		EmptyS   struct{}       `json:",omitempty"`
		EmptyA   [0]int         `json:",omitempty"`
		EmptyP   *int           `json:",omitempty"`
		EmptyT   string         `json:",omitempty"`
		EmptyB   bool           `json:",omitempty"`
		Time     time.Time      `json:",omitzero"`
		Never    neverZero      `json:",omitzero"`
		NeverP   *neverZero     `json:",omitzero"`
		Ptr      ptrZero        `json:",omitzero"`
		ZeroI    zeroable       `json:",omitzero"`
	}
	quotes struct {
		I   int         `json:",string"`
		U   uint8       `json:",string"`
		F   float64     `json:",string"`
		G   float32     `json:",string"`
		B   bool        `json:",string"`
		S   string      `json:",string"`
		P   *float64    `json:",string"`
		N   json.Number `json:",string"`
		L   []int       `json:",string"` //nolint:staticcheck // odd on purpose
		Any any         `json:",string"` //nolint:staticcheck // odd on purpose
		T   time.Time   `json:",string"` //nolint:staticcheck // odd on purpose
	}
	neverZero struct{ X int }
	ptrZero   struct{ X float64 }
	zeroable  interface{ IsZero() bool }

	byValue   struct{ X float64 }
	byPointer struct{ X float64 }
	textual   struct{ X float64 }
	listOf    []float64
	letters   []letter
	letter    byte
	wordy     map[textKey]float64
	textKey   struct{ A, B int }
	list      struct {
		V []byPointer
		W [1]byPointer
		M map[string]byPointer
		P *byPointer
		T []textual
	}
	tree struct {
		Value float64
		Sub   []*tree
		Any   any
	}
)

func (neverZero) IsZero() bool                  { return false }
func (p *ptrZero) IsZero() bool                 { return p.X == 7 }
func (byValue) MarshalJSON() ([]byte, error)    { return []byte(` { "x" : [ "<" , null ] } `), nil }
func (*byPointer) MarshalJSON() ([]byte, error) { return []byte(`"by pointer"`), nil }
func (textual) MarshalText() ([]byte, error)    { return []byte("a <text>"), nil }
func (listOf) MarshalJSON() ([]byte, error)     { return []byte(`"a list"`), nil }
func (letter) MarshalText() ([]byte, error)     { return []byte("l"), nil }
func (k textKey) MarshalText() ([]byte, error)  { return []byte{byte('a' + k.A), byte('a' + k.B)}, nil }

// finite holds values without a NaN and without a nil slice: encoding/json writes them.
func finite() []any {
	one := 1.5
	return []any{
		nil, true, "<a>\u2028\xff", named("x"), 1, int8(-1), uint64(math.MaxUint64), uintptr(7), 1.0, 0.1, float32(0.1), 1e21, float32(1e21), float32(1e-6), float32(1e-7), float32(16777216), math.Copysign(0, -1),
		json.Number("1.50"), json.Number(""), json.Number("1e-999"), json.RawMessage(` [1, 2.0 ] `), json.RawMessage(nil), &one, (*int)(nil), (*[]int)(nil), new(any),
		[]any{},
		[]any{1, "x", nil, []float64{1, 2.5}, [2]float32{1, .5}},
		map[string]any{"b": 1, "a": []string{}, "c": nil},
		map[string]any(nil),
		map[int]float64{10: 1, 9: 2, -1: 3},
		map[uint8]any{200: 1, 3: 2},
		map[named]any{"z": 1, "a": 1},
		wordy{{1, 2}: 3, {0, 5}: 4},
		[]byte("bytes"),
		[]byte{},
		[]byte(nil),
		letters{1, 2},
		[3]byte{1, 2, 3},
		[0]float64{},
		Base{1, 2, 3},
		shadowing{Base{1, 2, 3}, "a"},
		ambiguous{Base{1, 2, 3}, Twin{4, 5}},
		pointing{},
		pointing{&Base{1, 2, 3}},
		&pointing{&Base{}},
		twice{},
		twice{Base: &Base{1, 2, 3}},
		sameTwice{},
		tagWins{withTag{1}, Base{2, 3, 4}},
		inner{hidden: hidden{1, 2}, named: "n", Named: "m"},
		deeper{},
		options{},
		options{Dash: 1, Odd: 2, Empty: []float64{}, Zero: []float64{}, EmptyAny: 0, Ptr: ptrZero{7}, EmptyMap: map[string]any{}},
		options{Empty: []float64{1}, EmptyAny: []int{}, EmptyF: 1, EmptyP: new(int), EmptyT: "x", EmptyB: true, NeverP: &neverZero{}, ZeroI: (*ptrZero)(nil), Ptr: ptrZero{1}, Time: time.Unix(1, 0).UTC()},
		&options{ZeroI: neverZero{}},
		options{ZeroI: &ptrZero{7}},
		quotes{L: []int{}},
		quotes{1, 2, .5, .25, true, `"x" <`, &one, "12", []int{1}, 2, time.Time{}},
		byValue{},
		&byValue{}, (*byValue)(nil),
		byPointer{},
		&byPointer{},
		textual{},
		&textual{}, (*textual)(nil), listOf(nil),
		listOf{1},
		list{V: []byPointer{{}}, M: map[string]byPointer{"a": {}}, P: &byPointer{}, T: []textual{{}}},
		&list{V: []byPointer{}, T: []textual{}},
		[]any{byPointer{}, &byPointer{}, textual{}},
		[]zeroable{nil, neverZero{}},
		tree{1, []*tree{{2, []*tree{}, 3.5}, nil}, &tree{4, []*tree{}, nil}},
		time.Unix(0, 5).UTC(), big.NewInt(5),
		struct{ *big.Int }{big.NewInt(7)},
		errors.New("x"),
	}
}

// TestMarshalIsEncodingJSON compares Marshal with encoding/json on values that both encode
// alike, alone and as parts of other values.
func TestMarshalIsEncodingJSON(t *testing.T) {
	for _, v := range finite() {
		for _, v := range []any{v, &v, []any{v}, map[string]any{"k": v}, struct{ X any }{v}, addressable(v)} {
			b, err := jsonenc.Marshal(v)
			require.NoError(t, err)
			require.Equal(t, std(t, v), string(b), "%T %+v", v, v)
		}
	}
}

// addressable returns a pointer to a copy of v.
func addressable(v any) any {
	if v == nil {
		return nil
	}
	p := reflect.New(reflect.TypeOf(v))
	p.Elem().Set(reflect.ValueOf(v))
	return p.Interface()
}

func TestMarshalWithoutNumbers(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(1)
	for _, c := range []struct {
		v    any
		want string
	}{
		{nan, `null`},
		{float32(inf), `null`},
		{&nan, `null`},
		{[]float64{1, nan, -inf}, `[1,null,null]`},
		{[2]float32{float32(nan), 2}, `[null,2]`},
		{map[string]float64{"a": nan, "b": 1}, `{"a":null,"b":1}`},
		{map[string]any{"a": []any{nan, map[string]any{"b": inf}}}, `{"a":[null,{"b":null}]}`},
		{struct{ A any }{&nan}, `{"A":null}`},
		{Base{nan, 1, inf}, `{"A":null,"B":1,"C":null}`},
		{deeper{Base{A: nan}}, `{"A":null,"B":0,"C":0}`},
		{pointing{&Base{B: inf}}, `{"A":0,"B":null,"C":0}`},
		{quotes{F: nan, G: float32(inf), P: &nan, N: "1e999"}, `{"I":"0","U":"0","F":null,"G":null,"B":"false","S":"\"\"","P":null,"N":null,"L":[],"Any":null,"T":"0001-01-01T00:00:00Z"}`},
		{json.Number("NaN"), `null`},
		{json.Number("-Infinity"), `null`},
		{[]any{json.Number("1e999")}, `[null]`},
		{[]float64(nil), `[]`},
		{[]any(nil), `[]`},
		{[]string(nil), `[]`},
		{(*[]string)(nil), `null`},
		{new([]string), `[]`},
		{[][]int{nil, {}}, `[[],[]]`},
		{map[string][]int{"a": nil}, `{"a":[]}`},
		{struct{ A []int }{}, `{"A":[]}`},
		{struct{ A any }{[]named(nil)}, `{"A":[]}`},
		{letters(nil), `[]`},
		{[]byte(nil), `null`},
		{map[string]int(nil), `null`},
		{struct {
			A []int `json:",omitempty"`
			B []int `json:",omitzero"`
		}{}, `{}`},
		{tree{Value: nan}, `{"Value":null,"Sub":[],"Any":null}`},
		{byValue{nan}, `{"x":["\u003c",null]}`},
		{listOf(nil), `"a list"`},
	} {
		b, err := jsonenc.Marshal(c.v)
		require.NoError(t, err, c.want)
		require.Equal(t, c.want, string(b))
	}
}

func TestMarshalErrors(t *testing.T) {
	ring := []any{1, nil}
	ring[1] = ring
	knot := map[string]any{}
	knot["x"] = []any{knot}
	loop := &tree{}
	loop.Sub = []*tree{{Any: loop}}
	type pointer *pointer
	var self pointer
	self = &self
	for _, v := range []any{
		make(chan int), func() {}, complex(1, 2),
		[]any{func() {}},
		map[string]any{"a": make(chan int)},
		struct{ C chan int }{},
		map[complex128]int(nil),
		map[bool]float64{},
		[]map[struct{}]int{{}},
		json.Number("many"),
		[]any{json.Number("0x10")},
		json.RawMessage(`{`),
		[]any{1.5, json.RawMessage(`{`)},
		ring, knot, loop, *loop, self,
	} {
		_, err := jsonenc.Marshal(v)
		_, want := json.Marshal(v)
		require.Error(t, want)
		require.Equal(t, reflect.TypeOf(want), reflect.TypeOf(err))
		if c := (*json.UnsupportedValueError)(nil); !errors.As(err, &c) {
			require.Equal(t, want.Error(), err.Error())
		} else {
			require.ErrorContains(t, err, "encountered a cycle via ")
		}
	}
	_, err := jsonenc.Marshal(map[failingKey]float64{{}: 1})
	require.ErrorIs(t, err, errKey)
}

type failingKey struct{}

var errKey = errors.New("no text")

func (failingKey) MarshalText() ([]byte, error) { return nil, errKey }

// TestMarshalDeep: a deep value is no cycle, also if its parts appear many times.
func TestMarshalDeep(t *testing.T) {
	shared := []any{1, math.NaN()}
	v := any(shared)
	for range 3000 {
		v = []any{v, shared}
	}
	b, err := jsonenc.Marshal([]any{v, v})
	require.NoError(t, err)
	require.Contains(t, string(b), "[1,null]")
}
