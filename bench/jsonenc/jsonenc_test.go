package jsonenc

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/bench/internal/measure"
	"github.com/stretchr/testify/require"
)

// TestEncodersAgree checks that all encoders write the same JSON value.
func TestEncodersAgree(t *testing.T) {
	for _, s := range samples() {
		want, err := json.Marshal(s.plain)
		require.NoError(t, err)
		f, err := nodebus.JSON.Encode(s.event)
		require.NoError(t, err)
		require.JSONEq(t, string(want), string(f.Data), s.name)
		require.JSONEq(t, string(want), string(s.append(nil)), s.name)
	}
}

var kept []byte

// BenchmarkEncode reports nanoseconds and CPU nanoseconds per frame.
func BenchmarkEncode(b *testing.B) {
	for _, s := range samples() {
		size := len(s.append(nil))
		var buf []byte
		for _, e := range []struct {
			name string
			make func() ([]byte, error)
		}{
			{"limit-reused", func() ([]byte, error) { // not usable in practice: frames are shared between clients
				buf = s.append(buf[:0])
				return buf, nil
			}},
			{"limit", func() ([]byte, error) { return s.append(make([]byte, 0, size)), nil }},
			{"encoding-json", func() ([]byte, error) { return json.Marshal(s.plain) }},
			{"nodebus", func() ([]byte, error) {
				f, err := nodebus.JSON.Encode(s.event)
				return f.Data, err
			}},
		} {
			b.Run("payload="+s.name+"/peer="+e.name, func(b *testing.B) {
				b.ReportAllocs()
				user, system := measure.CPU()
				for b.Loop() {
					out, err := e.make()
					if err != nil {
						b.Fatal(err)
					}
					kept = out
				}
				user2, system2 := measure.CPU()
				b.ReportMetric(float64(user2-user+system2-system)/float64(b.N), "cpu-ns/op")
				b.ReportMetric(float64(len(kept)), "bytes")
			})
		}
	}
}
