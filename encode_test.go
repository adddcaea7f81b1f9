package nodebus_test

import (
	"encoding/json"
	"math"
	"strconv"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// Copies of the frequent payloads with tags for encoding/json and without own methods.
type (
	plainFrame struct {
		Type string          `json:"type"`
		Data json.RawMessage `json:"data"`
	}
	plainExecuting struct {
		Node        *string `json:"node"`
		DisplayNode string  `json:"display_node,omitempty"`
		PromptID    string  `json:"prompt_id,omitempty"`
	}
	plainProgress struct {
		Value    float64 `json:"value"`
		Max      float64 `json:"max"`
		PromptID string  `json:"prompt_id"`
		Node     *string `json:"node"`
	}
	plainNodeState struct {
		Value         float64 `json:"value"`
		Max           float64 `json:"max"`
		State         string  `json:"state"`
		NodeID        string  `json:"node_id"`
		PromptID      string  `json:"prompt_id"`
		DisplayNodeID string  `json:"display_node_id"`
		ParentNodeID  *string `json:"parent_node_id"`
		RealNodeID    string  `json:"real_node_id"`
	}
	plainPlace struct {
		NodeID        string  `json:"node_id"`
		PromptID      string  `json:"prompt_id"`
		DisplayNodeID string  `json:"display_node_id"`
		ParentNodeID  *string `json:"parent_node_id"`
		RealNodeID    string  `json:"real_node_id"`
	}
	plainExecuted struct {
		Node        string           `json:"node"`
		DisplayNode string           `json:"display_node"`
		Output      map[string][]any `json:"output"`
		PromptID    string           `json:"prompt_id"`
	}
)

func marshalled(t testing.TB, v any) []byte {
	b, err := json.Marshal(v)
	require.NoError(t, err)
	return b
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func plainState(s nodebus.NodeState, prompt string) plainNodeState {
	return plainNodeState{s.Value, s.Max, s.State, s.UniqueID, prompt, s.DisplayID, orNull(s.ParentID), s.RealID}
}

// plainStates holds the data of a progress_state. encoding/json has no object that
// keeps the order of its members, so the test joins the members itself.
func plainStates(t testing.TB, p nodebus.ProgressState) []byte {
	b := append([]byte(`{"prompt_id":`), marshalled(t, p.PromptID)...)
	b = append(b, `,"nodes":{`...)
	for i, s := range p.Nodes() {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, marshalled(t, s.UniqueID)...)
		b = append(b, ':')
		b = append(b, marshalled(t, plainState(s, p.PromptID))...)
	}
	return append(b, "}}"...)
}

// TestHotPayloadsAreJSON checks that the fast encoders write the same bytes as
// encoding/json, with null for a number that is not finite, and [] for a nil list.
func TestHotPayloadsAreJSON(t *testing.T) {
	g := newWireGen(1)
	same := func(p nodebus.Payload, data []byte) {
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: p})
		require.NoError(t, err)
		want := marshalled(t, plainFrame{p.EventType(), data})
		require.Equal(t, string(want), string(f.Data))
		alone, err := json.Marshal(p)
		require.NoError(t, err)
		require.Equal(t, string(data), string(alone))
	}
	for range 1000 {
		e := nodebus.Executing{UniqueID: g.wild(), DisplayID: g.wild(), PromptID: g.wild()}
		same(e, marshalled(t, plainExecuting{orNull(e.UniqueID), e.DisplayID, e.PromptID}))

		p := nodebus.Progress{Value: g.number(), Max: g.number(), PromptID: g.wild(), UniqueID: g.wild()}
		sent := clampedProgress(p)
		same(p, marshalled(t, plainProgress{sent.Value, sent.Max, p.PromptID, orNull(p.UniqueID)}))

		s := nodebus.ProgressState{PromptID: g.wild()}.With(g.nodeStates(g.wild)...)
		same(s, plainStates(t, s))

		x := nodebus.Executed{Place: nodebus.Place{UniqueID: g.wild(), DisplayID: g.wild()}, PromptID: g.wild(), Output: g.ui()}
		same(x, marshalled(t, plainExecuted{x.UniqueID, x.DisplayID, shownPlain(x.Output), x.PromptID}))

		// Status has a fast encoder, too.
		st := nodebus.Status{QueueRemaining: int(g.Int64()), SID: g.wild()}
		info := map[string]any{"exec_info": map[string]any{"queue_remaining": st.QueueRemaining}}
		same(st, marshalled(t, struct {
			Status any    `json:"status"`
			SID    string `json:"sid,omitempty"`
		}{info, st.SID}))
	}
}

