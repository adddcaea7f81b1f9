package stored

import (
	"encoding/json"

	"github.com/nodebus/nodebus"
)

// deepest is the number of levels of values that IsPlain looks at.
const deepest = 100

// IsPlain reports whether a prompt has values of JSON only, whose types have no methods of
// callers. A prompt that a client has submitted is plain. If a prompt is not plain, only
// another look at its JSON shows whether it can be read again.
func IsPlain(p *nodebus.Prompt) bool {
	if p.Rejected != nil || p.Extra != nil && !plain(p.Extra, deepest) {
		return false
	}
	for i := range p.Nodes {
		for _, v := range p.Nodes[i].Inputs {
			if !plain(v, deepest) {
				return false
			}
		}
	}
	return true
}

func plain(v any, levels int) bool {
	switch v := v.(type) {
	case nil, bool, string, json.Number, nodebus.Link,
		int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return true
	case []any:
		for _, e := range v {
			if levels == 0 || !plain(e, levels-1) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, e := range v {
			if levels == 0 || !plain(e, levels-1) {
				return false
			}
		}
		return true
	}
	return false
}
