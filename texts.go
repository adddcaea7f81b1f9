package nodebus

import (
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// TextSoFar is all of a text that a node writes piece by piece. A [TextWriter] publishes it
// beside its pieces, for clients that do not ask for an envelope: they receive it as the
// frame of a [ProgressText]. Clients with an envelope do not receive it, because they receive
// each [TextPiece]. A newer TextSoFar of a node replaces an older one.
type TextSoFar struct {
	PromptID string `json:"prompt_id"`
	UniqueID string `json:"node_id"`
	Text     string `json:"text"`
}

// EventType returns "nodebus.text_so_far".
func (TextSoFar) EventType() string { return "nodebus.text_so_far" }

// CoalesceKey returns a key of the ids of the prompt and the node.
func (t TextSoFar) CoalesceKey() string { return t.key().pair() }

func (t TextSoFar) key() coalesceKey { return coalesceKey{t.EventType(), t.PromptID, t.UniqueID} }

// MarshalJSON writes the JSON of the wire.
func (t TextSoFar) MarshalJSON() ([]byte, error) { return t.appendJSON(nil) }

func (t TextSoFar) appendJSON(b []byte) ([]byte, error) {
	b = append(b, `{"prompt_id":`...)
	b = jsonenc.String(b, t.PromptID)
	b = append(b, `,"node_id":`...)
	b = jsonenc.String(b, t.UniqueID)
	b = append(b, `,"text":`...)
	b = jsonenc.String(b, t.Text)
	return append(b, '}'), nil
}

func (t TextSoFar) sizeJSON() int {
	return 48 + len(t.PromptID) + len(t.UniqueID) + len(t.Text) + len(t.Text)/8
}

// hiddenFrom reports whether sessions with the codec c do not receive m.
func (m *message) hiddenFrom(c JSONCodec) bool {
	if !c.Envelope {
		return m.extension
	}
	_, soFar := m.payload.(TextSoFar)
	return soFar
}

// sentName returns the name of a text for clients. Two texts of a node never have the same.
func sentName(name string, index int) string {
	rest := strings.TrimRight(name, "0123456789")
	if index == 0 && (len(rest) == len(name) || !strings.HasSuffix(rest, "#")) {
		return name
	}
	return name + "#" + strconv.Itoa(index)
}

// pieceMax is the maximum size, in bytes, of a piece that was joined from smaller pieces.
const pieceMax = 64 << 10

// joinTexts replaces neighbouring pieces of a text by one piece. The new piece has the ID of
// the last, so a client that has it has all of them. Only neighbours are joined: if another
// event came between two pieces, a client whose connection breaks after that event must be
// able to continue with the second piece. joinTexts uses the memory of msgs.
func joinTexts(msgs []*message) []*message {
	n := 0
	for i := 0; i < len(msgs); n++ {
		end := i + 1
		if msgs[i].extension { // otherwise it is no piece, as most
			end = endOfText(msgs, i)
		}
		if msgs[n] = msgs[i]; end > i+1 {
			msgs[n] = joined(msgs[i:end])
		}
		i = end
	}
	clear(msgs[n:])
	return msgs[:n]
}

// endOfText returns the index after the pieces that continue the piece at index i.
func endOfText(msgs []*message, i int) int {
	last, ok := msgs[i].payload.(TextPiece)
	size := len(last.Piece)
	for i++; ok && i < len(msgs); i++ {
		next, piece := msgs[i].payload.(TextPiece)
		if size += len(next.Piece); !piece || size > pieceMax || !next.continues(&last) || !msgs[i].to.same(msgs[i-1].to) {
			break
		}
		last = next
	}
	return i
}

// continues reports whether t is the next piece of the text of p.
func (t *TextPiece) continues(p *TextPiece) bool {
	return t.Offset == p.Offset+len(p.Piece) && t.Name == p.Name && t.Place == p.Place && t.PromptID == p.PromptID
}

// same reports whether two addresses have the same receivers, and the same attempt.
func (a *address) same(b *address) bool {
	return a == b || a.promptID == b.promptID && a.to == b.to && a.attempt == b.attempt
}

// joined returns one message for pieces of a text. Each piece continues the piece before.
func joined(pieces []*message) *message {
	text := strings.Builder{}
	for _, m := range pieces {
		text.WriteString(m.payload.(TextPiece).Piece)
	}
	p := pieces[0].payload.(TextPiece)
	p.Piece = text.String()
	last := pieces[len(pieces)-1]
	return &message{
		id: last.id, at: last.at, to: last.to, payload: p,
		size: int32(p.sizeJSON()), steps: last.steps, frozen: true, extension: true,
	}
}

// startOfRune returns the index, at most i, at which the character of byte i begins.
func startOfRune(text string, i int) int {
	for i > 0 && !utf8.RuneStart(text[i]) {
		i--
	}
	return i
}
