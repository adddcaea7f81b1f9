//go:build e2e

package e2e

import (
	"crypto/rand"
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/comfy"
	"github.com/stretchr/testify/require"
)

// Tell sends the words of its text, each after a step. It runs again in each prompt.
type Tell struct {
	Text string

	steps steps
}

// Fingerprint returns a different value each time, so that the node is never cached.
func (Tell) Fingerprint(*nodebus.Context) (string, error) { return rand.Text(), nil }

// Run sends the words and returns the text.
func (n Tell) Run(ctx *nodebus.Context) (string, error) {
	sent := 0
	for word := range strings.SplitAfterSeq(n.Text, " ") {
		if err := n.steps.wait(ctx); err != nil {
			return "", err
		}
		piece := nodebus.TextPiece{Place: ctx.Place(), PromptID: ctx.PromptID(), Offset: sent, Piece: word}
		if err := ctx.SendSync(piece); err != nil {
			return "", err
		}
		sent += len(word)
	}
	return n.Text, nil
}

// Approve asks whether its value may go on. It runs again in each prompt.
type Approve struct {
	Value any
	What  string
}

// Fingerprint returns a different value each time, so that the node is never cached.
func (Approve) Fingerprint(*nodebus.Context) (string, error) { return rand.Text(), nil }

// Run asks, and shows the answer.
func (n Approve) Run(ctx *nodebus.Context) (nodebus.UI, error) {
	schema := fmt.Appendf(nil, `{"type":"boolean","title":%q}`, n.What)
	yes, err := nodebus.Await[bool](ctx, "ok", &nodebus.AwaitOptions{Schema: schema})
	return nodebus.Text(fmt.Sprint(yes)), err
}

// TestPage uses the page that package comfy has of its own, as a person does: with the
// mouse and with the keyboard, on a wide and on a narrow screen. It writes screenshots to
// the folder shots.
func TestPage(t *testing.T) {
	t.Parallel()
	s := serve(t, nil, comfy.Options{})
	requireLines(t, filepath.Join("browser", "page.jsonl"), strings.NewReplacer(), run(t, "node", "browser/page.mjs", s.address, "shots"))
}

// TestPageParts runs the parts of the page that need no browser.
func TestPageParts(t *testing.T) {
	t.Parallel()
	saw := run(t, "node", "browser/parts.mjs")
	require.NotEmpty(t, saw)
	requireLines(t, filepath.Join("browser", "parts.jsonl"), strings.NewReplacer(), saw)
}
