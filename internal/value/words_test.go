package value_test

import (
	"reflect"
	"testing"
	"time"

	"github.com/nodebus/nodebus/internal/value"
	"github.com/stretchr/testify/require"
)

type (
	shade      string
	latent     []float64
	box[T any] struct{ _ T }
	brush      struct{ _ int }
	broken     struct{ *brush }
)

func (*brush) PortType() string { return "BRUSH" }

// TestWords: what values of a type are has no word of Go.
func TestWords(t *testing.T) {
	for _, tt := range []struct {
		typ  reflect.Type
		want string
	}{
		{reflect.TypeFor[int](), "a whole number"},
		{reflect.TypeFor[**uint8](), "a whole number"},
		{reflect.TypeFor[float32](), "a number"},
		{reflect.TypeFor[shade](), "a string"},
		{reflect.TypeFor[bool](), "a boolean"},
		{reflect.TypeFor[any](), "any value"},
		{reflect.TypeFor[error](), "a value of type ERROR"},
		{reflect.TypeFor[time.Time](), "a value of type TIME"},
		{reflect.TypeFor[latent](), "a value of type LATENT"},
		{reflect.TypeFor[box[int]](), "a value of type BOX"},
		{reflect.TypeFor[brush](), "a value of type BRUSH"},
		{reflect.TypeFor[*brush](), "a value of type BRUSH"},
		{reflect.TypeFor[broken](), "a value of type BRUSH"},
		{reflect.TypeFor[[]byte](), "bytes"},
		{reflect.TypeFor[[][]byte](), "a list of bytes"},
		{reflect.TypeFor[[]any](), "a list"},
		{reflect.TypeFor[[]*string](), "a list of strings"},
		{reflect.TypeFor[[][]int](), "a list of lists of whole numbers"},
		{reflect.TypeFor[[2]bool](), "a list of booleans"},
		{reflect.TypeFor[[]latent](), "a list of values of type LATENT"},
		{reflect.TypeFor[map[string]int](), "an object"},
		{reflect.TypeFor[[]struct{ _ int }](), "a list of objects"},
		{reflect.TypeFor[func()](), "a function"},
		{reflect.TypeFor[chan int](), "a channel"},
	} {
		require.Equal(t, tt.want, value.Words(tt.typ), tt.typ.String())
		require.NotRegexp(t, `\w\.\w|\bint\b|float|interface|struct|\*|\[`, value.Words(tt.typ))
	}
}
