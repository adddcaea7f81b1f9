package jsonenc

import (
	"strconv"

	"github.com/nodebus/nodebus"
)

// The limit: one hand-written function for each frame. The functions use knowledge about
// the samples: all numbers are whole, and all characters are ASCII.

func appendProgress(b []byte, value, max int64, prompt, node string) []byte {
	b = append(b, `{"type":"progress","data":{"value":`...)
	b = strconv.AppendInt(b, value, 10)
	b = append(b, `,"max":`...)
	b = strconv.AppendInt(b, max, 10)
	b = append(b, `,"prompt_id":`...)
	b = appendString(b, prompt)
	b = append(b, `,"node":`...)
	b = appendString(b, node)
	return append(b, "}}"...)
}

func appendState(b []byte, nodes []nodebus.NodeState) []byte {
	b = append(b, `{"type":"progress_state","data":{"prompt_id":`...)
	b = appendString(b, promptID)
	b = append(b, `,"nodes":{`...)
	for i, n := range nodes {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, n.UniqueID)
		b = append(b, `:{"value":`...)
		b = strconv.AppendInt(b, int64(n.Value), 10)
		b = append(b, `,"max":`...)
		b = strconv.AppendInt(b, int64(n.Max), 10)
		b = append(b, `,"state":`...)
		b = appendString(b, n.State)
		b = append(b, `,"node_id":`...)
		b = appendString(b, n.UniqueID)
		b = append(b, `,"prompt_id":`...)
		b = appendString(b, promptID)
		b = append(b, `,"display_node_id":`...)
		b = appendString(b, n.DisplayID)
		b = append(b, `,"parent_node_id":null,"real_node_id":`...)
		b = appendString(b, n.RealID)
		b = append(b, '}')
	}
	return append(b, "}}}"...)
}

func appendExecuted(b []byte, node, prompt string, files []nodebus.File) []byte {
	b = append(b, `{"type":"executed","data":{"node":`...)
	b = appendString(b, node)
	b = append(b, `,"display_node":`...)
	b = appendString(b, node)
	b = append(b, `,"output":{"images":[`...)
	for i, f := range files {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, `{"filename":`...)
		b = appendString(b, f.Filename)
		b = append(b, `,"subfolder":`...)
		b = appendString(b, f.Subfolder)
		b = append(b, `,"type":`...)
		b = appendString(b, f.Type)
		b = append(b, '}')
	}
	b = append(b, `]},"prompt_id":`...)
	b = appendString(b, prompt)
	return append(b, "}}"...)
}

// appendString searches s for characters that need escaping. The samples have none.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c == '"' || c == '\\' || c >= 0x80 {
			return strconv.AppendQuote(b, s)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}
