package jsonenc_test

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

func std(t testing.TB, v any) string {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return string(b)
}

func TestString(t *testing.T) {
	for r := range rune(0x3000) {
		s := "a" + string(r) + "b"
		require.Equal(t, std(t, s), string(jsonenc.String(nil, s)))
	}
	for c := range 256 {
		s := "a" + string([]byte{byte(c)}) + "b"
		require.Equal(t, std(t, s), string(jsonenc.String(nil, s)))
	}
	require.Equal(t, `x""`, string(jsonenc.String([]byte("x"), "")))
	require.Equal(t, "null", string(jsonenc.StringOrNull(nil, "")))
	require.Equal(t, `"n"`, string(jsonenc.StringOrNull(nil, "n")))
}

func TestFloat(t *testing.T) {
	fixed := []float64{0, math.Copysign(0, -1), 1, -1, 0.5, 1e-6, 9.99e-7, 1e20, 1e21, 123456789012345680, 1e15, -1e15, 1e-9, 1e-10, math.MaxFloat64, math.SmallestNonzeroFloat64}
	rnd := rand.New(rand.NewPCG(1, 2))
	for range 100_000 {
		fixed = append(fixed, math.Float64frombits(rnd.Uint64()), float64(rnd.Int64()), rnd.Float64())
	}
	for _, f := range fixed {
		if !jsonenc.Finite(f) {
			continue
		}
		require.Equal(t, std(t, f), string(jsonenc.Float(nil, f)))
	}
	require.True(t, jsonenc.Finite(1, 2))
	for _, f := range []float64{math.NaN(), math.Inf(1), math.Inf(-1)} {
		require.False(t, jsonenc.Finite(1, f))
	}
}

func FuzzString(f *testing.F) {
	f.Add("héllo <&> \u2028 \xff")
	f.Fuzz(func(t *testing.T, s string) {
		require.Equal(t, std(t, s), string(jsonenc.String(nil, s)))
	})
}

func BenchmarkString(b *testing.B) {
	buf := make([]byte, 0, 128)
	for b.Loop() {
		buf = jsonenc.String(buf[:0], "4f1c2a9e-7b3d-4c55-9a86-0d2e5b7c1f34")
	}
}
