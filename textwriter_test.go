package nodebus_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// textTape records the events of a context, and can fail.
type textTape struct {
	mu     sync.Mutex
	events []nodebus.Event
	err    error
}

func (r *textTape) Publish(ev nodebus.Event) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.err != nil {
		return r.err
	}
	r.events = append(r.events, ev)
	return nil
}

// take returns the events so far in short, and forgets them: name@offset"piece", =whole text,
// and the type of any other event.
func (r *textTape) take() (said []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ev := range r.events {
		switch p := ev.Payload.(type) {
		case nodebus.TextPiece:
			said = append(said, fmt.Sprintf("%s@%d%q", p.Name, p.Offset, p.Piece))
		case nodebus.TextSoFar:
			said = append(said, "="+p.Text)
		default:
			said = append(said, p.EventType())
		}
	}
	r.events = nil
	return said
}

func (r *textTape) call(pause time.Duration) *nodebus.Context {
	return nodebus.NewContext(context.Background(), nodebus.CallInfo{
		Place: nodebus.Place{UniqueID: "1"}, Publisher: r, TextPause: pause,
		Job: &nodebus.Job{Prompt: &nodebus.Prompt{ID: "p", ClientID: "me"}, Attempt: 2},
	})
}

// TestTextIsPaced: the first write goes out at once, the next ones together, and the rest
// when the call ends.
func TestTextIsPaced(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		tape := &textTape{}
		c := tape.call(20 * time.Millisecond)
		out := c.Text("answer")
		write := func(s string) {
			n, err := io.WriteString(out, s)
			require.NoError(t, err)
			require.Equal(t, len(s), n)
		}
		write("a")
		require.Equal(t, nodebus.Event{
			PromptID: "p", To: "me", Attempt: 2, Frozen: true,
			Payload: nodebus.TextPiece{Place: nodebus.Place{UniqueID: "1"}.WithDefaults(), PromptID: "p", Name: "answer", Piece: "a"},
		}, tape.events[0])
		require.Equal(t, []string{`answer@0"a"`, "=a"}, tape.take())
		write("b")
		write("c")
		synctest.Wait()
		require.Empty(t, tape.take())
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{`answer@1"bc"`}, tape.take())
		time.Sleep(230 * time.Millisecond)
		synctest.Wait()
		require.Equal(t, []string{"=abc"}, tape.take())
		time.Sleep(time.Hour)
		require.Empty(t, tape.take(), "nothing is sent while nothing is written")
		write("d")
		write("e")
		require.Equal(t, []string{`answer@3"d"`, "=abcd"}, tape.take())
		require.NoError(t, c.SendSync(nodebus.Executing{UniqueID: "x"}))
		require.Equal(t, []string{`answer@4"e"`, "executing"}, tape.take(), "an event comes after what was written before")
		write("f")
		c.End()
		require.Equal(t, []string{`answer@5"f"`, "=abcdef"}, tape.take())
		_, err := out.Write([]byte("g"))
		require.ErrorIs(t, err, nodebus.ErrClosed)
		require.ErrorIs(t, out.Reset(), nodebus.ErrClosed)
		_, err = c.Text("late").WriteString("g")
		require.ErrorIs(t, err, nodebus.ErrClosed)
		require.Equal(t, "abcdef", out.String())
		time.Sleep(time.Hour)
		require.Empty(t, tape.take())
	})
}

// TestTextBeginsAnew: with another call, with another try, and with Reset, but not with the
// same name in the same call.
func TestTextBeginsAnew(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		tape := &textTape{}
		c := tape.call(0)
		say := func(c *nodebus.Context, s string) {
			_, err := fmt.Fprint(c.Text(""), s)
			require.NoError(t, err)
		}
		say(c, "a")
		say(c, "b")
		say(c.With(context.Background()), "c")
		require.Equal(t, []string{`@0"a"`, "=a", `@1"b"`, `@2"c"`}, tape.take())
		require.NoError(t, c.Text("").Reset())
		require.Equal(t, []string{`@0""`}, tape.take())
		say(c, "d")
		say(c, "e")
		require.Equal(t, []string{`@0"d"`, `@1"e"`}, tape.take())
		c.End()
		require.Equal(t, []string{"=de"}, tape.take())

		whole := tape.call(0)
		for range 2 {
			try := &nodebus.Context{}
			try.BeginWithin(whole, context.Background(), 0, nil)
			out := try.Text("")
			say(try, "x")
			say(try, "y")
			try.End()
			require.Equal(t, []string{`@0"x"`, "=x", `@1"y"`, "=xy"}, tape.take())
			_, err := out.WriteString("late")
			require.ErrorIs(t, err, nodebus.ErrClosed)
		}

		for k := range 3 { // the elements of a list
			one := &nodebus.Context{}
			one.Begin(whole, nodebus.Place{UniqueID: "1"}, k, nil)
			say(one, "x")
			one.Text("log")
			one.End()
		}
		require.Equal(t, []string{`@0"x"`, "=x", `#1@0"x"`, "=x", `#2@0"x"`, "=x"}, tape.take())

		inner := whole.With(context.Background()) // ends with whole
		say(inner, "x")
		whole.End()
		_, err := inner.Text("").WriteString("y")
		require.ErrorIs(t, err, nodebus.ErrClosed)
	})
}

