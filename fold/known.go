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

// promptOf returns the id of the prompt that p names.
func promptOf(p nodebus.Payload) string {
	switch p := p.(type) {
	case Run:
		return p.PromptID
	case nodebus.ExecutionStart:
		return p.PromptID
	case nodebus.ExecutionCached:
		return p.PromptID
	case nodebus.Executing:
		return p.PromptID
	case nodebus.Progress:
		return p.PromptID
	case nodebus.ProgressState:
		return p.PromptID
	case nodebus.Executed:
		return p.PromptID
	case nodebus.ExecutionSuccess:
		return p.PromptID
	case nodebus.ExecutionError:
		return p.PromptID
	case nodebus.ExecutionInterrupted:
		return p.PromptID
	case nodebus.ProgressText:
		return p.PromptID
	case nodebus.Overall:
		return p.PromptID
	}
	return promptOfExtension(p)
}

// promptOfExtension does the same for the events that ComfyUI does not have.
func promptOfExtension(p nodebus.Payload) string {
	switch p := p.(type) {
	case nodebus.NodeFailed:
		return p.PromptID
	case nodebus.Waiting:
		return p.PromptID
	case nodebus.Answered:
		return p.PromptID
	case nodebus.TextPiece:
		return p.PromptID
	case nodebus.NodeDone:
		return p.PromptID
	case nodebus.Watching:
		return p.PromptID
	}
	return ""
}
