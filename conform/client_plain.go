package conform

import (
	"slices"
	"testing"
)

// plainComfyUI: a server that knows no envelope ignores since; no message has a cursor,
// "a text message has two members, as in ComfyUI", and binary frames have no envelope. The
// client yields the events, comes back after a break under its id, and never invents a
// cursor. What the client misses meanwhile is lost.
func plainComfyUI(t *testing.T, s *stage) {
	s.plain = true
	p := s.begin(t)
	preview := previewed(3)
	preview.data, preview.binary = `{}`, slices.Concat(u32(1, 1), preview.image)
	all := append(mixed(0), preview, scripted{typ: "executing", data: `{"node":"7","display_node":"7","prompt_id":"p"}`},
		scripted{typ: "executing", data: `{"node":null,"prompt_id":"p"}`})
	for round := range 2 * len(cuts) {
		s.publish(all...)
		s.expect(t, "of plain ComfyUI", all...)
		p.write(appendWSFrame(nil, true, opText, []byte(`{"type":"progress","data":{"value":NaN,"max":1,"prompt_id":"p","node":"7"}}`)))
		p.cut(cuts[round%len(cuts)])
		s.say(mixed(10)...)
		p = s.serve(s.accept(t))
	}
}
