package nodebus_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// wirePrompt is the prompt id of the frames below.
const wirePrompt = "8f1d6a52-3c0e-4b7a-9d55-2f6e1c0b7a94"

// madePlace is the place of a node that was made at run time. madeWire is its JSON.
var madePlace = nodebus.Place{UniqueID: "5.0.0.1", DisplayID: "5", ParentID: "5", RealID: "5"}

const madeWire = `"node_id":"5.0.0.1","prompt_id":"` + wirePrompt + `","display_node_id":"5","parent_node_id":"5","real_node_id":"5"`

// standardFrames lists the standard payloads and their frames. Encode must give the
// frame, and Decode must give the payload.
var standardFrames = []struct {
	name    string
	payload nodebus.Payload
	prompt  string // the Event.PromptID that Decode must return
	wire    string
}{
	{
		"status",
		nodebus.Status{QueueRemaining: 2},
		"",
		`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":2}}}}`,
	},
	{
		"status of the handshake",
		nodebus.Status{QueueRemaining: 0, SID: "0f3c9a6e5b7d4c21a8e0d1f2b3c4d5e6"},
		"",
		`{"type":"status","data":{"status":{"exec_info":{"queue_remaining":0}},"sid":"0f3c9a6e5b7d4c21a8e0d1f2b3c4d5e6"}}`,
	},
	{
		"execution_start",
		nodebus.ExecutionStart{PromptID: wirePrompt, Timestamp: 1767225600123},
		wirePrompt,
		`{"type":"execution_start","data":{"prompt_id":"` + wirePrompt + `","timestamp":1767225600123}}`,
	},
	{
		"execution_cached",
		nodebus.ExecutionCached{Nodes: []string{"4", "7"}, PromptID: wirePrompt, Timestamp: 1767225600130},
		wirePrompt,
		`{"type":"execution_cached","data":{"nodes":["4","7"],"prompt_id":"` + wirePrompt + `","timestamp":1767225600130}}`,
	},
	{
		"execution_cached of nothing",
		nodebus.ExecutionCached{Nodes: []string{}, PromptID: wirePrompt, Timestamp: 1767225600130},
		wirePrompt,
		`{"type":"execution_cached","data":{"nodes":[],"prompt_id":"` + wirePrompt + `","timestamp":1767225600130}}`,
	},
	{
		"executing",
		nodebus.Executing{UniqueID: "5.0.0.1", DisplayID: "5", PromptID: wirePrompt},
		wirePrompt,
		`{"type":"executing","data":{"node":"5.0.0.1","display_node":"5","prompt_id":"` + wirePrompt + `"}}`,
	},
	{
		"executing that closes a prompt",
		nodebus.Executing{PromptID: wirePrompt},
		wirePrompt,
		`{"type":"executing","data":{"node":null,"prompt_id":"` + wirePrompt + `"}}`,
	},
	{
		"executing of the handshake",
		nodebus.Executing{UniqueID: "5"},
		"",
		`{"type":"executing","data":{"node":"5"}}`,
	},
	{
		"executed",
		nodebus.Executed{Place: nodebus.Place{UniqueID: "9", DisplayID: "9"}, PromptID: wirePrompt, Output: nodebus.UI{
			"images": {map[string]any{"filename": "out_00001_.png", "subfolder": "", "type": "output"}},
			"text":   {"a", "b"},
		}},
		wirePrompt,
		`{"type":"executed","data":{"node":"9","display_node":"9","output":{
			"images":[{"filename":"out_00001_.png","subfolder":"","type":"output"}],"text":["a","b"]},"prompt_id":"` + wirePrompt + `"}}`,
	},
	{
		"executed of a cached node without output",
		nodebus.Executed{Place: nodebus.Place{UniqueID: "5.0.0.2", DisplayID: "5"}, PromptID: wirePrompt},
		wirePrompt,
		`{"type":"executed","data":{"node":"5.0.0.2","display_node":"5","output":null,"prompt_id":"` + wirePrompt + `"}}`,
	},
	{
		"executed with empty output",
		nodebus.Executed{Place: nodebus.Place{UniqueID: "5", DisplayID: "5"}, Output: nodebus.UI{}, PromptID: wirePrompt},
		wirePrompt,
		`{"type":"executed","data":{"node":"5","display_node":"5","output":{},"prompt_id":"` + wirePrompt + `"}}`,
	},
	{
		"progress",
		nodebus.Progress{Value: 3, Max: 20, PromptID: wirePrompt, UniqueID: "3"},
		wirePrompt,
		`{"type":"progress","data":{"value":3,"max":20,"prompt_id":"` + wirePrompt + `","node":"3"}}`,
	},
	{
		"progress without a node",
		nodebus.Progress{Value: 0.5, Max: 1, PromptID: wirePrompt},
		wirePrompt,
		`{"type":"progress","data":{"value":0.5,"max":1,"prompt_id":"` + wirePrompt + `","node":null}}`,
	},
	{
		"progress_state",
		nodebus.ProgressState{PromptID: wirePrompt}.With(
			nodebus.NodeState{Value: 0, Max: 1, State: "running", Place: nodebus.Place{UniqueID: "5", DisplayID: "5", RealID: "5"}},
			nodebus.NodeState{Value: 2, Max: 4, State: "running", Place: nodebus.Place{UniqueID: "5.0.0.1", DisplayID: "5", ParentID: "5", RealID: "5"}},
		),
		wirePrompt,
		`{"type":"progress_state","data":{"prompt_id":"` + wirePrompt + `","nodes":{
			"5":{"value":0,"max":1,"state":"running","node_id":"5","prompt_id":"` + wirePrompt + `","display_node_id":"5","parent_node_id":null,"real_node_id":"5"},
			"5.0.0.1":{"value":2,"max":4,"state":"running","node_id":"5.0.0.1","prompt_id":"` + wirePrompt + `","display_node_id":"5","parent_node_id":"5","real_node_id":"5"}}}}`,
	},
	{
		"progress_state of nothing",
		nodebus.ProgressState{PromptID: wirePrompt},
		wirePrompt,
		`{"type":"progress_state","data":{"prompt_id":"` + wirePrompt + `","nodes":{}}}`,
	},
	{
		"execution_success",
		nodebus.ExecutionSuccess{PromptID: wirePrompt, Timestamp: 1767225600999},
		wirePrompt,
		`{"type":"execution_success","data":{"prompt_id":"` + wirePrompt + `","timestamp":1767225600999}}`,
	},
	{
		"execution_error",
		nodebus.ExecutionError{
			PromptID: wirePrompt, NodeID: "6", Class: "Divide", Executed: []string{"1", "4"},
			ExceptionMessage: "division by zero\n", ExceptionType: "ZeroDivisionError", Traceback: []string{"  at Divide.run"},
			CurrentInputs:  map[string][]any{"a": {1.0}, "b": {0.0, nil, "x", true}},
			CurrentOutputs: []string{"1", "4", "6", "9"}, Timestamp: 1767225601456,
		},
		wirePrompt,
		`{"type":"execution_error","data":{"prompt_id":"` + wirePrompt + `","node_id":"6","node_type":"Divide","executed":["1","4"],
			"exception_message":"division by zero\n","exception_type":"ZeroDivisionError","traceback":["  at Divide.run"],
			"current_inputs":{"a":[1],"b":[0,null,"x",true]},"current_outputs":["1","4","6","9"],"timestamp":1767225601456}}`,
	},
	{
		"execution_error of a blocker: no timestamp, inputs are a list",
		nodebus.ExecutionError{
			PromptID: wirePrompt, NodeID: "add", Class: "Add", Executed: []string{"o2"},
			ExceptionMessage: "Execution Blocked: no", ExceptionType: "ExecutionBlocked",
			Traceback: []string{}, CurrentOutputs: []string{},
		},
		wirePrompt,
		`{"type":"execution_error","data":{"prompt_id":"` + wirePrompt + `","node_id":"add","node_type":"Add","executed":["o2"],
			"exception_message":"Execution Blocked: no","exception_type":"ExecutionBlocked","traceback":[],"current_inputs":[],"current_outputs":[]}}`,
	},
	{
		"execution_interrupted",
		nodebus.ExecutionInterrupted{PromptID: wirePrompt, NodeID: "3", Class: "Sampler", Executed: []string{"1"}, Timestamp: 1767225602000},
		wirePrompt,
		`{"type":"execution_interrupted","data":{"prompt_id":"` + wirePrompt + `","node_id":"3","node_type":"Sampler","executed":["1"],"timestamp":1767225602000}}`,
	},
	{
		"execution_start of a second attempt",
		nodebus.ExecutionStart{PromptID: wirePrompt, Timestamp: 1767225600123, Attempt: 2},
		wirePrompt,
		`{"type":"execution_start","data":{"prompt_id":"` + wirePrompt + `","timestamp":1767225600123,"attempt":2}}`,
	},
	{
		"nodebus.gap",
		nodebus.Gap{Since: 7, Next: 9007199254740993},
		"",
		`{"type":"nodebus.gap","data":{"since":7,"next":9007199254740993}}`,
	},
	{
		"nodebus.overall",
		nodebus.Overall{PromptID: wirePrompt, Value: 0.25},
		wirePrompt,
		`{"type":"nodebus.overall","data":{"prompt_id":"` + wirePrompt + `","value":0.25}}`,
	},
	{
		"nodebus.watching",
		nodebus.Watching{PromptID: wirePrompt, Watching: true},
		wirePrompt,
		`{"type":"nodebus.watching","data":{"prompt_id":"` + wirePrompt + `","watching":true}}`,
	},
	{
		"nodebus.watching that is refused",
		nodebus.Watching{PromptID: wirePrompt, Error: "no"},
		wirePrompt,
		`{"type":"nodebus.watching","data":{"prompt_id":"` + wirePrompt + `","watching":false,"error":"no"}}`,
	},
	{
		"nodebus.node_error",
		nodebus.NodeFailed{
			Place: madePlace, PromptID: wirePrompt, Class: "Divide", ExceptionMessage: "division by zero\n",
			ExceptionType: "ZeroDivisionError", Traceback: []string{"  at Divide.run"}, Attempt: 3,
		},
		wirePrompt,
		`{"type":"nodebus.node_error","data":{` + madeWire + `,"node_type":"Divide","exception_message":"division by zero\n",
			"exception_type":"ZeroDivisionError","traceback":["  at Divide.run"],"attempt":3}}`,
	},
	{
		"nodebus.waiting",
		nodebus.Waiting{
			Place: madePlace, PromptID: wirePrompt, Name: "approve",
			Schema: json.RawMessage(`{"type":"boolean"}`), Deadline: 1767225900000,
		},
		wirePrompt,
		`{"type":"nodebus.waiting","data":{` + madeWire + `,"name":"approve","schema":{"type":"boolean"},"deadline":1767225900000}}`,
	},
	{
		"nodebus.waiting for anything, without a deadline",
		nodebus.Waiting{Place: nodebus.Place{UniqueID: "5"}.WithDefaults(), PromptID: wirePrompt, Name: "approve"},
		wirePrompt,
		`{"type":"nodebus.waiting","data":{"node_id":"5","prompt_id":"` + wirePrompt + `","display_node_id":"5","parent_node_id":null,"real_node_id":"5","name":"approve"}}`,
	},
	{
		"nodebus.answered",
		nodebus.Answered{Place: madePlace, PromptID: wirePrompt, Name: "approve", Result: "answered"},
		wirePrompt,
		`{"type":"nodebus.answered","data":{` + madeWire + `,"name":"approve","result":"answered"}}`,
	},
	{
		"nodebus.text",
		nodebus.TextPiece{Place: madePlace, PromptID: wirePrompt, Name: "answer", Offset: 12, Piece: " world"},
		wirePrompt,
		`{"type":"nodebus.text","data":{` + madeWire + `,"name":"answer","offset":12,"piece":" world"}}`,
	},
	{
		"nodebus.text_so_far",
		nodebus.TextSoFar{PromptID: wirePrompt, UniqueID: "6", Text: "Hello wörld"},
		wirePrompt,
		`{"type":"nodebus.text_so_far","data":{"prompt_id":"` + wirePrompt + `","node_id":"6","text":"Hello wörld"}}`,
	},
	{
		"nodebus.node_done",
		nodebus.NodeDone{Place: madePlace, PromptID: wirePrompt, Duration: 1234567 * time.Nanosecond, Attempt: 2},
		wirePrompt,
		`{"type":"nodebus.node_done","data":{` + madeWire + `,"duration":1.234567,"cached":false,"attempt":2}}`,
	},
	{
		"nodebus.node_done of a cached node",
		nodebus.NodeDone{Place: madePlace, PromptID: wirePrompt, Cached: true},
		wirePrompt,
		`{"type":"nodebus.node_done","data":{` + madeWire + `,"duration":0,"cached":true}}`,
	},
}

