package jsonenc_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

func TestNames(t *testing.T) {
	for text, want := range map[string][]string{
		`{}`:                                    nil,
		`{"a":1}`:                               {"a"},
		` : {"b": "x", "a":"y"} `:               {"b", "a"},
		`{"b":{"c":1,"d":[{"e":2},"f"]},"a":3}`: {"b", "a"},
		`{"b":[1,"c",{"d":2}],"a":[[]],"b":0}`:  {"b", "a", "b"},
		`{"":",\"","}":"{","\"]":[]}`:           {"", "}", `"]`},
		`{"\u0061":1,"\\":2,"ü":3,"\ud800":4}`:  {"a", `\`, "ü", "\ufffd"},
		"{\"\xff\":1}":                          {"\ufffd"},
	} {
		var got []string
		for _, name := range jsonenc.Names(nil, []byte(text)) {
			got = append(got, jsonenc.Name(name))
		}
		require.Equal(t, want, got, text)
	}
}

func TestNoInfinities(t *testing.T) {
	for text, want := range map[string]string{
		`[1, -2.50, "1e999"]`:           `[1, -2.50, "1e999"]`,
		`{"b": 1e400, "a":[-1e309,1] }`: `{"b": null, "a":[null,1] }`,
		`9e99999`:                       `null`,
		`1e308`:                         `1e308`,
		`{"\"1e400":"\\"}`:              `{"\"1e400":"\\"}`,
		`[true,1e-400,0e999]`:           `[true,1e-400,0e999]`,
	} {
		require.Equal(t, want, string(jsonenc.NoInfinities([]byte(text))), text)
	}
}

// FuzzNames checks that what Names and NoInfinities find in JSON is what encoding/json
// finds.
func FuzzNames(f *testing.F) {
	for _, text := range []string{`{"b":[{"a":"}"}],"\u0061":1e999}`, `{"":{"":""}}`, `[]`} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !json.Valid(text) {
			return
		}
		finite := jsonenc.NoInfinities(text)
		require.NoError(t, json.Unmarshal(finite, new(any)), "%q", finite)
		var object map[string]json.RawMessage
		if json.Unmarshal(text, &object) != nil {
			return
		}
		seen := map[string]bool{}
		for _, name := range jsonenc.Names(nil, text) {
			seen[jsonenc.Name(name)] = true
			require.Contains(t, object, jsonenc.Name(name))
		}
		require.Len(t, seen, len(object))
	})
}

func TestAppend(t *testing.T) {
	for _, v := range []any{nil, 1, math.NaN(), "a", []any{json.Number("1.50"), nil}, json.RawMessage(`{ "a":1}`), map[string]any{"b": 1, "a": true}} {
		want, err := jsonenc.Marshal(v)
		require.NoError(t, err)
		got, err := jsonenc.Append([]byte("x"), v)
		require.NoError(t, err)
		require.Equal(t, "x"+string(want), string(got))
	}
	_, err := jsonenc.Append(nil, make(chan int))
	require.Error(t, err)
}
