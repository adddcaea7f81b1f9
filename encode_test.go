package nodebus_test

import (
	"encoding/json"
	"strconv"
	"testing"

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
	for i, s := range p.Nodes {
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
// encoding/json.
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
		same(p, marshalled(t, plainProgress{p.Value, p.Max, p.PromptID, orNull(p.UniqueID)}))

		s := nodebus.ProgressState{PromptID: g.wild(), Nodes: g.nodeStates(g.wild)}
		same(s, plainStates(t, s))

		x := nodebus.Executed{Place: nodebus.Place{UniqueID: g.wild(), DisplayID: g.wild()}, PromptID: g.wild(), Output: g.ui()}
		same(x, marshalled(t, plainExecuted{x.UniqueID, x.DisplayID, x.Output, x.PromptID}))

		// Status has a fast encoder, too.
		st := nodebus.Status{QueueRemaining: int(g.Int64()), SID: g.wild()}
		info := map[string]any{"exec_info": map[string]any{"queue_remaining": st.QueueRemaining}}
		same(st, marshalled(t, struct {
			Status any    `json:"status"`
			SID    string `json:"sid,omitempty"`
		}{info, st.SID}))
	}
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

// TestDeepUIIsJSON checks that deep lists, which encoding/json encodes, look the same
// as other lists.
func TestDeepUIIsJSON(t *testing.T) {
	var v any = "bottom <&>"
	for depth := range 100 {
		f, err := nodebus.JSON.Encode(nodebus.Event{Payload: nodebus.Executed{Output: nodebus.UI{"deep": {v}}}})
		require.NoError(t, err)
		data := marshalled(t, plainExecuted{Output: map[string][]any{"deep": {v}}})
		require.Equal(t, string(marshalled(t, plainFrame{"executed", data})), string(f.Data), "depth %d", depth)
		v = []any{v, float64(depth), []any(nil), nil}
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
	}
	events := map[string]nodebus.Event{}
	for _, p := range payloads {
		events[p.EventType()] = nodebus.Event{ID: 1<<64 - 1, PromptID: wirePrompt, To: "me", Payload: p}
	}
	return events
}

func snapshotOf(n int) nodebus.ProgressState {
	p := nodebus.ProgressState{PromptID: wirePrompt}
	for i := range n {
		id := strconv.Itoa(i)
		p.Nodes = append(p.Nodes, nodebus.NodeState{Value: 1, Max: 1, State: "finished", Place: nodebus.Place{UniqueID: id, DisplayID: id, RealID: id}})
	}
	return p
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
