package jsonenc_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/jsonenc"
	"github.com/stretchr/testify/require"
)

// TestCost decodes JSON text and compares what that keeps in memory with the estimate.
// The estimate may be too high, but not far too low.
func TestCost(t *testing.T) {
	for name, text := range map[string]string{
		"empty lists":            "[" + strings.Repeat("[],", 100_000) + "0]",
		"empty objects":          "[" + strings.Repeat("{},", 100_000) + "0]",
		"small objects":          "[" + strings.Repeat(`{"":0},`, 100_000) + "0]",
		"objects of nine":        "[" + strings.Repeat(`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1},`, 10_000) + "0]",
		"lists of one":           "[" + strings.Repeat("[0],", 100_000) + "0]",
		"empty strings":          "[" + strings.Repeat(`"",`, 100_000) + "0]",
		"digits":                 "[" + strings.Repeat("0,", 100_000) + "0]",
		"booleans":               "[" + strings.Repeat("true,false,null,", 100_000) + "0]",
		"a long string":          `"` + strings.Repeat("x", 1_000_000) + `"`,
		"a long string, escaped": `"` + strings.Repeat(`\"\\`, 200_000) + `"`,
		"one large object":       `{` + manyMembers(20_000) + `}`,
	} {
		t.Run(name, func(t *testing.T) {
			cost := jsonenc.Cost([]byte(text), 1<<40)
			kept := memoryOf(t, text)
			require.Less(t, float64(kept), 1.5*float64(cost)+1<<14, "kept, estimated %d", cost)
			require.Less(t, float64(cost), 4*float64(kept)+float64(3*len(text))+1<<14, "the estimate, kept %d", kept)
		})
	}
}

func manyMembers(n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(jsonenc.String(nil, strings.Repeat("n", i%7)+string(rune('a'+i%26))+strings.Repeat("m", i/26%50)))
		b.WriteString(":0")
	}
	return b.String()
}

// memoryOf returns the memory that the decoded text keeps.
func memoryOf(t *testing.T, text string) int {
	dec := json.NewDecoder(strings.NewReader(text))
	dec.UseNumber()
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var v any
	require.NoError(t, dec.Decode(&v))
	dec = nil
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(v)
	runtime.KeepAlive(dec)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}

func TestCostStopsAtTheLimit(t *testing.T) {
	text := bytes.Repeat([]byte("["), 1<<20)
	cost := jsonenc.Cost(text, 1000)
	require.Greater(t, cost, 1000)
	require.Less(t, cost, 1100)
}

// TestCostOfOddText checks that no text stops the estimate with a panic.
func TestCostOfOddText(t *testing.T) {
	for _, text := range []string{"", "]", "}}", `"`, `"\`, `{"a`, "[1", "{,}", "\x00", "nul", "[[[", `{"a":[}`} {
		require.NotPanics(t, func() { jsonenc.Cost([]byte(text), 1000) }, "%q", text)
	}
}
