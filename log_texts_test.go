package nodebus_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// pieceTape is a transport that puts the pieces of texts together.
type pieceTape struct {
	texts  map[string]string
	pieces int
	others []nodebus.Payload
	last   nodebus.Cursor
}

func (p *pieceTape) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		ev, err := nodebus.JSON.Decode(f)
		if err != nil {
			return err
		}
		p.last = ev.Cursor()
		piece, ok := ev.Payload.(nodebus.TextPiece)
		if !ok {
			p.others = append(p.others, ev.Payload)
			continue
		}
		p.pieces++
		key := fmt.Sprint(piece.Place, piece.PromptID, piece.Name)
		missing := strings.Repeat("?", max(0, piece.Offset-len(p.texts[key])))
		p.texts[key] = (p.texts[key] + missing)[:piece.Offset] + piece.Piece
	}
	return nil
}

func (*pieceTape) Close(error) error { return nil }

// readPieces returns what a client of the prompt receives that joins now.
func readPieces(t *testing.T, h *nodebus.Hub, since nodebus.Cursor) *pieceTape {
	p := &pieceTape{texts: map[string]string{}}
	s := h.Join("x", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}, Watch: []string{"p"}, Since: since})
	over := serveOn(t, s, p)
	synctest.Wait()
	s.Close(nil)
	require.ErrorIs(t, over(), nodebus.ErrClosed)
	return p
}

// TestLogKeepsTokens: 100 000 pieces need a few bytes each, and a client that joins late
// receives them as few pieces.
func TestLogKeepsTokens(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{KeepBytes: 3 << 20})
		text := strings.Builder{}
		for n := range 100_000 {
			token := fmt.Sprint("tok ", n, "\n")
			piece := nodebus.TextPiece{Place: nodebus.Place{UniqueID: "1"}, PromptID: "p", Offset: text.Len(), Piece: token}
			publish(t, h, about("p", piece))
			text.WriteString(token)
		}
		got := readPieces(t, h, nodebus.Cursor{})
		require.Len(t, got.texts, 1)
		for _, have := range got.texts {
			require.Len(t, have, text.Len())
			require.Equal(t, sha256.Sum256([]byte(text.String())), sha256.Sum256([]byte(have)))
		}
		require.Less(t, got.pieces, 100)
		require.Empty(t, got.others)

		got = readPieces(t, h, nodebus.Cursor{Epoch: h.Epoch(), ID: 99_990})
		require.Equal(t, 1, got.pieces)
		require.Equal(t, nodebus.Cursor{Epoch: h.Epoch(), ID: 100_000}, got.last)
	})
}

// TestLogDropsPieces: if there is no room, the oldest pieces go first, and a client learns
// about it.
func TestLogDropsPieces(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{KeepLen: 10})
		for n := range 30 {
			piece := nodebus.TextPiece{PromptID: "p", Name: fmt.Sprint(n % 2), Offset: n / 2, Piece: "x"}
			publish(t, h, about("p", piece))
		}
		got := readPieces(t, h, nodebus.Cursor{})
		require.Equal(t, map[string]string{"{   }p0": "??????????xxxxx", "{   }p1": "??????????xxxxx"}, got.texts)
		require.Equal(t, []nodebus.Payload{nodebus.Gap{Since: 0, Next: 21}}, got.others)
		require.Equal(t, 10, got.pieces, "pieces of two texts that come in turn stay as they are")
	})
}

// TestLogKeepsAnyPiece: each piece comes back as it was, whatever its fields are.
func TestLogKeepsAnyPiece(t *testing.T) {
	made := nodebus.Place{UniqueID: "1.0.0.a", DisplayID: "1", ParentID: "1", RealID: "1"}
	pieces := []nodebus.TextPiece{
		{Place: made, PromptID: "p", Name: "a", Piece: "x"},
		{Place: nodebus.Place{}, PromptID: "p", Piece: ""},
		{Place: made, PromptID: "p", Name: "b", Offset: 1 << 40, Piece: strings.Repeat("é", 5000)},
		{Place: made, PromptID: "p", Name: "a", Offset: 7, Piece: "after a hole"},
		{Place: made, PromptID: "p", Name: "a", Piece: "anew"},
		{Place: made, PromptID: "p", Name: "a", Offset: -1, Piece: "no offset"},
		{Place: made, PromptID: "q", Name: "a", Offset: 4, Piece: "of another prompt"},
		{Place: made, Name: "a", Offset: 4, Piece: "of no prompt"},
	}
	for _, to := range []string{"", "x"} {
		bubble.Test(t, func(t *testing.T) {
			h := openHub(t, nil)
			var want []nodebus.Payload
			for n := range 3 {
				for _, p := range pieces {
					publish(t, h, nodebus.Event{PromptID: "p", To: to, Attempt: n, Payload: p})
					publish(t, h, about("p", nodebus.Executing{UniqueID: "9", PromptID: "p"}))
					want = append(want, p, nodebus.Executing{UniqueID: "9", PromptID: "p"})
				}
			}
			require.Equal(t, want, replayedPayloads(t, h))
		})
	}
}

// replayedPayloads returns the payloads that the log has.
func replayedPayloads(t *testing.T, h *nodebus.Hub) (all []nodebus.Payload) {
	codec := &takesPayloads{}
	s := h.Join("x", &nodebus.SessionOptions{Codec: codec, Watch: []string{"p"}})
	over := serveOn(t, s, &frameTape{})
	synctest.Wait()
	s.Close(nil)
	require.ErrorIs(t, over(), nodebus.ErrClosed)
	return codec.all
}

// takesPayloads is a codec that keeps the payloads.
type takesPayloads struct{ all []nodebus.Payload }

func (c *takesPayloads) Encode(ev nodebus.Event) (nodebus.Frame, error) {
	c.all = append(c.all, ev.Payload)
	return nodebus.Frame{}, nil
}

func (c *takesPayloads) Decode(nodebus.Frame) (ev nodebus.Event, err error) { return ev, nil }