// clampedProgress returns p as clients receive it.
func clampedProgress(p nodebus.Progress) nodebus.Progress {
	p.Max = max(p.Max, 0)
	p.Value = min(max(p.Value, 0), p.Max)
	return p
}

// shownPlain returns ui in the form that encoding/json writes as the wire has it: nil lists
// are empty, and numbers that are not finite are nil.
func shownPlain(ui nodebus.UI) map[string][]any {
	if ui == nil {
		return nil
	}
	plain := map[string][]any{}
	for name, list := range ui {
		plain[name] = plainValue(list).([]any)
	}
	return plain
}

func plainValue(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
	case []any:
		plain := make([]any, len(v))
		for i, e := range v {
			plain[i] = plainValue(e)
		}
		return plain
	case map[string]any:
		plain := map[string]any{}
		for name, e := range v {
			plain[name] = plainValue(e)
		}
		return plain
	}
	return v
}

// ui returns a UI with random values.
func (g wireGen) ui() nodebus.UI {
	if g.IntN(8) == 0 {
		return nil
	}
	ui := nodebus.UI{}
	for range g.IntN(12) { // more keys than fit in the array of UI.appendJSON
		list := make([]any, g.IntN(4))
		for i := range list {
			list[i] = g.value(3)
		}
		if g.IntN(10) == 0 {
			list = nil
		}
		ui[g.wild()] = list
	}
	return ui
}

// TestExtensionsAreJSON is the same for the payloads that ComfyUI does not have.
func TestExtensionsAreJSON(t *testing.T) {
	g := newWireGen(2)
	same := func(p nodebus.Payload, plain any) {
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: p})
		require.NoError(t, err)
		require.Equal(t, string(marshalled(t, plainFrame{p.EventType(), marshalled(t, plain)})), string(f.Data))
		require.Equal(t, string(marshalled(t, plain)), string(marshalled(t, p)))
	}
	for range 1000 {
		at := nodebus.Place{UniqueID: g.wild(), DisplayID: g.wild(), ParentID: g.wild(), RealID: g.wild()}
		prompt, name := g.wild(), g.wild()
		place := plainPlace{at.UniqueID, prompt, at.DisplayID, orNull(at.ParentID), at.RealID}

		failed := nodebus.NodeFailed{Place: at, PromptID: prompt, Class: g.wild(), ExceptionMessage: g.wild(), ExceptionType: g.wild(), Traceback: g.texts(), Attempt: g.attempt()}
		same(failed, struct {
			plainPlace
			Class     string   `json:"node_type"`
			Message   string   `json:"exception_message"`
			Type      string   `json:"exception_type"`
			Traceback []string `json:"traceback"`
			Attempt   int      `json:"attempt,omitempty"`
		}{place, failed.Class, failed.ExceptionMessage, failed.ExceptionType, failed.Traceback, failed.Attempt})

		waiting := nodebus.Waiting{Place: at, PromptID: prompt, Name: name, Schema: g.json(), Deadline: g.Int64N(2)}
		same(waiting, struct {
			plainPlace
			Name     string `json:"name"`
			Schema   any    `json:"schema"`
			Deadline int64  `json:"deadline,omitempty"`
		}{place, name, waiting.Schema, waiting.Deadline})

		answered := nodebus.Answered{Place: at, PromptID: prompt, Name: name, Result: g.wild()}
		same(answered, struct {
			plainPlace
			Name   string `json:"name"`
			Result string `json:"result"`
		}{place, name, answered.Result})

		piece := nodebus.TextPiece{Place: at, PromptID: prompt, Name: name, Offset: g.IntN(100), Piece: g.wild()}
		same(piece, struct {
			plainPlace
			Name   string `json:"name"`
			Offset int    `json:"offset"`
			Piece  string `json:"piece"`
		}{place, name, piece.Offset, piece.Piece})

		soFar := nodebus.TextSoFar{PromptID: prompt, UniqueID: name, Text: g.wild()}
		same(soFar, struct {
			PromptID string `json:"prompt_id"`
			UniqueID string `json:"node_id"`
			Text     string `json:"text"`
		}{soFar.PromptID, soFar.UniqueID, soFar.Text})

		done := nodebus.NodeDone{Place: at, PromptID: prompt, Duration: g.duration(), Cached: g.IntN(2) == 0, Attempt: g.attempt()}
		same(done, struct {
			plainPlace
			Duration float64 `json:"duration"`
			Cached   bool    `json:"cached"`
			Attempt  int     `json:"attempt,omitempty"`
		}{place, float64(done.Duration) / 1e6, done.Cached, done.Attempt})
	}
}

