package value_test

import (
	"encoding/json"
	"math"
	"math/big"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/value"
	"github.com/stretchr/testify/require"
)

func TestCompare(t *testing.T) {
	huge, _ := new(big.Int).SetString("100000000000000000001", 10)
	for _, c := range []struct {
		a, b any
		sign int
		ok   bool
	}{
		{int64(1), 2, -1, true},
		{uint64(math.MaxUint64), uint64(math.MaxUint64 - 1), 1, true},
		{int64(math.MaxInt64), int64(math.MaxInt64 - 1), 1, true},
		{1.5, 1, 1, true},
		{ratio(0.5), 0.5, 0, true},
		{int64(math.MaxInt64), uint64(math.MaxInt64), 0, true},
		{int64(-1), uint64(math.MaxUint64), -1, true},
		{uint64(1 << 63), int64(math.MaxInt64), 1, true},
		{int64(math.MaxInt64), float64(1 << 63), -1, true}, // as floats they would be equal
		{int64(1<<53 + 1), float64(1 << 53), 1, true},
		{uint64(math.MaxUint64), float64(1<<63) * 2, -1, true},
		{int64(math.MinInt64), -float64(1 << 63), 0, true},
		{-3, -3.5, 1, true},
		{3, 3.5, -1, true},
		{int64(5), math.Inf(1), -1, true},
		{int64(5), math.Inf(-1), 1, true},
		{int64(5), math.NaN(), 1, true},
		{huge, 1e20, 1, true},
		{huge, json.Number("100000000000000000001"), 0, true},
		{huge, uint64(math.MaxUint64), 1, true},
		{huge, math.Inf(1), -1, true},
		{huge, math.NaN(), 1, true},
		{json.Number("2.0"), 2, 0, true},
		{json.Number("1e400"), huge, 1, true},
		{json.Number(strings.Repeat("9", 5000)), huge, 1, true},
		{json.Number("x"), 1, 0, false},
		{json.Number("1.x"), 1, 0, false},
		{(*big.Int)(nil), 1, 0, false},
		{"1", 1, 0, false},
		{true, 1, 0, false},
		{nil, 1, 0, false},
	} {
		sign, ok := value.Compare(c.a, c.b)
		require.Equal(t, c.ok, ok, "%v %v", c.a, c.b)
		if ok {
			require.Equal(t, c.sign, sign, "%v %v", c.a, c.b)
			back, _ := value.Compare(c.b, c.a)
			require.Equal(t, -c.sign, back, "%v %v", c.b, c.a)
		}
	}
}

// TestCompareAgainstRationals compares numbers near the limits of their types with exact
// arithmetic.
func TestCompareAgainstRationals(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	near := []float64{0, 1, 1 << 24, 1 << 53, 1 << 62, 1 << 63, 1 << 64, 1 << 65}
	draw := func() (any, *big.Rat) {
		f := near[rng.IntN(len(near))] * float64(1-2*rng.IntN(2))
		switch f += float64(rng.IntN(5)-2) / 2; rng.IntN(4) {
		case 0:
			n := int64(rng.Uint64()) >> rng.IntN(64)
			return n, new(big.Rat).SetInt64(n)
		case 1:
			n := rng.Uint64() >> rng.IntN(64)
			return n, new(big.Rat).SetInt(new(big.Int).SetUint64(n))
		case 2:
			n, _ := new(big.Float).SetFloat64(math.Trunc(f)).Int(nil)
			n.Add(n, big.NewInt(int64(rng.IntN(3)-1)))
			return json.Number(n.String()), new(big.Rat).SetInt(n)
		}
		return f, new(big.Rat).SetFloat64(f)
	}
	for range 20_000 {
		a, ra := draw()
		b, rb := draw()
		sign, ok := value.Compare(a, b)
		require.True(t, ok)
		require.Equal(t, ra.Cmp(rb), sign, "%T %v and %T %v", a, a, b, b)
	}
}