// TestTextIsUTF8: a character that is split over writes is not split over pieces.
func TestTextIsUTF8(t *testing.T) {
	for _, c := range []struct {
		writes []string
		want   string
	}{
		{[]string{"h\xc3", "\xa9llo"}, "héllo"},
		{[]string{"\xf0", "\x9f", "\x98", "\x80"}, "😀"},
		{[]string{"a\xf0\x9f", "b"}, "a\ufffd\ufffdb"},
		{[]string{"a\xff", "b"}, "a\ufffdb"},
		{[]string{"a\xe2\x82"}, "a\ufffd\ufffd"},
		{[]string{"\xe2", "\xe2\x82\xac", "x"}, "\ufffd€x"},
		{[]string{"", "x", ""}, "x"},
	} {
		for _, pause := range []time.Duration{0, time.Second} {
			tape := &textTape{}
			ctx := tape.call(pause)
			out := ctx.Text("")
			for _, s := range c.writes {
				n, err := out.Write([]byte(s))
				require.NoError(t, err)
				require.Equal(t, len(s), n)
			}
			ctx.End()
			require.Equal(t, c.want, out.String())
			text := ""
			for _, ev := range tape.events {
				if p, ok := ev.Payload.(nodebus.TextPiece); ok {
					require.Equal(t, len(text), p.Offset)
					require.Equal(t, strings.ToValidUTF8(p.Piece, "?"), p.Piece)
					text += p.Piece
				}
			}
			require.Equal(t, c.want, text)
		}
	}
	tape := &textTape{}
	ctx := tape.call(0)
	text := strings.Repeat("€", 100_000)
	n, err := io.Copy(ctx.Text(""), iotest.OneByteReader(strings.NewReader(text)))
	require.NoError(t, err)
	require.EqualValues(t, len(text), n)
	require.Equal(t, text, ctx.Text("").String())
	ctx.End()
}

// TestTextSoFarIsBounded: the frames of stock clients grow with the text, so they become rare,
// and they have an end.
func TestTextSoFarIsBounded(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		tape := &textTape{}
		ctx := tape.call(20 * time.Millisecond)
		out := ctx.Text("")
		word := strings.Repeat("wörd ", 80)
		for range 6000 { // a minute
			_, err := out.WriteString(word)
			require.NoError(t, err)
			time.Sleep(10 * time.Millisecond)
		}
		ctx.End()
		bytes, last, pieces := 0, "", 0
		for _, ev := range tape.events {
			switch p := ev.Payload.(type) {
			case nodebus.TextSoFar:
				bytes += len(p.Text)
				last = p.Text
			case nodebus.TextPiece:
				pieces++
			}
		}
		text := out.String()
		require.Greater(t, len(text), 1<<20)
		require.LessOrEqual(t, bytes, 60*64<<10+2<<20)
		require.Greater(t, bytes, 2<<20)
		require.LessOrEqual(t, pieces, 3001)
		require.True(t, strings.HasSuffix(text, last))
		require.InDelta(t, 1<<20, len(last), 4)
		require.Equal(t, strings.ToValidUTF8(last, "?"), last)
	})
	tape := &textTape{}
	ctx := tape.call(time.Hour)
	_, err := ctx.Text("").WriteString(strings.Repeat("é", 100_000))
	require.NoError(t, err)
	require.Len(t, tape.events, 4, "three pieces of about 64 KiB, and the whole; the rest waits")
	ctx.End()
	require.Len(t, tape.events, 5)
}

// TestTextErrors: the errors of Publish stay.
func TestTextErrors(t *testing.T) {
	ctx := nodebus.NewContext(t.Context(), nodebus.CallInfo{})
	_, err := ctx.Text("").WriteString("x")
	require.ErrorContains(t, err, "does not publish")
	ctx.End()

	boom := errors.New("boom")
	tape := &textTape{err: boom}
	ctx = tape.call(time.Hour)
	for range 2 {
		n, err := ctx.Text("").WriteString("x")
		require.ErrorIs(t, err, boom)
		require.Zero(t, n)
		tape.err = nil
	}
	require.NoError(t, ctx.SendSync(nodebus.Status{}))
	ctx.End()
	require.Equal(t, []string{"status"}, tape.take())

	ctx = nodebus.NewContext(t.Context(), nodebus.CallInfo{Publisher: publishFunc(func(nodebus.Event) error { panic("boom") })})
	_, err = ctx.Text("").WriteString("x")
	require.ErrorContains(t, err, "boom")
	ctx.End()
}

type publishFunc func(nodebus.Event) error

func (f publishFunc) Publish(ev nodebus.Event) error { return f(ev) }

// TestTextByManyGoroutines: the pieces are in order, and together they are the text.
func TestTextByManyGoroutines(t *testing.T) {
	for _, pause := range []time.Duration{0, time.Nanosecond, time.Millisecond} {
		tape := &textTape{}
		ctx := tape.call(pause)
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				for range 500 {
					_, _ = fmt.Fprintln(ctx.Text(""), "a line")
					_ = ctx.SendSync(nodebus.Status{})
				}
			})
		}
		all.Wait()
		ctx.End()
		text := ""
		for _, ev := range tape.events {
			if p, ok := ev.Payload.(nodebus.TextPiece); ok {
				require.Equal(t, len(text), p.Offset)
				text += p.Piece
			}
		}
		require.Equal(t, strings.Repeat("a line\n", 4000), text)
		require.Equal(t, text, ctx.Text("").String()+text, "the text of an ended call is empty")
	}
}
