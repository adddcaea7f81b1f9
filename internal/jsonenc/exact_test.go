package jsonenc_test

import (
	"encoding/json"
	"math/big"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

func TestExactNumbers(t *testing.T) {
	for text, want := range map[string]any{
		"0":                        0.0,
		"1":                        1.0,
		"-1.50":                    -1.5,
		"0.1":                      0.1,
		"1E2":                      100.0,
		"1e+21":                    1e21,
		"1000000000000000000000":   1e21,
		"0.00000000000000000001":   1e-20,
		"0e999":                    0.0,
		"-0.000000000000000000":    0.0,
		"9007199254740992":         9007199254740992.0,
		"9007199254740993":         json.Number("9007199254740993"),
		"9223372036854775809":      json.Number("9223372036854775809"),
		"-9223372036854775807":     json.Number("-9223372036854775807"),
		"0.10000000000000000001":   json.Number("0.10000000000000000001"),
		"1e400":                    json.Number("1e400"),
		"1e-400":                   json.Number("1e-400"),
		"1e-99999999999999999999":  json.Number("1e-99999999999999999999"),
		`"9007199254740993"`:       "9007199254740993",
		`[1,{"a":[true,null,2]}]`:  []any{1.0, map[string]any{"a": []any{true, nil, 2.0}}},
		`{"a":[9007199254740993]}`: map[string]any{"a": []any{json.Number("9007199254740993")}},
	} {
		var v any
		require.NoError(t, jsonenc.Decode([]byte(text), &v))
		require.Equal(t, want, jsonenc.ExactNumbers(v), text)
	}
	var v any
	require.Error(t, jsonenc.Decode([]byte("{bad"), &v))
}

// TestExactNumbersKeepTheirValue compares with the exact values of random numbers.
func TestExactNumbersKeepTheirValue(t *testing.T) {
	rnd := rand.New(rand.NewPCG(3, 4))
	value := func(text string) *big.Rat {
		r, ok := new(big.Rat).SetString(text)
		require.True(t, ok, text)
		return r
	}
	floats := 0
	for range 20_000 {
		text := strconv.FormatUint(rnd.Uint64()>>rnd.IntN(64), 10)
		if rnd.IntN(2) == 0 {
			text += "." + strconv.FormatUint(rnd.Uint64()>>rnd.IntN(64), 10)
		}
		if rnd.IntN(2) == 0 {
			text += "e" + strconv.Itoa(rnd.IntN(60)-30)
		}
		v := jsonenc.ExactNumbers(json.Number(text))
		if _, is := v.(float64); is {
			floats++
		}
		out, err := jsonenc.Marshal(v)
		require.NoError(t, err)
		require.Zero(t, value(text).Cmp(value(string(out))), "%s became %s", text, out)
	}
	require.Greater(t, floats, 1000)
}
