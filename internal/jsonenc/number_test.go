package jsonenc_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

func TestPlain(t *testing.T) {
	const nan, inf = `9e99999`, `1e99999`
	for text, want := range map[string]string{
		`{"a":1}`:             `{"a":1}`,
		`NaN`:                 nan,
		`[NaN,Infinity]`:      `[` + nan + `,` + inf + `]`,
		`[-Infinity, -1]`:     `[-` + inf + `, -1]`,
		`{"NaN":"Infinity"}`:  `{"NaN":"Infinity"}`,
		`{"a\"NaN":NaN}`:      `{"a\"NaN":` + nan + `}`,
		`{"a\\":NaN,"b":"\\"`: `{"a\\":` + nan + `,"b":"\\"`,
		`"NaN`:                `"NaN`,
		`"NaN\`:               `"NaN\`,
		`Inf NaN`:             `Inf ` + nan,
		`Infinity"NaN`:        inf + `"NaN`,
		`NaNaNaN`:             `NaNaNaN`,
		`[7NaN,NaN7,-NaN]`:    `[7NaN,NaN7,-NaN]`,
		`[1-Infinity,NaN]`:    `[1-Infinity,` + nan + `]`,
		"{\"a\":\tNaN\n}":     "{\"a\":\t" + nan + "\n}",
		``:                    ``,
		"\ufeff[NaN]":         `[` + nan + `]`,
		"[\"\ufeff\"]":        "[\"\ufeff\"]",
	} {
		require.Equal(t, want, string(jsonenc.Plain([]byte(text))), text)
	}
}

func TestNulls(t *testing.T) {
	for text, want := range map[string]string{
		`{"a":[NaN,-Infinity,1],"NaN":Infinity}`: `{"a":[null,null,1],"NaN":null}`,
		`{"a":"\"NaN"}`:                          `{"a":"\"NaN"}`, `7`: `7`, ``: ``, `[Infinity0]`: `[Infinity0]`, "\ufeffNaN": `null`,
	} {
		require.Equal(t, want, string(jsonenc.Nulls([]byte(text))), text)
	}
}

func TestPlainLeavesItsArgument(t *testing.T) {
	data := []byte(`[NaN]`)
	jsonenc.Plain(data)
	require.Equal(t, `[NaN]`, string(data))
	require.Zero(t, testing.AllocsPerRun(10, func() { jsonenc.Plain([]byte(`[1,2,"x"]`)) }))
}

func TestInfinite(t *testing.T) {
	for _, n := range []json.Number{"1e308", "-1.7976931348623157e308", "1e-999", "9", "", "0", "-0", "1e3", "12345678901234567890", "many", "0.1"} {
		_, is := jsonenc.Infinite(n)
		require.False(t, is, n)
	}
	for n, want := range map[json.Number]float64{
		"1e999": math.Inf(1), "-1e309": math.Inf(-1), "1E400": math.Inf(1), "Infinity": math.Inf(1), "-Infinity": math.Inf(-1),
		json.Number("1" + strings.Repeat("0", 309)): math.Inf(1), "Inf": math.Inf(1), "-Inf": math.Inf(-1),
	} {
		f, is := jsonenc.Infinite(n)
		require.True(t, is, n)
		require.Equal(t, want, f, n)
	}
	for _, n := range []json.Number{"NaN", "9e99999"} {
		f, is := jsonenc.Infinite(n)
		require.True(t, is, n)
		require.True(t, math.IsNaN(f), n)
	}
}

func TestInfinities(t *testing.T) {
	dec := json.NewDecoder(strings.NewReader(string(jsonenc.Plain([]byte(`{"a":[1,NaN,{"b":-Infinity,"c":"NaN"}],"d":1e400,"e":2.50}`)))))
	dec.UseNumber()
	var v any
	require.NoError(t, dec.Decode(&v))
	v = jsonenc.Infinities(v)
	b, err := jsonenc.Marshal(v)
	require.NoError(t, err)
	require.Equal(t, `{"a":[1,null,{"b":null,"c":"NaN"}],"d":null,"e":2.50}`, string(b))
	inner := v.(map[string]any)["a"].([]any)
	require.True(t, math.IsNaN(inner[1].(float64)))
	require.Equal(t, math.Inf(-1), inner[2].(map[string]any)["b"])
	require.Equal(t, math.Inf(1), jsonenc.Infinities(json.Number("1e999")))
}

// TestWords: what Plain has replaced is back in a text that people read. Other numbers and strings stay.
func TestWords(t *testing.T) {
	for _, text := range []string{
		`NaN`, `-Infinity`, `[NaN,Infinity,{"a":-Infinity,"NaN":"Infinity"}]`, `{"a":1e999,"b":-1e400,"c":"9e99999","d":9e9999}`, ``, `[NaN,x`,
	} {
		require.Equal(t, text, string(jsonenc.Words(jsonenc.Plain([]byte(text)))))
	}
}

// FuzzPlain: only bare words change, each is a whole value, and what a text is without them does not change.
func FuzzPlain(f *testing.F) {
	f.Add(`{"a":[NaN,"NaN\"",-Infinity]}`)
	f.Add(`[77777NaN,-NaN,Infinity0]`)
	f.Fuzz(func(t *testing.T, text string) {
		text = strings.TrimLeft(text, "\ufeff")
		marked := []byte("\ufeff" + text)
		plain, nulls := jsonenc.Plain([]byte(text)), jsonenc.Nulls([]byte(text))
		require.Equal(t, string(plain), string(jsonenc.Plain(marked)))
		require.Equal(t, string(nulls), string(jsonenc.Nulls(marked)))
		if json.Valid([]byte(text)) {
			require.Equal(t, text, string(plain), "valid JSON has no bare words")
			require.Equal(t, text, string(nulls), "valid JSON has no bare words")
		}
		require.Equal(t, json.Valid(plain), json.Valid(nulls), "%q", text)
		require.Equal(t, string(plain), string(jsonenc.Plain(plain)))
		require.Equal(t, string(nulls), string(jsonenc.Nulls(nulls)))
		if json.Valid(plain) && !strings.Contains(text, "9e99999") && !strings.Contains(text, "1e99999") {
			require.Equal(t, text, string(jsonenc.Words(plain)))
		}
	})
}
