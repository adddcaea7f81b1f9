package nodebus_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// part returns the context of a part of a call.
func part(whole *nodebus.Context, index int) *nodebus.Context {
	c := &nodebus.Context{}
	c.BeginWithin(whole, context.Background(), index, nil)
	return c
}

// TestTextOfALaterTry: what an earlier try has left behind does not reach the text of a later
// try, and does not end it.
func TestTextOfALaterTry(t *testing.T) {
	tape := &textTape{}
	whole := tape.call(0)
	first := part(whole, 0)
	_, err := first.Text("t").WriteString("old")
	require.NoError(t, err)
	left := first.With(context.Background())
	first.End()
	require.Equal(t, []string{`t@0"old"`, "=old"}, tape.take())

	second := part(whole, 0)
	out := second.Text("t")
	_, err = out.WriteString("new")
	require.NoError(t, err)
	for _, late := range []*nodebus.Context{first, left} {
		_, err = late.Text("t").WriteString("late")
		require.ErrorIs(t, err, nodebus.ErrClosed)
		require.ErrorIs(t, late.Text("t").Reset(), nodebus.ErrClosed)
		require.Empty(t, late.Text("t").String())
	}
	first.End()
	_, err = out.WriteString("er")
	require.NoError(t, err)
	require.Same(t, out, second.Text("t"))
	second.End()
	require.Equal(t, []string{`t@0"new"`, "=new", `t@3"er"`, "=newer"}, tape.take())
	whole.End()
}

// TestTextsOfTriesAtOnce: a try that ends does not end the text of a try beside it.
func TestTextsOfTriesAtOnce(t *testing.T) {
	tape := &textTape{}
	whole := tape.call(0)
	_, err := whole.Text("log").WriteString("a")
	require.NoError(t, err)
	one, other := part(whole, 0), part(whole, 0)
	require.NotSame(t, one.Text("t"), other.Text("t"))
	require.Same(t, one.Text("log"), other.Text("log"), "it is the text of the call")
	require.Same(t, one.Text("t"), one.With(context.Background()).Text("t"))
	one.End()
	for _, name := range []string{"t", "log"} {
		_, err := other.Text(name).WriteString("b")
		require.NoError(t, err)
	}
	whole.End()
	_, err = other.Text("t").WriteString("c")
	require.ErrorIs(t, err, nodebus.ErrClosed)
}

// TestTextWhileATryEnds: an old try ends, and its goroutines write, while a new try writes.
func TestTextWhileATryEnds(t *testing.T) {
	for range 300 {
		tape := &textTape{}
		whole := tape.call(0)
		old, try := part(whole, 0), part(whole, 0)
		var all sync.WaitGroup
		for range 2 {
			all.Go(func() {
				for range 10 {
					_, _ = old.Text("t").WriteString("old")
				}
			})
		}
		all.Go(old.End)
		for range 10 {
			_, err := try.Text("t").WriteString("new")
			require.NoError(t, err)
		}
		all.Wait()
		require.Equal(t, strings.Repeat("new", 10), try.Text("t").String())
		old.End()
		tape.take()
		_, err := old.Text("t").WriteString("old")
		require.ErrorIs(t, err, nodebus.ErrClosed)
		whole.End()
		require.Equal(t, []string{"=" + strings.Repeat("new", 10)}, tape.take())
	}
}

// TestTextNames: no two texts of the calls of a node have the same name for clients.
func TestTextNames(t *testing.T) {
	for _, c := range []struct {
		name  string
		index int
		want  string
	}{
		{"a", 0, "a"},
		{"a", 1, "a#1"},
		{"", 0, ""},
		{"", 12, "#12"},
		{"a#", 0, "a#"},
		{"a1", 0, "a1"},
		{"#x1", 0, "#x1"},
		{"a#1", 0, "a#1#0"},
		{"a#0", 0, "a#0#0"},
		{"#7", 0, "#7#0"},
		{"a#1", 2, "a#1#2"},
	} {
		tape := &textTape{}
		_, err := part(tape.call(0), c.index).Text(c.name).WriteString("x")
		require.NoError(t, err)
		require.Equal(t, []string{c.want + `@0"x"`, "=x"}, tape.take())
	}
	tape := &textTape{}
	whole := tape.call(0)
	names, seen := []string{"", "a", "#"}, map[string]string{}
	for range 2 {
		for _, name := range names {
			for _, end := range []string{"#0", "#1", "#01", "1", "#"} {
				names = append(names, name+end)
			}
		}
	}
	done := map[string]bool{}
	for _, name := range names {
		for index := range 3 {
			of := fmt.Sprintf("%q of call %d", name, index)
			if done[of] {
				continue
			}
			done[of] = true
			_, err := part(whole, index).Text(name).WriteString("x")
			require.NoError(t, err)
			sent, _, _ := strings.Cut(tape.take()[0], "@")
			require.Empty(t, seen[sent], of)
			seen[sent] = of
		}
	}
	whole.End()
}

// TestTextPublisherCallsBack: Publish may write to the text, and read it.
func TestTextPublisherCallsBack(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		var out *nodebus.TextWriter
		var pieces []string
		ctx := nodebus.NewContext(t.Context(), nodebus.CallInfo{TextPause: time.Second, Publisher: publishFunc(func(ev nodebus.Event) error {
			if p, ok := ev.Payload.(nodebus.TextPiece); ok {
				if pieces = append(pieces, p.Piece+" of "+out.String()); len(pieces) == 1 {
					require.NoError(t, out.Reset())
					_, err := out.WriteString("again")
					require.NoError(t, err)
				}
			}
			return nil
		})})
		out = ctx.Text("")
		_, err := out.WriteString("once")
		require.NoError(t, err)
		ctx.End()
		require.Equal(t, []string{"once of once", "again of again"}, pieces)
	})
}
