package nodebus

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// jsonPayload is a payload with its own JSON encoder. The encoder appends the same
// bytes that marshal writes for the fields of the wire, but is faster.
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

func (e ExecutionStart) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"prompt_id":`...)
	b = jsonenc.String(b, e.PromptID)
	b = append(b, `,"timestamp":`...)
	b = strconv.AppendInt(b, e.Timestamp, 10)
	return append(appendAttempt(b, e.Attempt), '}'), nil
}

func (e ExecutionStart) sizeJSON() int { return 64 + len(e.PromptID) }

// appendAttempt appends the number of an attempt as a member of a JSON object, if it is
// above 1. Without the member, the attempt is the first.
func appendAttempt(b []byte, n int) []byte {
	if n <= 1 {
		return b
	}
	return strconv.AppendInt(append(b, `,"attempt":`...), int64(n), 10)
}

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
	at := step{p.Value, p.Max}.clamped()
	b = append(b, `{"value":`...)
	b = jsonenc.FloatOrNull(b, at.value)
	b = append(b, `,"max":`...)
	b = jsonenc.FloatOrNull(b, at.max)
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
	at := step{n.Value, n.Max}.clamped()
	b = append(b, `{"value":`...)
	b = jsonenc.FloatOrNull(b, at.value)
	b = append(b, `,"max":`...)
	b = jsonenc.FloatOrNull(b, at.max)
	b = append(b, `,"state":`...)
	b = jsonenc.String(b, n.State)
	b = append(b, ',')
	b = n.appendMembers(b, promptID)
	return append(b, '}')
}

// appendMembers appends the ids of a node and its prompt as members of a JSON object.
func (p *Place) appendMembers(b []byte, promptID string) []byte {
	b = append(b, `"node_id":`...)
	b = jsonenc.String(b, p.UniqueID)
	b = append(b, `,"prompt_id":`...)
	b = jsonenc.String(b, promptID)
	b = append(b, `,"display_node_id":`...)
	b = jsonenc.String(b, p.DisplayID)
	b = append(b, `,"parent_node_id":`...)
	b = jsonenc.StringOrNull(b, p.ParentID)
	b = append(b, `,"real_node_id":`...)
	return jsonenc.String(b, p.RealID)
}

// sizeMembers estimates the number of bytes that appendMembers appends.
func (p *Place) sizeMembers(promptID string) int {
	return 112 + len(promptID) + len(p.UniqueID) + len(p.DisplayID) + len(p.ParentID) + len(p.RealID)
}

func (p ProgressState) sizeJSON() int {
	n := 32 + len(p.PromptID)
	if p.shared != nil {
		return n + p.shared.size
	}
	for i := range p.list {
		n += p.list[i].sizeState(p.PromptID)
	}
	return n
}

// sizeState estimates the number of bytes of a node in a progress_state.
func (p *Place) sizeState(promptID string) int { return 64 + len(p.UniqueID) + p.sizeMembers(promptID) }

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
		if b, err = appendList(b, u[k], 0); err != nil {
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
// deeper list may contain itself; marshal detects that.
const plainDepth = 32

// appendValue appends the JSON of v. It encodes the types that nodes usually show
// without reflection. marshal encodes the other types and returns an error for values
// that cannot be encoded.
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
		return jsonenc.FloatOrNull(b, v), nil
	case File:
		return v.appendJSON(b), nil
	case []any:
		if depth < plainDepth {
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

func (f NodeFailed) appendJSON(b []byte) ([]byte, error) {
	b = f.appendMembers(append(b, '{'), f.PromptID)
	b = append(b, `,"node_type":`...)
	b = jsonenc.String(b, f.Class)
	b = append(b, `,"exception_message":`...)
	b = jsonenc.String(b, f.ExceptionMessage)
	b = append(b, `,"exception_type":`...)
	b = jsonenc.String(b, f.ExceptionType)
	b = append(b, `,"traceback":[`...)
	for i, line := range f.Traceback {
		if i > 0 {
			b = append(b, ',')
		}
		b = jsonenc.String(b, line)
	}
	return append(appendAttempt(append(b, ']'), f.Attempt), '}'), nil
}

func (f NodeFailed) sizeJSON() int {
	n := 112 + f.sizeMembers(f.PromptID) + len(f.Class) + len(f.ExceptionMessage) + len(f.ExceptionType)
	for _, line := range f.Traceback {
		n += 8 + len(line) + len(line)/8 // room for escaped characters
	}
	return n
}

func (w Waiting) appendJSON(b []byte) ([]byte, error) {
	b = w.appendMembers(append(b, '{'), w.PromptID)
	b = append(b, `,"name":`...)
	b = jsonenc.String(b, w.Name)
	if len(w.Schema) > 0 {
		schema, err := marshal(w.Schema)
		if err != nil {
			return nil, fmt.Errorf("the schema of question %q is not JSON: %w", w.Name, err)
		}
		b = append(append(b, `,"schema":`...), schema...)
	}
	if w.Deadline != 0 {
		b = append(b, `,"deadline":`...)
		b = strconv.AppendInt(b, w.Deadline, 10)
	}
	return append(b, '}'), nil
}

func (w Waiting) sizeJSON() int { return 64 + w.sizeMembers(w.PromptID) + len(w.Name) + len(w.Schema) }

func (a Answered) appendJSON(b []byte) ([]byte, error) {
	b = a.appendMembers(append(b, '{'), a.PromptID)
	b = append(b, `,"name":`...)
	b = jsonenc.String(b, a.Name)
	b = append(b, `,"result":`...)
	b = jsonenc.String(b, a.Result)
	return append(b, '}'), nil
}

func (a Answered) sizeJSON() int { return 32 + a.sizeMembers(a.PromptID) + len(a.Name) + len(a.Result) }

func (t TextPiece) appendJSON(b []byte) ([]byte, error) {
	b = t.appendMembers(append(b, '{'), t.PromptID)
	b = append(b, `,"name":`...)
	b = jsonenc.String(b, t.Name)
	b = append(b, `,"offset":`...)
	b = strconv.AppendInt(b, int64(t.Offset), 10)
	b = append(b, `,"piece":`...)
	b = jsonenc.String(b, t.Piece)
	return append(b, '}'), nil
}

func (t TextPiece) sizeJSON() int {
	return 64 + t.sizeMembers(t.PromptID) + len(t.Name) + len(t.Piece) + len(t.Piece)/8
}

func (d NodeDone) appendJSON(b []byte) ([]byte, error) {
	b = d.appendMembers(append(b, '{'), d.PromptID)
	b = append(b, `,"duration":`...)
	b = jsonenc.Float(b, float64(d.Duration)/1e6)
	b = append(b, `,"cached":`...)
	b = strconv.AppendBool(b, d.Cached)
	return append(appendAttempt(b, d.Attempt), '}'), nil
}

func (d NodeDone) sizeJSON() int { return 80 + d.sizeMembers(d.PromptID) }
