// Package jsonenc compares the cost of encoding three events: with encoding/json, with
// nodebus, and by hand.
package jsonenc

import (
	"strconv"

	"github.com/nodebus/nodebus"
)

const promptID = "4f1c2a9e-7b3d-4c55-9a86-0d2e5b7c1f34"

// sample is one event in the form that each encoder needs.
type sample struct {
	name   string
	event  nodebus.Event
	plain  any                   // for encoding/json: the same data in plain structs
	append func(b []byte) []byte // encodes by hand
}

type envelope struct {
	Type string `json:"type"`
	Data any    `json:"data"`
}

type plainProgress struct {
	Value    float64 `json:"value"`
	Max      float64 `json:"max"`
	PromptID string  `json:"prompt_id"`
	Node     string  `json:"node"`
}

type plainState struct {
	PromptID string               `json:"prompt_id"`
	Nodes    map[string]plainNode `json:"nodes"`
}

type plainNode struct {
	Value         float64 `json:"value"`
	Max           float64 `json:"max"`
	State         string  `json:"state"`
	NodeID        string  `json:"node_id"`
	PromptID      string  `json:"prompt_id"`
	DisplayNodeID string  `json:"display_node_id"`
	ParentNodeID  *string `json:"parent_node_id"`
	RealNodeID    string  `json:"real_node_id"`
}

type plainExecuted struct {
	Node        string                    `json:"node"`
	DisplayNode string                    `json:"display_node"`
	Output      map[string][]nodebus.File `json:"output"`
	PromptID    string                    `json:"prompt_id"`
}

func samples() []sample {
	return []sample{progress(), progressState(20), executed()}
}

func progress() sample {
	return sample{
		"progress",
		nodebus.Event{Payload: nodebus.Progress{Value: 12, Max: 20, PromptID: promptID, UniqueID: "17"}},
		&envelope{"progress", &plainProgress{12, 20, promptID, "17"}},
		func(b []byte) []byte { return appendProgress(b, 12, 20, promptID, "17") },
	}
}

func progressState(nodes int) sample {
	state := nodebus.ProgressState{PromptID: promptID}
	plain := plainState{promptID, map[string]plainNode{}}
	for i := range nodes {
		id := strconv.Itoa(i + 10)
		state = state.With(nodebus.NodeState{
			Value: float64(i), Max: 20, State: "running", Place: nodebus.Place{UniqueID: id, DisplayID: id, RealID: id},
		})
		plain.Nodes[id] = plainNode{
			Value: float64(i), Max: 20, State: "running", NodeID: id, PromptID: promptID, DisplayNodeID: id, RealNodeID: id,
		}
	}
	list := state.Nodes()
	return sample{"progress_state", nodebus.Event{Payload: state}, &envelope{"progress_state", &plain}, func(b []byte) []byte {
		return appendState(b, list)
	}}
}

func executed() sample {
	file := nodebus.File{Filename: "ComfyUI_00001_.png", Type: "output"}
	return sample{
		"executed",
		nodebus.Event{Payload: nodebus.Executed{
			Place: nodebus.Place{UniqueID: "9", DisplayID: "9"}, PromptID: promptID, Output: nodebus.Images(file, file),
		}},
		&envelope{"executed", &plainExecuted{"9", "9", map[string][]nodebus.File{"images": {file, file}}, promptID}},
		func(b []byte) []byte { return appendExecuted(b, "9", promptID, []nodebus.File{file, file}) },
	}
}