// TestDeepUIIsJSON checks that deep lists, which encoding/json encodes, look the same
// as other lists.
func TestDeepUIIsJSON(t *testing.T) {
	var v any = "bottom <&>"
	for depth := range 100 {
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: nodebus.Executed{Output: nodebus.UI{"deep": {v}}}})
		require.NoError(t, err)
		data := marshalled(t, plainExecuted{Output: shownPlain(nodebus.UI{"deep": {v}})})
		require.Equal(t, string(marshalled(t, plainFrame{"executed", data})), string(f.Data), "depth %d", depth)
		v = []any{v, float64(depth), []any(nil), nil, math.NaN(), math.Inf(depth%2 - 1)}
	}
}

// hotEvents returns the frequent events of a running prompt.
func hotEvents() map[string]nodebus.Event {
	ui := nodebus.Images(
		nodebus.File{Filename: "ComfyUI_00001_.png", Type: "output"},
		nodebus.File{Filename: "a rather long name of a file that somebody has chosen with great care.png", Subfolder: "2026/11", Type: "output"},
	)
	ui["text"] = []any{"a line of text that is somewhat longer than the others, as a caption may well be, or a prompt, or a piece of JSON", 3.5, 7, true, nil, []any{1, "x"}}
	payloads := []nodebus.Payload{
		nodebus.Executing{UniqueID: "12", DisplayID: "12", PromptID: wirePrompt},
		nodebus.Progress{Value: 7, Max: 20, PromptID: wirePrompt, UniqueID: "12"},
		snapshotOf(20),
		nodebus.Executed{Place: nodebus.Place{UniqueID: "12", DisplayID: "12"}, Output: ui, PromptID: wirePrompt},
		nodebus.Status{QueueRemaining: 3},
		nodebus.ExecutionStart{PromptID: wirePrompt, Timestamp: 1767225600123},
		nodebus.NodeDone{Place: madePlace, PromptID: wirePrompt, Duration: 1234567},
		nodebus.TextPiece{Place: madePlace, PromptID: wirePrompt, Piece: "a piece of the text"},
	}
	events := map[string]nodebus.Event{}
	for _, p := range payloads {
		events[p.EventType()] = nodebus.Event{
			ID: 1<<64 - 1, Epoch: "k3Zq5f0m2", Time: time.UnixMilli(1767225600123), PromptID: wirePrompt, To: "me", Attempt: 2, Payload: p,
		}
	}
	return events
}

func snapshotOf(n int) nodebus.ProgressState {
	nodes := make([]nodebus.NodeState, n)
	for i := range nodes {
		id := strconv.Itoa(i)
		nodes[i] = nodebus.NodeState{Value: 1, Max: 1, State: "finished", Place: nodebus.Place{UniqueID: id, DisplayID: id, RealID: id}}
	}
	return nodebus.ProgressState{PromptID: wirePrompt}.With(nodes...)
}

// TestHotPayloadsAllocateOnce checks that Encode allocates nothing except the bytes of
// the frame.
func TestHotPayloadsAllocateOnce(t *testing.T) {
	for name, ev := range hotEvents() {
		for _, c := range []nodebus.JSONCodec{{}, {Envelope: true}} {
			n := testing.AllocsPerRun(100, func() {
				if _, err := c.Encode(ev); err != nil {
					t.Fatal(err)
				}
			})
			require.Equal(t, 1.0, n, "%s with %+v", name, c)
		}
	}
}
