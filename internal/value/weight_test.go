package value_test

import (
	"encoding/json"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/value"
	"github.com/stretchr/testify/require"
)

func weight(v any, limit int) int {
	return value.Weight(v, limit, func(v interface{ Size() int }) int { return v.Size() })
}

// TestWeight compares the estimate with what decoded JSON keeps in memory.
func TestWeight(t *testing.T) {
	for name, text := range map[string]string{
		"empty lists":   "[" + strings.Repeat("[],", 100_000) + "0]",
		"objects":       "[" + strings.Repeat(`{"":0},`, 50_000) + "0]",
		"strings":       "[" + strings.Repeat(`"some text",`, 50_000) + "0]",
		"deep":          strings.Repeat("[", 9000) + strings.Repeat("]", 9000),
		"a long string": `{"a":{"b":["` + strings.Repeat("x", 1<<20) + `"]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var v any
			require.NoError(t, json.Unmarshal([]byte(text), &v))
			runtime.GC()
			runtime.ReadMemStats(&after)
			kept := int(after.HeapAlloc) - int(before.HeapAlloc)
			got := weight(v, math.MaxInt)
			require.Less(t, float64(kept), 1.5*float64(got)+1<<14)
			require.Less(t, float64(got), 3*float64(kept)+1<<14)
		})
	}
}

type sized struct{ n int }

func (s sized) Size() int { return s.n }

func TestWeightAsksValues(t *testing.T) {
	require.Equal(t, 16+1000, weight(sized{1000}, math.MaxInt))
	require.Greater(t, weight([]any{map[string]any{"a": sized{1 << 20}}}, math.MaxInt), 1<<20)
}

// TestWeightStops checks that a value that contains itself, many times, costs no more
// than the limit says.
func TestWeightStops(t *testing.T) {
	loop := map[string]any{}
	for _, name := range []string{"a", "b", "c"} {
		loop[name] = loop
	}
	got := weight(loop, 1<<20)
	require.Greater(t, got, 1<<20)
	require.Less(t, got, 2<<20)
	self := []any{nil}
	self[0] = self
	require.Less(t, weight(self, math.MaxInt), 1<<20)
}
