package nodebus_test

import (
	"encoding/json"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// BenchmarkEncode measures the cost of a frame, and compares it with encoding/json for
// the same data in structs and maps. times-ours is the time of encoding/json divided by
// our time.
func BenchmarkEncode(b *testing.B) {
	type frame struct {
		Type string `json:"type"`
		Data any    `json:"data"`
	}
	events := hotEvents()
	for _, typ := range []string{"executing", "progress", "progress_state", "executed"} {
		ev := events[typ]
		var ref any = frame{typ, plainData(ev.Payload)}
		f, err := nodebus.JSON.Encode(ev)
		require.NoError(b, err)
		require.JSONEq(b, string(marshalled(b, ref)), string(f.Data))
		var ours float64
		b.Run(typ+"/nodebus", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := nodebus.JSON.Encode(ev); err != nil {
					b.Fatal(err)
				}
			}
			ours = float64(b.Elapsed()) / float64(b.N)
		})
		b.Run(typ+"/encoding-json", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := json.Marshal(ref); err != nil {
					b.Fatal(err)
				}
			}
			if ours > 0 {
				b.ReportMetric(float64(b.Elapsed())/float64(b.N)/ours, "times-ours")
			}
		})
	}
}

// plainData is the data of a hot payload in types that encoding/json knows.
func plainData(p nodebus.Payload) any {
	switch p := p.(type) {
	case nodebus.Executing:
		return plainExecuting{orNull(p.UniqueID), p.DisplayID, p.PromptID}
	case nodebus.Progress:
		return plainProgress{p.Value, p.Max, p.PromptID, orNull(p.UniqueID)}
	case nodebus.Executed:
		return plainExecuted{p.UniqueID, p.DisplayID, p.Output, p.PromptID}
	case nodebus.ProgressState:
		nodes := map[string]plainNodeState{}
		for _, s := range p.Nodes() {
			nodes[s.UniqueID] = plainState(s, p.PromptID)
		}
		return struct {
			PromptID string                    `json:"prompt_id"`
			Nodes    map[string]plainNodeState `json:"nodes"`
		}{p.PromptID, nodes}
	}
	return nil
}

// BenchmarkDecode measures the cost of an event in a client.
func BenchmarkDecode(b *testing.B) {
	events := hotEvents()
	for _, typ := range []string{"executing", "progress", "progress_state", "executed"} {
		f, err := nodebus.JSON.Encode(events[typ])
		require.NoError(b, err)
		b.Run(typ, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := nodebus.JSON.Decode(f); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
