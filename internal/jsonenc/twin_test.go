package jsonenc_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

// twins makes random types and values in pairs. The value for Marshal may hold NaN,
// infinities and nil slices. Its twin has pointers instead of floats, so that encoding/json
// writes null, and has no nil slices: what encoding/json writes for the twin is right.
type twins struct{ *rand.Rand }

var basics = []reflect.Type{
	reflect.TypeFor[bool](), reflect.TypeFor[int](), reflect.TypeFor[int8](), reflect.TypeFor[uint16](), reflect.TypeFor[uint64](), reflect.TypeFor[string](),
	reflect.TypeFor[json.Number](), reflect.TypeFor[[]byte](), reflect.TypeFor[json.RawMessage](), reflect.TypeFor[textual](), reflect.TypeFor[named](),
}

// types returns a random type and the type of its twin.
func (g twins) types(depth int) (t, twin reflect.Type) {
	n := g.IntN(9)
	if depth == 0 {
		n = g.IntN(3)
	}
	switch n {
	case 0:
		return reflect.TypeFor[float64](), reflect.TypeFor[*float64]()
	case 1:
		return reflect.TypeFor[float32](), reflect.TypeFor[*float32]()
	case 2:
		t = basics[g.IntN(len(basics))]
		return t, t
	case 3:
		return reflect.TypeFor[any](), reflect.TypeFor[any]()
	}
	elem, other := g.types(depth - 1)
	switch n {
	case 4:
		return reflect.PointerTo(elem), reflect.PointerTo(other)
	case 5:
		return reflect.SliceOf(elem), reflect.SliceOf(other)
	case 6:
		size := g.IntN(3)
		return reflect.ArrayOf(size, elem), reflect.ArrayOf(size, other)
	case 7:
		key := []reflect.Type{reflect.TypeFor[string](), reflect.TypeFor[int](), reflect.TypeFor[named](), reflect.TypeFor[textKey]()}[g.IntN(4)]
		return reflect.MapOf(key, elem), reflect.MapOf(key, other)
	}
	return g.structs(depth)
}

func (g twins) structs(depth int) (t, twin reflect.Type) {
	var a, b []reflect.StructField
	for i := range g.IntN(5) {
		elem, other := g.types(depth - 1)
		tag := ""
		switch g.IntN(6) {
		case 0:
			tag = fmt.Sprintf(`json:"n%d"`, g.IntN(3))
		case 1: // the option does not reach through two pointers
			if elem.Kind() != reflect.Pointer {
				tag = `json:",string"`
			}
		case 2:
			tag = `json:"-"`
		case 3: // a twin of a float is no zero
			if k := elem.Kind(); elem == other || k == reflect.Slice || k == reflect.Map || k == reflect.Pointer {
				tag = `json:"x,omitempty"`
			}
		}
		a = append(a, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: elem, Tag: reflect.StructTag(tag)})
		b = append(b, reflect.StructField{Name: fmt.Sprintf("F%d", i), Type: other, Tag: reflect.StructTag(tag)})
	}
	return reflect.StructOf(a), reflect.StructOf(b)
}

// fill sets v and twin to random values that have the same JSON by the rules of Marshal.
func (g twins) fill(v, twin reflect.Value, depth int) {
	switch v.Kind() {
	case reflect.Float64, reflect.Float32:
		g.float(v, twin)
	case reflect.Interface:
		if depth > 0 && g.IntN(4) > 0 {
			t, other := g.types(depth - 1)
			a, b := reflect.New(t).Elem(), reflect.New(other).Elem()
			g.fill(a, b, depth-1)
			v.Set(a)
			twin.Set(b)
		}
	case reflect.Pointer:
		if g.IntN(4) > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			twin.Set(reflect.New(twin.Type().Elem()))
			g.fill(v.Elem(), twin.Elem(), depth)
		}
	case reflect.Slice:
		g.slice(v, twin, depth)
	case reflect.Array:
		for i := range v.Len() {
			g.fill(v.Index(i), twin.Index(i), depth)
		}
	case reflect.Map:
		if g.IntN(4) > 0 {
			g.members(v, twin, depth)
		}
	case reflect.Struct:
		for i := 0; v.Type() != reflect.TypeFor[textual]() && i < v.NumField(); i++ {
			g.fill(v.Field(i), twin.Field(i), depth)
		}
	default:
		g.basic(v)
		twin.Set(v)
	}
}

