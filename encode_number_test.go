package nodebus_test

import (
	"encoding/json"
	"math"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// measured is a payload with numbers and lists in all places.
type (
	measured struct {
		Celsius float64    `json:"celsius"`
		Near    *float32   `json:"near"`
		Past    []float64  `json:"past"`
		Names   []string   `json:"names"`
		Any     any        `json:"any"`
		By      lookup     `json:"by"`
		None    *measured  `json:"none"`
		Bytes   []byte     `json:"bytes"`
		Few     [1]float32 `json:"few"`
		place
	}
	lookup map[string]any
	place  struct{ X, Y float64 }
)

func (measured) EventType() string { return "test.reading" }

type notFinite struct {
	name    string
	payload nodebus.Payload
	data    string
}

// numbersWithoutJSON returns payloads with numbers that JSON does not have, and nil lists.
func numbersWithoutJSON() []notFinite {
	nan, inf, near := math.NaN(), math.Inf(1), float32(math.Inf(-1))
	deep, null := any([]any{nan, []any(nil)}), `[null,[]]`
	for range 40 { // deeper than the fast encoder goes
		deep, null = []any{1, deep}, "[1,"+null+"]"
	}
	custom := nodebus.Custom{Type: "test.custom", Data: map[string]any{"a": []any{nan, inf}, "b": []int(nil), "c": map[string]int(nil), "d": json.RawMessage(`[ 1.0 ]`)}}
	states := nodebus.ProgressState{PromptID: "p"}.With(nodebus.NodeState{Place: nodebus.Place{UniqueID: "1"}, Value: nan, Max: inf, State: "running"})
	return []notFinite{
		{"progress", nodebus.Progress{Value: nan, Max: inf}, `{"value":null,"max":null,"prompt_id":"","node":null}`},
		{"a pointer to progress", &nodebus.Progress{Value: 2, Max: nan}, `{"value":2,"max":null,"prompt_id":"","node":null}`},
		{"a snapshot", states, `{"prompt_id":"p","nodes":{"1":{"value":null,"max":null,"state":"running","node_id":"1","prompt_id":"p","display_node_id":"","parent_node_id":null,"real_node_id":""}}}`},
		{"overall", nodebus.Overall{PromptID: "p", Value: nan}, `{"prompt_id":"p","value":null}`},
		{
			"what a node shows",
			nodebus.Executed{Output: nodebus.UI{"x": {nan, near, deep, []string(nil), map[string]float64{"a": inf}}, "y": nil}},
			`{"node":"","display_node":"","output":{"x":[null,null,` + null + `,[],{"a":null}],"y":[]},"prompt_id":""}`,
		},
		{
			"inputs of an error",
			nodebus.ExecutionError{CurrentInputs: map[string][]any{"a": {nan, []any(nil)}, "b": nil}},
			`{"prompt_id":"","node_id":"","node_type":"","executed":[],"exception_message":"","exception_type":"","traceback":[],"current_inputs":{"a":[null,[]],"b":[]},"current_outputs":[]}`,
		},
		{"a custom payload", custom, `{"a":[null,null],"b":[],"c":null,"d":[1.0]}`},
		{"a number", nodebus.Custom{Type: "test.custom", Data: nan}, `null`},
		{"a nil list", nodebus.Custom{Type: "test.custom", Data: []any(nil)}, `[]`},
		{"a number as text", nodebus.Custom{Type: "test.custom", Data: []any{json.Number("NaN"), json.Number("1e999"), json.Number("1.50")}}, `[null,null,1.50]`},
		{"raw JSON", nodebus.Custom{Type: "test.custom", Data: json.RawMessage(`{"a":null,"b":1.50}`)}, `{"a":null,"b":1.50}`},
		{
			"a type of another program",
			measured{Celsius: nan, Near: &near, Past: []float64{1.5, inf}, Any: &nan, By: lookup{"x": []any{inf}}, place: place{nan, 1}},
			`{"celsius":null,"near":null,"past":[1.5,null],"names":[],"any":null,"by":{"x":[null]},"none":null,"bytes":null,"few":[0],"X":null,"Y":1}`,
		},
		{"a plain type", readingPayload{nan}, `{"Celsius":null}`},
	}
}

func TestNumbersWithoutJSONAreNull(t *testing.T) {
	for _, c := range numbersWithoutJSON() {
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: c.payload})
		require.NoError(t, err, c.name)
		require.JSONEq(t, `{"type":"`+c.payload.EventType()+`","data":`+c.data+`}`, string(f.Data), c.name)
	}
	b, err := json.Marshal(nodebus.UI{"a": {math.NaN()}, "b": nil})
	require.NoError(t, err)
	require.Equal(t, `{"a":[null],"b":[]}`, string(b))
}

