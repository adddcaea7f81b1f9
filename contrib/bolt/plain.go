package bolt

import (
	"encoding/json"

	"github.com/nodebus/nodebus"
)

// isPlain reports whether a prompt has values of JSON only, whose types have no methods of
// callers. A prompt that a client has submitted is plain.
func isPlain(p *nodebus.Prompt) bool {
	if p.Extra != nil && !plain(p.Extra, 0) {
		return false
	}
	for i := range p.Nodes {
		for _, v := range p.Nodes[i].Inputs {
			if !plain(v, 0) {
				return false
			}
		}
	}
	return p.Rejected == nil
}

// deepest is the number of levels that plain looks at.
const deepest = 100

func plain(v any, depth int) bool {
	if depth > deepest {
		return false
	}
	switch v := v.(type) {
	case nil, bool, string, json.Number, nodebus.Link,
		int, int8, int16, int32, int64, uint, uint8, uint16, uint32, uint64, float32, float64:
		return true
	case []any:
		for _, e := range v {
			if !plain(e, depth+1) {
				return false
			}
		}
		return true
	case map[string]any:
		for _, e := range v {
			if !plain(e, depth+1) {
				return false
			}
		}
		return true
	}
	return false
}