func (g twins) float(v, twin reflect.Value) {
	f := []float64{math.NaN(), math.Inf(1), math.Inf(-1), 0, g.NormFloat64(), float64(g.Int64())}[g.IntN(6)]
	v.SetFloat(f)
	if jsonenc.Finite(f) {
		twin.Set(reflect.New(twin.Type().Elem()))
		twin.Elem().SetFloat(f)
	}
}

func (g twins) slice(v, twin reflect.Value, depth int) {
	if v.Type() == twin.Type() && v.Type().Elem().Kind() == reflect.Uint8 { // bytes and JSON
		if g.IntN(3) > 0 {
			v.SetBytes([]byte(`[1]`))
		}
		twin.Set(v)
		return
	}
	n := g.IntN(4)
	twin.Set(reflect.MakeSlice(twin.Type(), n, n))
	if n > 0 || g.IntN(2) == 0 {
		v.Set(reflect.MakeSlice(v.Type(), n, n))
	}
	for i := range n {
		g.fill(v.Index(i), twin.Index(i), depth)
	}
}

func (g twins) members(v, twin reflect.Value, depth int) {
	v.Set(reflect.MakeMap(v.Type()))
	twin.Set(reflect.MakeMap(twin.Type()))
	for range g.IntN(4) {
		key := reflect.New(v.Type().Key()).Elem()
		if key.Kind() == reflect.Struct {
			key.Field(0).SetInt(g.Int64N(20))
		} else {
			g.basic(key)
		}
		a, b := reflect.New(v.Type().Elem()).Elem(), reflect.New(twin.Type().Elem()).Elem()
		g.fill(a, b, depth)
		v.SetMapIndex(key, a)
		twin.SetMapIndex(key, b)
	}
}

func (g twins) basic(v reflect.Value) {
	switch {
	case v.Kind() == reflect.Bool:
		v.SetBool(g.IntN(2) == 0)
	case v.CanInt():
		v.SetInt(g.Int64N(200) - 100)
	case v.CanUint():
		v.SetUint(g.Uint64N(200))
	case v.Type() == reflect.TypeFor[json.Number]():
		v.SetString([]string{"", "1.50", "-3", "1e-999"}[g.IntN(4)])
	default:
		v.SetString([]string{"", "a<b", "\xff", "é\u2028"}[g.IntN(4)])
	}
}

func checkTwins(t *testing.T, seed uint64) {
	g := twins{rand.New(rand.NewPCG(seed, 1))}
	typ, other := g.types(4)
	v, twin := reflect.New(typ), reflect.New(other)
	g.fill(v.Elem(), twin.Elem(), 3)
	b, err := jsonenc.Marshal(v.Elem().Interface())
	require.NoError(t, err)
	require.Equal(t, std(t, twin.Elem().Interface()), string(b), "seed %d: %s", seed, typ)
}

func TestMarshalTwins(t *testing.T) {
	for seed := range uint64(5000) {
		checkTwins(t, seed)
	}
}

func FuzzMarshalTwins(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(checkTwins)
}

func BenchmarkMarshal(b *testing.B) {
	type note struct{ Node, Text string }
	type measured struct {
		Node  string
		Value float64
		Names []string
	}
	for name, v := range map[string]any{
		"any":    map[string]any{"name": "a name of something", "list": []any{1, 2.5, "x"}, "on": true, "at": struct{ X, Y float64 }{1, 2}},
		"text":   note{"5", "a text that is not very long"},
		"number": measured{"5", 0.5, []string{"a", "b"}},
		"raw":    json.RawMessage(`{"node":"5","text":"a text that is not very long"}`),
	} {
		for by, marshal := range map[string]func(any) ([]byte, error){"ours": jsonenc.Marshal, "std": json.Marshal} {
			b.Run(name+"/"+by, func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					_, _ = marshal(v)
				}
			})
		}
	}
}
