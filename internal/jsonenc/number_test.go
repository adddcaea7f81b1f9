package jsonenc_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

func TestTooLarge(t *testing.T) {
	for text, want := range map[string]string{
		`1e308`: "", `-1.7976931348623157e308`: "", `1e-999`: "", `9`: "", `null`: "", `"1e999"`: "", `[1,{"a":[true,"x"]}]`: "",
		`1e999`: "1e999", `-1e309`: "-1e309", `[0,[1e400]]`: "1e400", `{"a":{"b":[{"c":1E999}]}}`: "1E999",
		`{"d":1e994,"b":1e992,"a":1,"c":1e993}`: "1e992",
		`1` + strings.Repeat("0", 309):          "1" + strings.Repeat("0", 309),
	} {
		dec := json.NewDecoder(strings.NewReader(text))
		dec.UseNumber()
		var v any
		require.NoError(t, dec.Decode(&v))
		n, found := jsonenc.TooLarge(v)
		require.Equal(t, want != "", found, text)
		if found {
			require.Equal(t, want, string(n))
		}
	}
}
