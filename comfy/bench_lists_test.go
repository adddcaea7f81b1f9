package comfy_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime/metrics"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// taker is a client that takes an answer and forgets it. It keeps the largest size of the
// heap, garbage included.
type taker struct {
	header  http.Header
	bytes   int
	largest uint64
}

func (s *taker) Header() http.Header              { return s.header }
func (s *taker) WriteHeader(int)                  {}
func (s *taker) Flush()                           {}
func (s *taker) SetWriteDeadline(time.Time) error { return nil }

func (s *taker) Write(p []byte) (int, error) {
	s.bytes += len(p)
	s.largest = max(s.largest, heapNow())
	return len(p), nil
}

// heapNow returns the memory of the objects on the heap, in bytes, without a collection.
func heapNow() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// recordOf is the record of a prompt of 10 nodes that a front end has submitted with its
// workflow. It has a picture, and a text.
func recordOf(b *testing.B, i int) flow.Record {
	id := fmt.Sprintf("00000000-0000-4000-8000-%012d", i)
	var nodes nodebus.Nodes
	require.NoError(b, json.Unmarshal([]byte(stepsOf(10)), &nodes))
	drawn := []any{}
	for n := range 10 {
		drawn = append(drawn, map[string]any{"id": n, "type": "Step", "pos": []any{100.0, 200.0}, "widgets_values": []any{"a text of a widget", 5.0}})
	}
	at := time.UnixMilli(1_700_000_000_000 + int64(i))
	return flow.Record{
		Prompt: &nodebus.Prompt{
			ID: id, ClientID: "me", Priority: float64(i), Nodes: nodes, Outputs: []string{"10"}, Created: at,
			Extra: map[string]any{"client_id": "me", "create_time": at.UnixMilli(), "extra_pnginfo": map[string]any{"workflow": map[string]any{"id": "w", "nodes": drawn}}},
		},
		Attempt: 1, State: nodebus.Succeeded, Started: at, Ended: at.Add(time.Second),
		Outputs: []nodebus.NodeOutput{
			{Place: nodebus.Place{UniqueID: "8"}.WithDefaults(), UI: nodebus.Text("a text")},
			{Place: nodebus.Place{UniqueID: "10"}.WithDefaults(), UI: nodebus.Images(nodebus.File{Filename: "picture_00001_.png", Type: "output"})},
		},
		Start:   &nodebus.ExecutionStart{PromptID: id, Timestamp: at.UnixMilli()},
		Success: &nodebus.ExecutionSuccess{PromptID: id, Timestamp: at.UnixMilli() + 1000},
	}
}

// BenchmarkLists lists 10 000 records, and describes 1000 classes of 14 inputs. peak-B is what
// the heap grew by, garbage included, and live-B what the answer needed, both at most.
func BenchmarkLists(b *testing.B) {
	h := benchHost(b)
	for i := range 1000 {
		flow.Register(h.reg, sampler{}, nodebus.Info{Name: fmt.Sprint("Class", i), Category: "a/b", Description: "Takes samples."})
	}
	store := flow.NewStore(nil)
	for i := range 10_000 {
		require.NoError(b, store.Put(b.Context(), recordOf(b, i)))
	}
	server := comfy.New(flow.NewEngine(h.reg, h.hub, &flow.EngineOptions{Store: store}), nil)
	for _, path := range []string{"/history", "/history?max_items=64", "/api/jobs", "/api/jobs?status=completed,failed,cancelled&limit=200&offset=0", "/object_info"} {
		b.Run(strings.ReplaceAll(strings.Trim(path, "/"), "/", "-"), func(b *testing.B) {
			live := &meter{header: http.Header{}}
			before := heap()
			server.ServeHTTP(live, httptest.NewRequest(http.MethodGet, path, nil))
			s := &taker{header: http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				s.bytes = 0
				server.ServeHTTP(s, httptest.NewRequest(http.MethodGet, path, nil))
			}
			b.ReportMetric(float64(s.bytes), "answer-B")
			b.ReportMetric(float64(s.largest)-float64(before), "peak-B")
			b.ReportMetric(max(float64(live.memory)-float64(before), 0), "live-B")
		})
	}
}