// TestNumbersWithoutJSONArePublished: all clients and the program receive the event.
func TestNumbersWithoutJSONArePublished(t *testing.T) {
	all := numbersWithoutJSON()
	bubble.Test(t, func(t *testing.T) {
		got := taped(t, func(h *nodebus.Hub) {
			for _, c := range all {
				require.NoError(t, h.Broadcast(c.payload), c.name)
				require.NoError(t, h.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: c.payload, Frozen: true}), c.name)
			}
		}, nodebus.JSON, nodebus.JSONCodec{Envelope: true})
		for _, frames := range got {
			for _, f := range frames {
				require.True(t, json.Valid(f.Data), "%s", f.Data)
				_, err := nodebus.JSON.Decode(f)
				require.NoError(t, err)
			}
		}
		require.NotEmpty(t, got[0])
	})
}

// limits lists reports of progress, and what clients receive.
var limits = []struct{ value, max, wantValue, wantMax float64 }{
	{3, 10, 3, 10},
	{0, 0, 0, 0},
	{10, 10, 10, 10},
	{-1, 10, 0, 10},
	{11, 10, 10, 10},
	{1, 0, 0, 0},
	{1, -5, 0, 0},
	{-3, -5, 0, 0},
	{math.Inf(1), 10, 10, 10},
	{math.Inf(-1), 10, 0, 10},
	{1, math.Inf(-1), 0, 0},
	{.5, .25, .25, .25},
}

func TestProgressIsClamped(t *testing.T) {
	for _, c := range limits {
		p := nodebus.Progress{Value: c.value, Max: c.max}
		want := nodebus.Progress{Value: c.wantValue, Max: c.wantMax}
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: p})
		require.NoError(t, err)
		ev, err := nodebus.JSON.Decode(f)
		require.NoError(t, err)
		require.Equal(t, want, ev.Payload)

		s := nodebus.ProgressState{}.With(nodebus.NodeState{Value: c.value, Max: c.max})
		require.Equal(t, []nodebus.NodeState{{Value: c.wantValue, Max: c.wantMax}}, s.Nodes())

		hub := nodebus.NewHub(nil)
		events := hub.Subscribe(t.Context())
		require.NoError(t, hub.SendSync(p, "me"))
		require.NoError(t, hub.Close())
		for ev, err := range events {
			require.NoError(t, err)
			require.Equal(t, want, ev.Payload, "a subscriber of the program receives the same")
		}
	}
}

// keeper is a publisher that passes on each event.
type keeper func(nodebus.Event)

func (k keeper) Publish(ev nodebus.Event) error { k(ev); return nil }

// TestContextProgressIsClamped has no runtime, and TestTrackerProgressIsClamped a tracker.
func TestContextProgressIsClamped(t *testing.T) {
	for _, c := range limits {
		var got []nodebus.Payload
		keep := keeper(func(ev nodebus.Event) { got = append(got, ev.Payload) })
		ctx := nodebus.NewContext(t.Context(), nodebus.CallInfo{Place: nodebus.Place{UniqueID: "1"}, Publisher: keep})
		ctx.Progress(c.value, c.max)
		require.NoError(t, ctx.SendSync(nodebus.Progress{Value: c.value, Max: c.max, UniqueID: "1"}))
		want := nodebus.Progress{Value: c.wantValue, Max: c.wantMax, UniqueID: "1"}
		if math.IsInf(c.value, 0) || math.IsInf(c.max, 0) {
			require.Equal(t, []nodebus.Payload{want}, got, "Progress ignores what is not finite")
			continue
		}
		require.Equal(t, []nodebus.Payload{want, want}, got)
	}
}

func TestTrackerProgressIsClamped(t *testing.T) {
	for _, c := range limits {
		if math.IsInf(c.value, 0) || math.IsInf(c.max, 0) {
			continue // ignored
		}
		var steps []nodebus.Progress
		var last nodebus.ProgressState
		tr := nodebus.NewTracker(&nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", Nodes: nodebus.Nodes{{ID: "1"}}}}, keeper(func(ev nodebus.Event) {
			switch p := ev.Payload.(type) {
			case nodebus.Progress:
				steps = append(steps, p)
			case nodebus.ProgressState:
				last = p
			}
		}))
		tr.Begin(0)
		require.NoError(t, tr.Progress(0, c.value, c.max))
		tr.Close(nil)
		require.Len(t, steps, 1)
		require.Equal(t, [2]float64{c.wantValue, c.wantMax}, [2]float64{steps[0].Value, steps[0].Max})
		require.Equal(t, [2]float64{c.wantValue, c.wantMax}, [2]float64{last.Nodes()[0].Value, last.Nodes()[0].Max})
	}
}
