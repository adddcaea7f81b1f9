package nodebus

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// jsonPayload is a payload with its own JSON encoder. The encoder appends the same
// bytes that encoding/json writes for the fields of the wire, but is faster.
type jsonPayload interface {
	Payload
	appendJSON(b []byte) ([]byte, error)
	sizeJSON() int // estimate in bytes; a little too large is better than too small
}

func (s Status) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"status":{"exec_info":{"queue_remaining":`...)
	b = strconv.AppendInt(b, int64(s.QueueRemaining), 10)
	b = append(b, `}}`...)
	if s.SID != "" {
		b = append(b, `,"sid":`...)
		b = jsonenc.String(b, s.SID)
	}
	return append(b, '}'), nil
}

func (s Status) sizeJSON() int { return 80 + len(s.SID) }

func (e Executing) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"node":`...)
	b = jsonenc.StringOrNull(b, e.UniqueID)
	if e.DisplayID != "" {
		b = append(b, `,"display_node":`...)
		b = jsonenc.String(b, e.DisplayID)
	}
	if e.PromptID != "" {
		b = append(b, `,"prompt_id":`...)
		b = jsonenc.String(b, e.PromptID)
	}
	return append(b, '}'), nil
}

func (e Executing) sizeJSON() int {
	return 56 + len(e.UniqueID) + len(e.DisplayID) + len(e.PromptID)
}

func (p Progress) appendJSON(b []byte) ([]byte, error) {
	if !jsonenc.Finite(p.Value, p.Max) {
		return nil, fmt.Errorf("value %v of %v is not a JSON number", p.Value, p.Max)
	}
	b = append(b, `{"value":`...)
	b = jsonenc.Float(b, p.Value)
	b = append(b, `,"max":`...)
	b = jsonenc.Float(b, p.Max)
	b = append(b, `,"prompt_id":`...)
	b = jsonenc.String(b, p.PromptID)
	b = append(b, `,"node":`...)
	b = jsonenc.StringOrNull(b, p.UniqueID)
	return append(b, '}'), nil
}

func (p Progress) sizeJSON() int { return 96 + len(p.PromptID) + len(p.UniqueID) }

func (p ProgressState) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"prompt_id":`...)
	b = jsonenc.String(b, p.PromptID)
	b = append(b, `,"nodes":{`...)
	first := true
	for n := range p.each {
		if !jsonenc.Finite(n.Value, n.Max) {
			return nil, fmt.Errorf("node %q: value %v of %v is not a JSON number", n.UniqueID, n.Value, n.Max)
		}
		if !first {
			b = append(b, ',')
		}
		first = false
		b = jsonenc.String(b, n.UniqueID)
		b = append(b, ':')
		b = n.appendJSON(b, p.PromptID)
	}
	return append(b, '}', '}'), nil
}

func (n *NodeState) appendJSON(b []byte, promptID string) []byte {
	b = append(b, `{"value":`...)
	b = jsonenc.Float(b, n.Value)
	b = append(b, `,"max":`...)
	b = jsonenc.Float(b, n.Max)
	b = append(b, `,"state":`...)
	b = jsonenc.String(b, n.State)
	b = append(b, `,"node_id":`...)
	b = jsonenc.String(b, n.UniqueID)
	b = append(b, `,"prompt_id":`...)
	b = jsonenc.String(b, promptID)
	b = append(b, `,"display_node_id":`...)
	b = jsonenc.String(b, n.DisplayID)
	b = append(b, `,"parent_node_id":`...)
	b = jsonenc.StringOrNull(b, n.ParentID)
	b = append(b, `,"real_node_id":`...)
	b = jsonenc.String(b, n.RealID)
	return append(b, '}')
}

func (p ProgressState) sizeJSON() int {
	n := 32 + len(p.PromptID)
	if p.shared != nil {
		return n + p.shared.size
	}
	for i := range p.list {
		n += p.list[i].sizeJSON(p.PromptID)
	}
	return n
}

// stateSize is the size, in bytes, of the JSON of a node without its ids: the names of
// the fields and the numbers.
const stateSize = 176

func (n *NodeState) sizeJSON(promptID string) int { return stateSize + n.sizeIDs(promptID) }

// sizeIDs returns the number of bytes of the ids in the JSON of a node.
func (p *Place) sizeIDs(promptID string) int {
	return len(promptID) + 2*len(p.UniqueID) + len(p.DisplayID) + len(p.ParentID) + len(p.RealID)
}

func (e Executed) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"node":`...)
	b = jsonenc.String(b, e.UniqueID)
	b = append(b, `,"display_node":`...)
	b = jsonenc.String(b, e.DisplayID)
	b = append(b, `,"output":`...)
	b, err := e.Output.appendJSON(b)
	if err != nil {
		return nil, err
	}
	b = append(b, `,"prompt_id":`...)
	b = jsonenc.String(b, e.PromptID)
	return append(b, '}'), nil
}

