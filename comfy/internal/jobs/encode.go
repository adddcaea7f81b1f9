package jobs

import (
	"encoding/json"
	"maps"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy/internal/web"
)

// Nodes, stores and the host program put values of their own types into prompts and records.
// Such a value may have no form in JSON, or none any more, and its MarshalJSON may panic. One
// such value must not spoil a list, so the code of this file leaves it out and logs it.

// encode returns v as JSON, or nil if v has no form in JSON.
func encode(v any) web.Raw {
	data, _ := web.Encode(v)
	return data
}

// encodable returns m with only the members that have a form in JSON. Each value is a simple
// value, or is encoded already: a value may have a form in JSON only once. encodable does not
// change m, which a store may share.
func encodable(m map[string]any) map[string]any {
	own, cloned := m, false
	for name, v := range m {
		switch v.(type) {
		case nil, bool, int, int64, float64, string:
			continue
		}
		if !cloned {
			own, cloned = maps.Clone(m), true
		}
		var text string
		switch data := encode(v); {
		case len(data) == 0:
			delete(own, name)
		case data[0] == '"' && json.Unmarshal(data, &text) == nil:
			own[name] = text
		default:
			own[name] = json.RawMessage(data)
		}
	}
	return own
}

// encodeObject returns m as JSON, without the members that have no form in JSON.
func (s *Jobs) encodeObject(id, what string, m map[string]any) web.Raw {
	data, err := web.Encode(m)
	if err != nil {
		s.leftOut(id, what, err)
		data = encode(encodable(m))
	}
	return data
}

// encodeUI returns what a node showed as JSON, without the values that have no form in JSON.
func (s *Jobs) encodeUI(id string, o *nodebus.NodeOutput) web.Raw {
	data, err := web.Encode(o.UI)
	if err == nil {
		return data
	}
	s.leftOut(id, "the outputs of node "+o.UniqueID, err)
	lists := make(map[string][]json.RawMessage, len(o.UI))
	for media, list := range o.UI {
		lists[media] = []json.RawMessage{}
		for _, v := range list {
			if m, is := v.(map[string]any); is {
				v = encodable(m)
			}
			if data := encode(v); data != nil {
				lists[media] = append(lists[media], json.RawMessage(data))
			}
		}
	}
	return encode(lists)
}

// encodeNode returns a member of a graph as JSON: the id, a colon, and the node. It returns
// nil if the node has no form in JSON.
func (s *Jobs) encodeNode(id string, nodes nodebus.Nodes, i int) web.Raw {
	data, err := web.Encode(nodes[i : i+1])
	if err != nil {
		s.leftOut(id, "node "+nodes[i].ID, err)
		return nil
	}
	return data[1 : len(data)-1]
}

// encodeError returns an error as JSON, without the inputs of the node if they have no form in
// JSON.
func encodeError(e *nodebus.ExecutionError) web.Raw {
	if data := encode(e); data != nil {
		return data
	}
	own := *e
	own.CurrentInputs = nil
	return encode(own)
}

// leftOut logs that a part of a prompt or of its record is not in an answer.
func (s *Jobs) leftOut(id, what string, err error) {
	s.Logger.Warn("values without a form in JSON are left out of an answer", "prompt", id, "in", what, "error", err)
}
