package nodebus_test

import (
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// editorGraph returns a graph of n nodes as the front end of ComfyUI sends it: the inputs
// come first, and they are in the order of the class.
func editorGraph(n int) []byte {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, `,"%d":{"inputs":{"seed":%d,"steps":20,"cfg":8,"sampler_name":"euler","scheduler":"normal","denoise":1,`+
			`"model":["%d",0],"positive":["%d",0],"negative":["%d",1],"latent_image":["%d",0]},"class_type":"KSampler","_meta":{"title":"KSampler"}}`,
			i, i*7919, i+1, i+1, i+2, i+1)
	}
	return []byte("{" + b.String()[1:] + "}")
}

// BenchmarkNodes measures how long it takes to read and to write a graph. times-json is our
// time divided by the time of encoding/json for a map. kept-bytes is the memory of one node
// after reading.
func BenchmarkNodes(b *testing.B) {
	const n = 1000
	text := editorGraph(n)
	var graph any
	require.NoError(b, json.Unmarshal(text, &graph))
	nodes, err := nodebus.ParseNodes(text)
	require.NoError(b, err)

	b.Run("parse", func(b *testing.B) {
		ratio(b, func() error { var v any; return json.Unmarshal(text, &v) }, func() error {
			_, err := nodebus.ParseNodes(text)
			return err
		})
		b.ReportMetric(float64(keptBy(b, text))/n, "kept-bytes")
	})
	b.Run("marshal", func(b *testing.B) {
		ratio(b, func() error { _, err := json.Marshal(graph); return err }, func() error {
			_, err := nodes.MarshalJSON()
			return err
		})
	})
}

// ratio runs both functions side by side, and reports their times as a ratio.
func ratio(b *testing.B, theirs, ours func() error) {
	b.ReportAllocs()
	var their, our time.Duration
	for b.Loop() {
		began := time.Now()
		if err := theirs(); err != nil {
			b.Fatal(err)
		}
		middle := time.Now()
		if err := ours(); err != nil {
			b.Fatal(err)
		}
		their, our = their+middle.Sub(began), our+time.Since(middle)
	}
	b.ReportMetric(float64(our)/float64(their), "times-json")
}

// keptBy returns the memory of a graph that was read, in bytes.
func keptBy(t testing.TB, text []byte) int {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	nodes, err := nodebus.ParseNodes(text)
	require.NoError(t, err)
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(nodes)
	runtime.KeepAlive(text)
	return int(after.HeapAlloc) - int(before.HeapAlloc)
}
