package fold_test

import (
	"bytes"
	"encoding/json"
	"runtime"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/require"
)

// TestUnmarshal: a snapshot from a careless program does no harm.
func TestUnmarshal(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":   {`{}`, `{"prompt_id":"","state":"","nodes":{},"order":[],"waiting":[]}`},
		"nothing": {`null`, `{"prompt_id":"","state":"","nodes":{},"order":[],"waiting":[]}`},
		"null lists": {
			`{"prompt_id":"p","nodes":null,"order":null,"waiting":null,"error":null}`,
			`{"prompt_id":"p","state":"","nodes":{},"order":[],"waiting":[]}`,
		},
		"nodes and order do not agree": {
			`{"prompt_id":"p","nodes":{"b":{},"a":{"node_id":"x","state":"error"},"c":null,"":{}},"order":["c","b","none","b"]}`,
			`{"prompt_id":"p","state":"","waiting":[],"order":["b","a"],"nodes":{
				"a":{"node_id":"a","display_node_id":"a","parent_node_id":null,"real_node_id":"a","state":"error","value":0,"max":0},
				"b":{"node_id":"b","display_node_id":"b","parent_node_id":null,"real_node_id":"b","state":"","value":0,"max":0}}}`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			run := fold.Run{PromptID: "before", Attempt: 3, Closed: true}
			require.NoError(t, json.Unmarshal([]byte(c.text), &run))
			if c.text != "null" { // encoding/json does not call UnmarshalJSON of a value
				require.JSONEq(t, c.want, jsonOf(t, &run))
			}
			run.Apply(nodebus.Event{PromptID: "p", Payload: nodebus.Progress{UniqueID: "c", Value: 1, Max: 2}})
			jsonOf(t, &run)
		})
	}
	var run fold.Run
	require.Error(t, json.Unmarshal([]byte(`{"nodes":5}`), &run))
	require.Error(t, json.Unmarshal([]byte(`{"nodes":{"1":5}}`), &run))
}

// TestClone: what is applied to a copy does not change the original.
func TestClone(t *testing.T) {
	var run fold.Run
	for _, p := range []nodebus.Payload{
		nodebus.Executing{UniqueID: "1"},
		nodebus.TextPiece{Place: nodebus.Place{UniqueID: "1"}, Piece: "one"},
		nodebus.Waiting{Place: nodebus.Place{UniqueID: "1"}, Name: "q"},
	} {
		run.Apply(nodebus.Event{PromptID: "p", Payload: p})
	}
	before, c := jsonOf(t, &run), run.Clone()
	for _, p := range []nodebus.Payload{
		nodebus.TextPiece{Place: nodebus.Place{UniqueID: "1"}, Offset: 3, Piece: " two"},
		nodebus.Executing{UniqueID: "2"},
		nodebus.Waiting{Place: nodebus.Place{UniqueID: "1"}, Name: "q", Deadline: 5},
		nodebus.ExecutionSuccess{},
	} {
		c.Apply(nodebus.Event{PromptID: "p", Payload: p})
	}
	require.Equal(t, before, jsonOf(t, &run))
	require.Equal(t, "one two", c.Nodes["1"].Texts[""])
	run.Apply(nodebus.Event{PromptID: "p", Payload: nodebus.TextPiece{Place: nodebus.Place{UniqueID: "1"}, Offset: 3, Piece: "!"}})
	require.Equal(t, []string{"one!", "one two"}, []string{run.Nodes["1"].Texts[""], c.Nodes["1"].Texts[""]})
}

// TestLongText: a text of many pieces is not copied for each piece.
func TestLongText(t *testing.T) {
	const pieces, size = 20_000, 50
	var run fold.Run
	piece := strings.Repeat("x", size)
	apply := func(from, to int) {
		for i := from; i < to; i++ {
			run.Apply(nodebus.Event{PromptID: "p", Payload: nodebus.TextPiece{Place: nodebus.Place{UniqueID: "1"}, Offset: i * size, Piece: piece}})
		}
	}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	run.Apply(nodebus.Event{PromptID: "p", Payload: nodebus.ExecutionStart{PromptID: "p"}})
	apply(0, pieces/2)
	text := jsonOf(t, &run)
	require.NoError(t, json.Unmarshal([]byte(text), &run))
	apply(pieces/2, pieces)
	runtime.ReadMemStats(&after)
	require.Len(t, run.Nodes["1"].Texts[""], pieces*size)
	require.False(t, run.Incomplete)
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(100*pieces*size), "copying would take 10 000 times the text")
}

// TestForeignPayloads: payloads whose methods panic, and pointers to nothing, are ignored.
func TestForeignPayloads(t *testing.T) {
	var run fold.Run
	for _, p := range []nodebus.Payload{nil, bad{}, (*fold.Run)(nil), (*nodebus.TextPiece)(nil), &fold.Run{PromptID: "other"}} {
		require.NotPanics(t, func() { run.Apply(nodebus.Event{PromptID: "p", Payload: p}) })
	}
	require.Equal(t, "p", run.PromptID)
	require.Empty(t, run.Nodes)
	run.Apply(nodebus.Event{PromptID: "p", Payload: &fold.Run{PromptID: "p", State: fold.Running, Order: []string{"1"}, Nodes: map[string]*fold.Node{"1": {}}}})
	require.Equal(t, fold.Running, run.State)
	require.Equal(t, []string{"1"}, run.Order)
}

type bad struct{}

func (bad) EventType() string { panic("no type") }

// FuzzRun reads a snapshot and applies a message in each line to it. Nothing panics, and
// the law holds.
func FuzzRun(f *testing.F) {
	for _, v := range readVectors(f) {
		var lines [][]byte
		for _, ev := range v.Events {
			lines = append(lines, ev)
		}
		f.Add([]byte(v.Run), bytes.Join(lines, []byte("\n")))
	}
	f.Fuzz(func(t *testing.T, snapshot, lines []byte) {
		var head fold.Run
		if json.Unmarshal(snapshot, &head) != nil {
			head = fold.Run{}
		}
		events := []nodebus.Event{{PromptID: head.PromptID, Payload: head}}
		for line := range bytes.Lines(lines) {
			if ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: line}); err == nil {
				events = append(events, ev)
			}
		}
		requireLaw(t, events[:min(len(events), 20)])
	})
}