func TestStandardPayloads(t *testing.T) {
	for _, c := range standardFrames {
		t.Run(c.name, func(t *testing.T) {
			f, err := nodebus.JSON.Encode(nodebus.Event{ID: 12, PromptID: c.prompt, Payload: c.payload})
			require.NoError(t, err)
			require.JSONEq(t, c.wire, string(f.Data))
			require.False(t, f.Binary)
			require.Equal(t, uint64(12), f.ID)
			require.Equal(t, c.payload.EventType(), f.Type)

			ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: []byte(c.wire)})
			require.NoError(t, err)
			require.Equal(t, nodebus.Event{PromptID: c.prompt, Payload: c.payload}, ev)

			// The payload has the same JSON as a part of another document.
			var w struct{ Data json.RawMessage }
			require.NoError(t, json.Unmarshal([]byte(c.wire), &w))
			alone, err := json.Marshal(c.payload)
			require.NoError(t, err)
			require.JSONEq(t, string(w.Data), string(alone))
		})
	}
}

// TestNilIsEmpty checks that nil lists and maps become empty lists and objects, because
// clients use them without a check for null.
func TestNilIsEmpty(t *testing.T) {
	for _, c := range []struct {
		payload nodebus.Payload
		data    string
	}{
		{nodebus.ExecutionCached{PromptID: "p", Timestamp: 1}, `{"nodes":[],"prompt_id":"p","timestamp":1}`},
		{nodebus.ExecutionInterrupted{PromptID: "p", Timestamp: 1}, `{"prompt_id":"p","node_id":"","node_type":"","executed":[],"timestamp":1}`},
		{
			nodebus.ExecutionError{PromptID: "p", Timestamp: 1},
			`{"prompt_id":"p","node_id":"","node_type":"","executed":[],"exception_message":"","exception_type":"",
			  "traceback":[],"current_inputs":[],"current_outputs":[],"timestamp":1}`,
		},
		{nodebus.ExecutionError{CurrentInputs: map[string][]any{}}, `{"prompt_id":"","node_id":"","node_type":"","executed":[],"exception_message":"",
			"exception_type":"","traceback":[],"current_inputs":{},"current_outputs":[]}`},
		{nodebus.ProgressState{PromptID: "p"}, `{"prompt_id":"p","nodes":{}}`},
		{nodebus.ProgressState{}.With(), `{"prompt_id":"","nodes":{}}`},
		{nodebus.Executing{}, `{"node":null}`},
		{nodebus.Executed{}, `{"node":"","display_node":"","output":null,"prompt_id":""}`},
		{nodebus.Executed{Output: nodebus.UI{"text": nil}}, `{"node":"","display_node":"","output":{"text":[]},"prompt_id":""}`},
		{nodebus.ExecutionStart{PromptID: "p", Timestamp: 1, Attempt: 1}, `{"prompt_id":"p","timestamp":1}`},
		{
			nodebus.NodeFailed{Attempt: 1},
			`{"node_id":"","prompt_id":"","display_node_id":"","parent_node_id":null,"real_node_id":"","node_type":"","exception_message":"","exception_type":"","traceback":[]}`,
		},
		{nodebus.Waiting{Schema: json.RawMessage{}}, `{"node_id":"","prompt_id":"","display_node_id":"","parent_node_id":null,"real_node_id":"","name":""}`},
		{nodebus.NodeDone{Attempt: -1}, `{"node_id":"","prompt_id":"","display_node_id":"","parent_node_id":null,"real_node_id":"","duration":0,"cached":false}`},
		{nodebus.Status{}, `{"status":{"exec_info":{"queue_remaining":0}}}`},
	} {
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: c.payload})
		require.NoError(t, err)
		require.JSONEq(t, `{"type":"`+c.payload.EventType()+`","data":`+c.data+`}`, string(f.Data))
	}
}

