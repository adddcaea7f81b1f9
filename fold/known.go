package fold

import (
	"encoding/json"

	"github.com/nodebus/nodebus"
)

// progressText is the type of a progress text. It is text, and not binary, in a stream of
// package sse.
const progressText = "progress_text"

// knownTypes holds the names of the events that Apply reads.
var knownTypes = names(
	Run{}, nodebus.ExecutionStart{}, nodebus.ExecutionCached{}, nodebus.Executing{}, nodebus.Progress{},
	nodebus.ProgressState{}, nodebus.Executed{}, nodebus.ExecutionSuccess{}, nodebus.ExecutionError{},
	nodebus.ExecutionInterrupted{}, nodebus.ProgressText{}, nodebus.Gap{}, nodebus.Overall{}, nodebus.NodeFailed{},
	nodebus.Waiting{}, nodebus.Answered{}, nodebus.TextPiece{}, nodebus.NodeDone{}, nodebus.Watching{},
)

func names(payloads ...nodebus.Payload) map[string]bool {
	m := map[string]bool{}
	for _, p := range payloads {
		m[p.EventType()] = true
	}
	return m
}

// known returns p as one of the types that Apply reads, or nil. A payload of another Go
// type with a known name means the same as on the wire.
func known(p nodebus.Payload) nodebus.Payload {
	switch p := p.(type) {
	case Run, nodebus.ExecutionStart, nodebus.ExecutionCached, nodebus.Executing, nodebus.Progress,
		nodebus.ProgressState, nodebus.Executed, nodebus.ExecutionSuccess, nodebus.ExecutionError,
		nodebus.ExecutionInterrupted, nodebus.ProgressText, nodebus.Gap, nodebus.Overall, nodebus.NodeFailed,
		nodebus.Waiting, nodebus.Answered, nodebus.TextPiece, nodebus.NodeDone, nodebus.Watching:
		return p
	case nil:
		return nil
	case *Run:
		if p == nil {
			return nil
		}
		return *p
	}
	typ := ""
	if err := nodebus.Protect(func() error { typ = p.EventType(); return nil }); err != nil || !knownTypes[typ] {
		return nil
	}
	f, err := nodebus.JSON.Encode(nodebus.Event{Payload: p})
	if err != nil {
		return nil
	}
	ev, err := nodebus.JSON.Decode(f)
	if err != nil {
		return nil
	}
	if c, ok := ev.Payload.(nodebus.Custom); ok {
		return fromText(c)
	}
	return ev.Payload
}

// fromText reads a payload that the codec does not know as text.
func fromText(c nodebus.Custom) nodebus.Payload {
	data, _ := c.Data.(json.RawMessage)
	switch c.Type {
	case Run{}.EventType():
		var r Run
		if json.Unmarshal(data, &r) == nil {
			return r
		}
	case progressText:
		var t struct {
			PromptID string `json:"prompt_id"`
			NodeID   string `json:"node_id"`
			Text     string `json:"text"`
		}
		if json.Unmarshal(data, &t) == nil {
			return nodebus.ProgressText{PromptID: t.PromptID, UniqueID: t.NodeID, Text: t.Text}
		}
	}
	return nil
}
