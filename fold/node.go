package fold

import (
	"math"
	"strings"
	"unicode/utf8"

	"github.com/nodebus/nodebus"
)

// refusedType is the exception type of a prompt that was refused.
const refusedType = "refused"

// become sets the state and the progress of a node.
func (n *Node) become(state string, value, max float64) {
	n.State, n.Value, n.Max = state, value, max
}

// show sets the state that a progress_state has. A snapshot knows less about a node that
// is cached or blocked: there it counts as finished.
func (n *Node) show(state string) {
	switch state {
	case NodeError:
		n.State = state
	case NodeRunning, NodeFinished:
		if n.State != NodeCached && n.State != NodeBlocked {
			n.State = state
		}
	}
}

// add appends a piece to a text of the node. It returns false if pieces before it are
// missing.
func (n *Node) add(p *nodebus.TextPiece) (complete bool) {
	name, piece := valid(p.Name), valid(p.Piece)
	text := n.Texts[name]
	if p.Offset == 0 {
		text = ""
	}
	b := n.pieces[name]
	if b == nil || b.String() != text { // equal strings with the same memory are compared at once
		b = &strings.Builder{}
		b.WriteString(text)
	}
	b.WriteString(piece)
	if n.Texts == nil {
		n.Texts = map[string]string{}
	}
	if n.pieces == nil {
		n.pieces = map[string]*strings.Builder{}
	}
	n.Texts[name], n.pieces[name] = b.String(), b
	return p.Offset <= len(text)
}

// valid returns the text that the JSON of text has: U+FFFD for each byte that is not part
// of a character.
func valid(text string) string {
	if utf8.ValidString(text) {
		return text
	}
	return string([]rune(text))
}

// within returns the progress that clients receive: 0 ≤ value ≤ max, and 0 for what is
// not finite.
func within(value, max float64) (float64, float64) {
	value, max = clamp(value, max)
	return clamp(finite(value), finite(max))
}

func clamp(value, max float64) (float64, float64) {
	if max <= 0 { // also -0
		max = 0
	}
	switch {
	case value <= 0:
		value = 0
	case value > max:
		value = max
	}
	return value, max
}

func finite(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return 0
	}
	return v
}

// millis returns timestamp, or the time of the event if timestamp is 0, in Unix
// milliseconds.
func millis(timestamp int64, ev *nodebus.Event) int64 {
	if timestamp == 0 && !ev.Time.IsZero() {
		return ev.Time.UnixMilli()
	}
	return timestamp
}
