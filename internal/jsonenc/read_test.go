package jsonenc_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

type request struct {
	ClientID *string  `json:"client_id"`
	Targets  []string `json:"targets"`
	Delete   *[]int
	Inner    struct {
		Lists map[string][]bool `json:"lists"`
	} `json:"inner"`
	Many []struct {
		Names []string `json:"names"`
	} `json:"many"`
}

// TestReadWords: the errors of Read name no Go types, and the place of a mistake.
func TestReadWords(t *testing.T) {
	for text, want := range map[string]string{
		`{"client_id":5}`:                   "client_id must be a string, but it is a number",
		`{"client_id":[]}`:                  "client_id must be a string, but it is a list",
		`{"targets":"a"}`:                   "targets must be a list, but it is a string",
		`{"targets":["a",5]}`:               "each element of targets must be a string, but one is a number",
		`{"Delete":["x"]}`:                  "each element of Delete must be a whole number, but one is a string",
		`{"Delete":[1.5]}`:                  "each element of Delete must be a whole number, but one is 1.5",
		`{"inner":5}`:                       "inner must be an object, but it is a number",
		`{"many":{}}`:                       "many must be a list, but it is an object",
		`{"many":["x"]}`:                    "each element of many must be an object, but one is a string",
		`{"many":[{"names":[1]}]}`:          "each element of many.names must be a string, but one is a number",
		`5`:                                 "the JSON must be an object, but it is a number",
		"{\n \"targets\": [nope]}":          "invalid character 'o' in literal null (expecting 'u'), at line 2, column 15",
		`{`:                                 "unexpected end of JSON input, at line 1, column 1",
		``:                                  "unexpected end of JSON input, at line 1, column 1",
		`{"targets":[]} x`:                  "invalid character 'x' after top-level value, at line 1, column 16",
		"{\"inner\":{\"lists\":\n\n{a:1}}}": "invalid character 'a' looking for beginning of object key string, at line 3, column 2",
	} {
		var v request
		err := jsonenc.Read([]byte(text), &v, "")
		require.EqualError(t, err, want, text)
	}
	require.EqualError(t, jsonenc.Read([]byte(`{"inner":{"lists":{"a":5}}}`), new(request), ""), "each element of inner.lists must be a list, but one is a number")
	var list []string
	require.EqualError(t, jsonenc.Read([]byte(`[1]`), &list, ""), "each element of the list must be a string, but one is a number")
	require.EqualError(t, jsonenc.Read([]byte(`[1]`), &list, "the body"), "each element of the body must be a string, but one is a number")
	require.EqualError(t, jsonenc.Read([]byte(`{"targets":[1]}`), new(request), "the body"), `each element of "targets" of the body must be a string, but one is a number`)
	require.EqualError(t, jsonenc.Read([]byte(`7`), &list, "the body"), "the body must be a list, but it is a number")
	require.NoError(t, jsonenc.Read([]byte(`["a"]`), &list, "the body"))
	require.Equal(t, []string{"a"}, list)
}

// TestText: what encoding/json says about Go types is replaced inside of other texts.
func TestText(t *testing.T) {
	misfit := json.Unmarshal([]byte(`{"targets":5}`), new(request))
	require.ErrorContains(t, misfit, "Go struct field")
	for want, err := range map[string]error{
		`"targets" of the JSON must be a list, but it is a number`:                         misfit,
		`reading the plan: "targets" of the JSON must be a list, but it is a number; mend`: fmt.Errorf("reading the plan: %w; mend", misfit),
		"no":                           errors.New("no"),
		"unexpected end of JSON input": json.Unmarshal(nil, new(int)),
	} {
		require.Equal(t, want, jsonenc.Text(err))
		require.EqualError(t, jsonenc.Worded(err), want)
	}
	plain := errors.New("no")
	require.Same(t, plain, jsonenc.Worded(plain))
}
