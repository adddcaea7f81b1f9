package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// saidAs is a payload of a caller with any type and data.
type saidAs struct{ typ, data string }

func (s saidAs) EventType() string            { return s.typ }
func (s saidAs) MarshalJSON() ([]byte, error) { return []byte(s.data), nil }

// framed is a payload of a caller with any binary frame.
type framed []byte

func (framed) EventType() string                       { return "framed" }
func (s framed) AppendBinary(b []byte) ([]byte, error) { return append(b, s...), nil }

// foreignPayloads returns payloads that look like standard payloads; the tests of package
// stored have more of them.
func foreignPayloads() []nodebus.Payload {
	return []nodebus.Payload{
		saidAs{"executing", `{"node":null,"prompt_id":"p"}`},
		saidAs{"progress", `[]`},
		saidAs{"", `null`},
		saidAs{"mine", `{"x":1}`},
		nodebus.Custom{Type: "execution_success", Data: json.RawMessage(`{"prompt_id":"p"}`)},
		nodebus.Custom{Type: "9", Data: []byte{1}},
		framed(""), framed("\x00\x00\x00\x01"), framed("\x00\x00\x00\x04\x00\x00\x00\x01{"),
	}
}

// framesOf returns the frames that a log keeps.
func framesOf(t *testing.T, l nodebus.Log) (frames []string) {
	t.Helper()
	for _, ev := range everything(t, l).Events {
		f, err := nodebus.JSON.Encode(ev)
		require.NoError(t, err)
		frames = append(frames, fmt.Sprintf("%d %q %v %q", ev.ID, ev.PromptID, f.Binary, f.Data))
	}
	return frames
}

// caughtUp waits until a log has what other logs have stored.
func caughtUp(t *testing.T, l nodebus.Log) nodebus.Log {
	t.Helper()
	_, stop, err := l.Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	return l
}

// TestLogForeignPayloads checks that events with payloads of callers, whatever they look
// like, are the same in other processes, and that they do not end a prompt.
func TestLogForeignPayloads(t *testing.T) {
	opts := nats.Options{Name: newName()}
	l, other := open(t, shared, opts).Log(), open(t, shared, opts).Log()
	require.NoError(t, l.Append(about("p", nodebus.ExecutionStart{PromptID: "p"})))
	for _, p := range foreignPayloads() {
		require.NoError(t, l.Append(about("p", p)))
		require.NoError(t, l.Append(nodebus.Event{Broadcast: true, Payload: p}))
	}
	flush(t, l)
	want := framesOf(t, l)
	require.Len(t, want, 1+2*len(foreignPayloads()))
	require.Equal(t, want, framesOf(t, caughtUp(t, other)))
	require.NoError(t, other.Append(about("p", said(1))), "the prompt goes on")
}

// TestLogDeepPayloads checks that an event that encoding/json encodes and does not decode is
// refused: only this process would have it.
func TestLogDeepPayloads(t *testing.T) {
	opts := nats.Options{Name: newName()}
	l, other := open(t, shared, opts).Log(), open(t, shared, opts).Log()
	for n, fits := range map[int]bool{9_000: true, 20_000: false} {
		deep := any("x")
		for range n {
			deep = []any{deep}
		}
		for _, p := range []nodebus.Payload{nodebus.Custom{Type: "deep", Data: deep}, nodebus.Executed{PromptID: "p", Output: nodebus.UI{"x": {deep}}}} {
			err := l.Append(about("p", p))
			if fits {
				require.NoError(t, err)
				continue
			}
			var encode *nodebus.EncodeError
			require.ErrorAs(t, err, &encode)
			require.ErrorContains(t, err, "too deeply")
		}
	}
	flush(t, l)
	require.Len(t, framesOf(t, l), 2)
	require.Equal(t, framesOf(t, l), framesOf(t, caughtUp(t, other)))
}

// teller is a handler of a logger that calls a function.
type teller func()

func (teller) Enabled(context.Context, slog.Level) bool    { return true }
func (f teller) Handle(context.Context, slog.Record) error { f(); return nil }
func (f teller) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f teller) WithGroup(string) slog.Handler             { return f }

// TestForeignCode checks that a logger and a follower that panic, or end their goroutine,
// end neither the process nor the reader, and that a logger may close the bus.
func TestForeignCode(t *testing.T) {
	for name, f := range map[string]func(*nats.Bus){
		"panic":  func(*nats.Bus) { panic("of a caller") },
		"Goexit": func(*nats.Bus) { runtime.Goexit() },
		"Close":  func(bus *nats.Bus) { _ = bus.Close() },
	} {
		t.Run("logger: "+name, func(t *testing.T) {
			opts := nats.Options{Name: newName()}
			var bus *nats.Bus
			told := make(chan struct{})
			var once sync.Once
			opts.Logger = slog.New(teller(func() {
				defer once.Do(func() { close(told) })
				f(bus)
			}))
			bus = open(t, shared, opts)
			nc := connect(t, shared)
			require.NoError(t, nc.Publish(opts.Name+"_LOG.events", []byte("strange")))
			require.NoError(t, nc.Flush())
			<-told
			if name != "Close" {
				require.NoError(t, bus.Log().Append(about("p", said(1))))
				flush(t, bus.Log())
				require.Len(t, framesOf(t, bus.Log()), 1)
			}
			require.NoError(t, bus.Close())
		})
		if name == "Close" {
			continue // a follower must not call the log
		}
		t.Run("follower: "+name, func(t *testing.T) {
			bus := open(t, shared, nats.Options{Name: newName()})
			_, stop, err := bus.Log().Follow(func(nodebus.Event) { f(bus) })
			require.NoError(t, err)
			defer stop()
			ctx, end := context.WithTimeout(t.Context(), time.Minute)
			defer end()
			for n := range 3 {
				require.NoError(t, bus.Log().Append(about("p", said(n))))
				require.NoError(t, nats.Flush(ctx, bus.Log()))
			}
			require.Len(t, framesOf(t, bus.Log()), 3)
		})
	}
}
