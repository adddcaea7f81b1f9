package comfy_test

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

const manyTokens = 100_000

// Tokens writes tokens as a language model does, and waits for the gate "go on" when half of
// them are written.
type Tokens struct {
	ByHand bool // each token is an event of its own
	gate   *gate
}

func (n Tokens) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	out, length := ctx.Text("answer"), 0
	for i := range manyTokens {
		token := fmt.Sprintf("tök%d ", i)
		if i == manyTokens/2 {
			n.gate.open("half")
			<-n.gate.named("go on")
		}
		var err error
		if n.ByHand {
			err = ctx.SendSync(nodebus.TextPiece{Place: ctx.Place(), PromptID: ctx.PromptID(), Name: "answer", Offset: length, Piece: token})
			length += len(token)
		} else {
			_, err = out.WriteString(token)
		}
		if err != nil {
			return nil, err
		}
	}
	return nodebus.Text("done"), nil
}

func tokens() string {
	var text strings.Builder
	for i := range manyTokens {
		fmt.Fprintf(&text, "tök%d ", i)
	}
	return text.String()
}

// requireText compares long texts; a difference of require.Equal would be long, too.
func requireText(t *testing.T, want, got string) {
	t.Helper()
	at := 0
	for at < min(len(want), len(got)) && want[at] == got[at] {
		at++
	}
	if want != got {
		t.Fatalf("the texts of %d and %d bytes differ at byte %d", len(want), len(got), at)
	}
}

// textReader reads a text from a socket. If the connection breaks, because the client has not
// read for long, it comes back.
type textReader struct {
	*socket
	h      *host
	query  string
	cursor string // empty for a stock client
	text   strings.Builder
	pieces int
	soFar  []string // the frames of a stock client
}

func (h *host) reads(query string) *textReader {
	return &textReader{socket: h.dial(query, nil), h: h, query: query}
}

// read1 reads a message. It returns false if the node is done.
func (r *textReader) read1() bool {
	m, err := r.read()
	if err != nil {
		r.socket = r.h.dial(r.query+r.cursor, nil)
		return true
	}
	if strings.HasSuffix(r.query, "since=") && m.Cursor != "" {
		r.cursor = m.Cursor
	}
	switch {
	case m.binary != nil && m.binary[3] == 3:
		id := 8 + binary.BigEndian.Uint32(m.binary[4:])
		r.soFar = append(r.soFar, string(m.binary[id:]))
	case m.Type == "nodebus.text":
		r.pieces++
		require.EqualValues(r.t, r.text.Len(), m.Data["offset"])
		r.text.WriteString(m.Data["piece"].(string))
	}
	return m.short() != "executed 1"
}

// TestTokens: a fast client, a client that reads nothing until the node has written
// everything, clients that join in the middle and at the end, a stream over SSE, and stock
// clients.
func TestTokens(t *testing.T) {
	for _, byHand := range []bool{false, true} {
		t.Run(fmt.Sprintf("by hand %t", byHand), func(t *testing.T) {
			h := newHost(t, nil)
			flow.Register(h.reg, Tokens{gate: h.gate}, nodebus.Info{Async: true})
			fast := h.reads("clientId=me&since=")
			slow := h.reads("clientId=me&since=")
			stock := h.reads("clientId=me")
			h.submit("me", fmt.Sprintf(`{"1":{"class_type":"Tokens","inputs":{"by_hand":%t}}}`, byHand), `"prompt_id":"p"`)
			stream, _ := h.follow("GET", runs+"/p", "")
			<-h.gate.named("half")
			late := h.reads("clientId=me&since=")
			lateStock := h.reads("clientId=me")
			h.gate.open("go on")

			for range 20 {
				late.read1()
			}
			_ = late.c.CloseNow() // it comes back with its cursor
			want := tokens()
			for _, r := range []*textReader{fast, slow, late} {
				for r.read1() {
				}
				requireText(t, want, r.text.String())
			}
			stream.until("executed 1")
			requireText(t, want, stream.run.Nodes["1"].Texts["answer"])
			last := h.reads("clientId=other&watch=p&since=")
			for last.read1() {
			}
			requireText(t, want, last.text.String())
			t.Logf("pieces: fast %d, slow %d, late %d, last %d", fast.pieces, slow.pieces, late.pieces, last.pieces)
			require.LessOrEqual(t, last.pieces, 110, "pages of 1024 events")
			for _, r := range []*textReader{stock, lateStock} {
				for r.read1() {
				}
				require.Zero(t, r.pieces)
				if byHand {
					require.Empty(t, r.soFar)
					continue
				}
				requireText(t, want, r.soFar[len(r.soFar)-1])
				for _, text := range r.soFar {
					require.True(t, strings.HasPrefix(want, text))
				}
				t.Logf("stock: %d frames", len(r.soFar))
			}
		})
	}
}
