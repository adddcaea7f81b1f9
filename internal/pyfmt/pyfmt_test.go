package pyfmt_test

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/pyfmt"
	"github.com/stretchr/testify/require"
)

// The left column is JSON; the right column is what Python 3.11 prints after json.loads.
func TestRepr(t *testing.T) {
	for _, c := range [][2]string{
		{`null`, `None`},
		{`true`, `True`},
		{`false`, `False`},
		{`1`, `1`},
		{`-0`, `0`},
		{`18446744073709551615`, `18446744073709551615`},
		{`1.5`, `1.5`},
		{`1.0`, `1.0`},
		{`-0.0`, `-0.0`},
		{`1e2`, `100.0`},
		{`1e16`, `1e+16`},
		{`123456789012345.6`, `123456789012345.6`},
		{`0.0001`, `0.0001`},
		{`0.00001`, `1e-05`},
		{`1e999`, `inf`},
		{`-1e999`, `-inf`},
		{`"abc"`, `'abc'`},
		{`"it's"`, `"it's"`},
		{`"it's \"x\""`, `'it\'s "x"'`},
		{`"a\nb\tc\rd\\e"`, `'a\nb\tc\rd\\e'`},
		{`"\u0001\u007f"`, `'\x01\x7f'`},
		{`"h\u00e9 \u00a0 \u200b"`, `'hé \xa0 \u200b'`},
		{`"\u0000\u001f\u007f\ud7ff\udb40\udc01"`, `'\x00\x1f\x7f\ud7ff\U000e0001'`},
		{`[1, "a", null]`, `[1, 'a', None]`},
		{`{"x": 1, "y": {"z": []}}`, `{'x': 1, 'y': {'z': []}}`},
	} {
		dec := json.NewDecoder(strings.NewReader(c[0]))
		dec.UseNumber()
		var v any
		require.NoError(t, dec.Decode(&v))
		require.Equal(t, c[1], pyfmt.Repr(v), c[0])
	}
	require.Equal(t, "['a', 'b']", pyfmt.Repr([]string{"a", "b"}))
	require.Equal(t, "abc", pyfmt.Str("abc"))
	require.Equal(t, "True", pyfmt.Str(true))
	require.Equal(t, "2.5", pyfmt.Repr(float32(2.5)))
	require.Equal(t, "7", pyfmt.Repr(7))
	require.Equal(t, "nan", pyfmt.Float(math.NaN()))
}
