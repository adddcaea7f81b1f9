package nodebus_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
)

// BenchmarkText writes tokens of a text. One op is one token. "by hand" sends each token as an
// event. A strings.Builder shows the limit.
func BenchmarkText(b *testing.B) {
	const token = "token "
	b.Run("builder", func(b *testing.B) {
		var text strings.Builder
		for b.Loop() {
			if _, _ = text.WriteString(token); text.Len() > 1<<20 {
				text.Reset()
			}
		}
	})
	for _, readers := range []int{0, 1} {
		for _, byHand := range []bool{false, true} {
			b.Run(fmt.Sprintf("readers=%d/by hand=%t", readers, byHand), func(b *testing.B) {
				h := openHub(b, nil)
				for range readers {
					s := h.Join("me", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}})
					go func() { _ = s.Serve(b.Context(), discard{}) }()
				}
				c := nodebus.NewContext(context.Background(), nodebus.CallInfo{
					Place: nodebus.Place{UniqueID: "1"}, Publisher: h, TextPause: 20 * time.Millisecond,
					Job: &nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", ClientID: "me"}},
				})
				out, length := c.Text(""), 0
				b.ReportAllocs()
				for b.Loop() {
					if byHand {
						_ = c.SendSync(nodebus.TextPiece{Place: c.Place(), PromptID: "p", Offset: length, Piece: token})
					} else {
						_, _ = out.WriteString(token)
					}
					if length += len(token); length > 1<<20 {
						length = 0
						_ = out.Reset()
					}
				}
				c.End()
			})
		}
	}
}

// BenchmarkEventAmongTexts sends an event of a node that has a text, while other nodes have
// texts, too.
func BenchmarkEventAmongTexts(b *testing.B) {
	for _, texts := range []int{1, 100, 10_000} {
		b.Run(fmt.Sprintf("texts=%d", texts), func(b *testing.B) {
			first := nodebus.NewContext(context.Background(), nodebus.CallInfo{
				Publisher: publishFunc(func(nodebus.Event) error { return nil }), TextPause: time.Hour,
			})
			calls := make([]nodebus.Context, texts)
			for i := range calls {
				calls[i].Begin(first, nodebus.Place{UniqueID: fmt.Sprint("n", i)}, 0, nil)
				_, _ = calls[i].Text("").WriteString("x")
			}
			for b.Loop() {
				_ = calls[0].SendSync(nodebus.Status{})
			}
		})
	}
}

type discard struct{}

func (discard) Write(context.Context, []nodebus.Frame) error { return nil }
func (discard) Close(error) error                            { return nil }
