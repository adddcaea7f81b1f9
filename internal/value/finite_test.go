package value_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/nodebus/nodebus/internal/value"
	"github.com/stretchr/testify/require"
)

func TestFiniteRefuses(t *testing.T) {
	ring := map[string]any{}
	ring["self"] = []any{ring}
	for _, v := range []any{
		make(chan int), func() {}, json.Number("five"),
		struct{ C chan int }{},
		ring,
		[]any{math.NaN(), func() {}},
		map[string]any{"a": math.NaN(), "b": make(chan int)},
		[]any{struct {
			F float64
			C func()
		}{math.NaN(), nil}},
	} {
		_, changed, err := value.Finite(v)
		require.Error(t, err, "%T", v)
		require.False(t, changed)
	}
}

func TestFiniteKeeps(t *testing.T) {
	deep := any(1)
	for range 5000 {
		deep = []any{deep}
	}
	for _, v := range []any{
		nil, true, "x", 1, uint8(2), 1.5, json.Number("5"), []any{1, nil}, map[string]any{"a": []any{2.5}}, []int{1}, struct{ A int }{1}, deep, []any(nil), []float64(nil), float32(1),
	} {
		same, changed, err := value.Finite(v)
		require.NoError(t, err, "%T", v)
		require.False(t, changed)
		require.Equal(t, v, same)
	}
}

func TestFiniteReplaces(t *testing.T) {
	nan, inf := math.NaN(), math.Inf(-1)
	deep, flat := any([]any{nan}), any([]any{nil})
	for range 1100 {
		deep, flat = []any{deep}, []any{flat}
	}
	for _, c := range []struct{ v, want any }{
		{nan, nil},
		{float32(inf), nil},
		{json.Number("1e999"), nil},
		{[]any{1, nan, inf, "x"}, []any{1, nil, nil, "x"}},
		{map[string]any{"a": []any{nan}, "b": 2}, map[string]any{"a": []any{nil}, "b": 2}},
		{[]float64{1.5, nan}, []any{json.Number("1.5"), nil}},
		{struct{ A, B any }{nan, []any(nil)}, map[string]any{"A": nil, "B": []any{}}},
		{deep, flat},
	} {
		got, changed, err := value.Finite(c.v)
		require.NoError(t, err)
		require.True(t, changed)
		require.Equal(t, c.want, got)
	}
	list := []any{nan, map[string]any{"a": inf}}
	_, _, err := value.Finite(list)
	require.NoError(t, err)
	require.True(t, math.IsNaN(list[0].(float64)), "the value is not written to")
	require.Equal(t, inf, list[1].(map[string]any)["a"])
}