func (e Executed) sizeJSON() int {
	n := 72 + len(e.UniqueID) + len(e.DisplayID) + len(e.PromptID)
	for k, list := range e.Output {
		n += 8 + len(k)
		for _, v := range list {
			n += sizeValue(v)
		}
	}
	return n
}

// sizeValue estimates the number of bytes that appendValue appends.
func sizeValue(v any) int {
	switch v := v.(type) {
	case string:
		return 8 + len(v) + len(v)/8 // room for escaped characters
	case File:
		return 56 + len(v.Filename) + len(v.Subfolder) + len(v.Type)
	}
	return 32
}

func (u UI) appendJSON(b []byte) (_ []byte, err error) {
	if u == nil {
		return append(b, "null"...), nil
	}
	var few [8]string // room for the sorted keys; encoding/json also sorts keys
	keys := few[:0]
	for k := range u {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	b = append(b, '{')
	for i, k := range keys {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonenc.String(b, k)
		b = append(b, ':')
		if list := u[k]; list == nil {
			b = append(b, "null"...)
		} else if b, err = appendList(b, list, 0); err != nil {
			return nil, fmt.Errorf("ui %q: %w", k, err)
		}
	}
	return append(b, '}'), nil
}

func (f File) appendJSON(b []byte) []byte {
	b = append(b, `{"filename":`...)
	b = jsonenc.String(b, f.Filename)
	b = append(b, `,"subfolder":`...)
	b = jsonenc.String(b, f.Subfolder)
	b = append(b, `,"type":`...)
	b = jsonenc.String(b, f.Type)
	return append(b, '}')
}

// plainDepth is the maximum depth of nested lists that appendValue encodes itself. A
// deeper list may contain itself; encoding/json detects that.
const plainDepth = 32

// appendValue appends the JSON of v. It encodes the types that nodes usually show
// without reflection. encoding/json encodes the other types and returns an error for
// values that cannot be encoded.
func appendValue(b []byte, v any, depth int) (_ []byte, err error) {
	switch v := v.(type) {
	case nil:
		return append(b, "null"...), nil
	case string:
		return jsonenc.String(b, v), nil
	case bool:
		return strconv.AppendBool(b, v), nil
	case int:
		return strconv.AppendInt(b, int64(v), 10), nil
	case float64:
		if jsonenc.Finite(v) {
			return jsonenc.Float(b, v), nil
		}
	case File:
		return v.appendJSON(b), nil
	case []any:
		if v != nil && depth < plainDepth {
			return appendList(b, v, depth)
		}
	}
	enc, err := marshal(v)
	if err != nil {
		return nil, err
	}
	return append(b, enc...), nil
}

func appendList(b []byte, v []any, depth int) (_ []byte, err error) {
	b = append(b, '[')
	for i, e := range v {
		if i > 0 {
			b = append(b, ',')
		}
		if b, err = appendValue(b, e, depth+1); err != nil {
			return nil, err
		}
	}
	return append(b, ']'), nil
}
