package value_test

import (
	"encoding/json"
	"math"
	"reflect"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
	"github.com/stretchr/testify/require"
)

type (
	mode  string
	count uint8
	ratio float32
)

// TestCoerce: literals become what ComfyUI makes of them, and errors have its texts.
func TestCoerce(t *testing.T) {
	for _, c := range []struct {
		port string
		in   any
		want any
		err  string
	}{
		{"INT", "3", int64(3), ""},
		{"INT", " +1_000 ", int64(1000), ""},
		{"INT", "1__0", nil, "invalid literal for int() with base 10: '1__0'"},
		{"INT", json.Number("3.7"), int64(3), ""},
		{"INT", -3.7, int64(-3), ""},
		{"INT", true, int64(1), ""},
		{"INT", "18446744073709551615", uint64(math.MaxUint64), ""},
		{"INT", "18446744073709551616", nil, "18446744073709551616 does not fit in 64 bits"},
		{"INT", count(7), uint64(7), ""},
		{"INT", nil, nil, "int() argument must be a string, a bytes-like object or a real number, not 'NoneType'"},
		{"INT", []any{}, nil, "int() argument must be a string, a bytes-like object or a real number, not 'list'"},
		{"FLOAT", "1e3", 1000.0, ""},
		{"FLOAT", "0x10", nil, "could not convert string to float: '0x10'"},
		{"FLOAT", "inf", nil, "inf is not a finite number"},
		{"FLOAT", ratio(0.5), 0.5, ""},
		{"FLOAT", map[string]any{}, nil, "float() argument must be a string or a real number, not 'dict'"},
		{"STRING", json.Number("1"), "1", ""},
		{"STRING", true, "True", ""},
		{"STRING", nil, "None", ""},
		{"BOOLEAN", "", false, ""},
		{"BOOLEAN", "false", true, ""},
		{"BOOLEAN", json.Number("0.0"), false, ""},
		{"BOOLEAN", []any{0}, true, ""},
		{"IMAGE", []any{1}, []any{1}, ""},
	} {
		got, err := value.Coerce(c.port, c.in)
		if c.err != "" {
			require.EqualError(t, err, c.err, "%s of %#v", c.port, c.in)
			continue
		}
		require.NoError(t, err, "%s of %#v", c.port, c.in)
		require.Equal(t, c.want, got, "%s of %#v", c.port, c.in)
	}
}

// TestElements: what is a list, and what is one value that happens to be a slice.
func TestElements(t *testing.T) {
	anyType, intType := reflect.TypeFor[any](), reflect.TypeFor[int]()
	type pixels []int
	for name, c := range map[string]struct {
		v    any
		elem reflect.Type
		want []any
	}{
		"a list on a link":           {value.List{1, 2}, intType, []any{1, 2}},
		"a literal list":             {[]any{1}, anyType, []any{1}},
		"a slice":                    {[]int{1, 2}, anyType, []any{1, 2}},
		"a List of package nodebus":  {nodebus.List[int]{1}, anyType, []any{1}},
		"bytes are one value":        {[]byte("x"), anyType, nil},
		"a named slice is one value": {pixels{1}, anyType, nil},
		"a named slice of elements":  {pixels{1}, intType, []any{1}},
		"of its own element type":    {[]int{1}, reflect.TypeFor[[]int](), nil},
		"no slice":                   {1, anyType, nil},
		"nil":                        {nil, anyType, nil},
	} {
		got, ok := value.Elements(c.v, c.elem)
		require.Equal(t, c.want != nil, ok, name)
		require.Equal(t, c.want, got, name)
		if !ok {
			require.Equal(t, []any{c.v}, value.ListOf(c.v, c.elem), name)
		}
	}
}

func TestGenericTypes(t *testing.T) {
	require.True(t, value.IsGeneric(reflect.TypeFor[nodebus.Lazy[int]](), "Lazy"))
	require.True(t, value.IsGeneric(reflect.TypeFor[nodebus.Out[nodebus.List[string]]](), "Out"))
	require.False(t, value.IsGeneric(reflect.TypeFor[nodebus.List[int]](), "Lazy"))
	require.False(t, value.IsGeneric(reflect.TypeFor[mode](), "Lazy"))
}

func TestLiteral(t *testing.T) {
	for _, c := range []struct {
		to   reflect.Type
		in   any
		want any
		err  string
	}{
		{reflect.TypeFor[int8](), int64(100), int8(100), ""},
		{reflect.TypeFor[int8](), int64(200), nil, "needs a whole number from -128 to 127, got the number 200"},
		{reflect.TypeFor[mode](), "x", mode("x"), ""},
		{reflect.TypeFor[any](), json.Number("1"), 1, ""},
		{reflect.TypeFor[any](), []any{json.Number("1.5"), "a"}, []any{1.5, "a"}, ""},
		{reflect.TypeFor[[]int](), []any{json.Number("1")}, []int{1}, ""},
		{reflect.TypeFor[struct{ A int }](), map[string]any{"A": json.Number("2")}, struct{ A int }{2}, ""},
		{reflect.TypeFor[int](), strings.Repeat("x", 99), nil, "needs a whole number, got a string of 99 bytes"},
		{reflect.TypeFor[int](), nil, nil, "needs a whole number, got null"},
	} {
		got, err := value.Literal(c.to, c.in)
		if c.err != "" {
			require.EqualError(t, err, c.err)
			continue
		}
		require.NoError(t, err)
		require.Equal(t, c.want, got)
	}
}

func TestBasicAndText(t *testing.T) {
	for _, c := range []struct{ in, want any }{
		{mode("x"), "x"}, {count(3), uint64(3)}, {ratio(0.5), 0.5}, {true, true}, {int8(-1), int64(-1)},
	} {
		got, ok := value.Basic(c.in)
		require.True(t, ok)
		require.Equal(t, c.want, got)
	}
	_, ok := value.Basic([]int{1})
	require.False(t, ok)
	require.Equal(t, "x", value.Text(mode("x")))
	require.Equal(t, json.Number("1"), value.Text(json.Number("1")))
	require.Equal(t, 1, value.Text(1))
}

// FuzzCut: what is cut is a prefix, whole characters, and no longer than asked for.
func FuzzCut(f *testing.F) {
	f.Add("héllo", 2)
	f.Add("", 0)
	f.Add("日本語", 4)
	f.Fuzz(func(t *testing.T, s string, n int) {
		if n < 0 || n > len(s) || !utf8.ValidString(s) {
			t.Skip()
		}
		cut, short := strings.CutSuffix(value.Cut(s, n), "…")
		if n == len(s) {
			require.Equal(t, s, value.Cut(s, n))
			return
		}
		require.True(t, short)
		require.True(t, strings.HasPrefix(s, cut))
		require.True(t, utf8.ValidString(cut))
		require.LessOrEqual(t, len(cut), n)
	})
}