// TestDecodeIsLiberal checks that Decode accepts frames of other servers, with keys
// that are missing, null or unknown.
func TestDecodeIsLiberal(t *testing.T) {
	for _, c := range []struct {
		name, wire string
		want       nodebus.Payload
	}{
		{"keys in another order", `{"data":{"timestamp":1,"prompt_id":"p"},"type":"execution_start"}`, nodebus.ExecutionStart{PromptID: "p", Timestamp: 1}},
		{"keys that are not ours", `{"type":"progress","data":{"value":1,"max":2,"prompt_id":"p","node":"3","workflow_id":null},"ts":1}`, nodebus.Progress{Value: 1, Max: 2, PromptID: "p", UniqueID: "3"}},
		{"a duration with an exponent", `{"type":"nodebus.node_done","data":{"node_id":"3","duration":2.5E3}}`, nodebus.NodeDone{Place: nodebus.Place{UniqueID: "3"}, Duration: 2500 * time.Millisecond}},
		{"a duration of a year and a bit", `{"type":"nodebus.node_done","data":{"duration":31536000000.4}}`, nodebus.NodeDone{Duration: 365 * 24 * time.Hour}},
		{"a duration that is null", `{"type":"nodebus.node_done","data":{"duration":null}}`, nodebus.NodeDone{}},
		{"a question without a schema", `{"type":"nodebus.waiting","data":{"node_id":"3","name":"n"}}`, nodebus.Waiting{Place: nodebus.Place{UniqueID: "3"}, Name: "n"}},
		{"merge", `{"type":"executed","data":{"node":"9","display_node":"9","output":{"text":["x"]},"prompt_id":"p","merge":true}}`, nodebus.Executed{Place: nodebus.Place{UniqueID: "9", DisplayID: "9"}, Output: nodebus.Text("x"), PromptID: "p"}},
		{"output absent", `{"type":"executed","data":{"node":"9"}}`, nodebus.Executed{Place: nodebus.Place{UniqueID: "9"}}},
		{"lists absent", `{"type":"execution_cached","data":{"prompt_id":"p"}}`, nodebus.ExecutionCached{PromptID: "p"}},
		{"error with inputs null", `{"type":"execution_error","data":{"prompt_id":"p","current_inputs":null}}`, nodebus.ExecutionError{PromptID: "p"}},
		{"error with inputs absent", `{"type":"execution_error","data":{"prompt_id":"p"}}`, nodebus.ExecutionError{PromptID: "p"}},
		{"error with inputs {}", `{"type":"execution_error","data":{"current_inputs":{}}}`, nodebus.ExecutionError{CurrentInputs: map[string][]any{}}},
		{"progress_state without nodes", `{"type":"progress_state","data":{"prompt_id":"p"}}`, nodebus.ProgressState{PromptID: "p"}},
		{"progress_state with nodes null", `{"type":"progress_state","data":{"prompt_id":"p","nodes":null}}`, nodebus.ProgressState{PromptID: "p"}},
		{
			"progress_state with floats and bare nodes",
			`{"type":"progress_state","data":{"prompt_id":"p","nodes":{"b":{"value":0.0,"max":1.0,"state":"running"},"a":{"node_id":"a","parent_node_id":null}}}}`,
			nodebus.ProgressState{PromptID: "p"}.With(
				nodebus.NodeState{Max: 1, State: "running", Place: nodebus.Place{UniqueID: "b"}}, nodebus.NodeState{Place: nodebus.Place{UniqueID: "a"}},
			),
		},
		{"status without a count", `{"type":"status","data":{"sid":"s"}}`, nodebus.Status{SID: "s"}},
		{"custom without data", `{"type":"my.event"}`, nodebus.Custom{Type: "my.event", Data: json.RawMessage("null")}},
		{"custom with data null", `{"type":"my.event","data":null}`, nodebus.Custom{Type: "my.event", Data: json.RawMessage("null")}},
		{"custom with a number", `{"type":"my.event","data": 18446744073709551615 }`, nodebus.Custom{Type: "my.event", Data: json.RawMessage("18446744073709551615")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ev, err := nodebus.JSON.Decode(nodebus.Frame{Data: []byte(c.wire)})
			require.NoError(t, err)
			require.Equal(t, c.want, ev.Payload)
			require.Zero(t, ev.ID)
		})
	}
}
