package jsonenc_test

import (
	"encoding/json"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

type verdict struct {
	Approve bool    `json:"approve"`
	Stars   int8    `json:"stars"`
	Share   float32 `json:"share"`
	Quoted  int     `json:"quoted,string"`
	Author  *struct {
		Name string   `json:"name"`
		Tags []string `json:"tags"`
	} `json:"author"`
	From netip.Addr       `json:"from"`
	Key  []byte           `json:"key"`
	By   json.Number      `json:"by"`
	Any  interface{ F() } `json:"any"`
	Even even             `json:"even"`
	Map  map[uint8]int    `json:"map"`
}

type even int

func (*even) UnmarshalJSON([]byte) error { return errors.New("nodebus: 3 is odd") }

// TestMisfit: the reason has no word of Go.
func TestMisfit(t *testing.T) {
	for text, want := range map[string]string{
		`"yes"`:             "it must be an object, but it is a string",
		`5`:                 "it must be an object, but it is a number",
		`[]`:                "it must be an object, but it is a list",
		`true`:              "it must be an object, but it is a boolean",
		`{"approve":"yes"}`: `"approve" of it must be a boolean, but it is a string`,
		`{"stars":"5"}`:     `"stars" of it must be a whole number, but it is a string`,
		`{"stars":4.5}`:     `"stars" of it must be a whole number, but it is 4.5`,
		`{"stars":128}`:     `"stars" of it must be a whole number from -128 to 127, but it is 128`,
		`{"stars":` + strings.Repeat("9", 50) + `}`: `"stars" of it must be a whole number from -128 to 127, but it is ` + strings.Repeat("9", 40) + "…",
		`{"share":1e99}`:          `"share" of it must be a smaller number, but it is 1e99`,
		`{"share":{}}`:            `"share" of it must be a number, but it is an object`,
		`{"quoted":"x"}`:          "it does not fit: it must have a number or a boolean within quotes",
		`{"author":{"name":1}}`:   `"author.name" of it must be a string, but it is a number`,
		`{"author":{"tags":"a"}}`: `"author.tags" of it must be a list, but it is a string`,
		`{"from":1}`:              `"from" of it must be a string, but it is a number`,
		`{"key":1}`:               `"key" of it must be a string of base64, but it is a number`,
		`{"by":true}`:             `"by" of it must be a number, but it is a boolean`,
		`{"any":1}`:               `"any" of it must be another value, but it is a number`,
		`{"map":{"-1":1}}`:        `"map" of it must be a whole number from 0 to 255, but it is -1`,
		`{"even":3}`:              "it does not fit: 3 is odd",
	} {
		var v verdict
		err := json.Unmarshal([]byte(text), &v)
		require.Error(t, err, text)
		require.Equal(t, want, jsonenc.Misfit("it", err), text)
	}
}
