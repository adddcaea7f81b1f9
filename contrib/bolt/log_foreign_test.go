package bolt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"runtime"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// said is a payload of a caller with any type and data.
type said struct{ typ, data string }

func (s said) EventType() string            { return s.typ }
func (s said) MarshalJSON() ([]byte, error) { return []byte(s.data), nil }

// framed is a payload of a caller with any binary frame.
type framed []byte

func (framed) EventType() string                       { return "framed" }
func (s framed) AppendBinary(b []byte) ([]byte, error) { return append(b, s...), nil }

// foreignPayloads returns payloads that look like standard payloads; the tests of package
// stored have more of them.
func foreignPayloads() []nodebus.Payload {
	return []nodebus.Payload{
		said{"executing", `{"node":null,"prompt_id":"p"}`},
		said{"progress", `[]`},
		said{"", `null`},
		said{"mine", `{"x":1}`},
		nodebus.Custom{Type: "execution_success", Data: json.RawMessage(`{"prompt_id":"p"}`)},
		nodebus.Custom{Type: "9", Data: []byte{1}},
		framed(""), framed("\x00\x00\x00\x01"), framed("\x00\x00\x00\x04\x00\x00\x00\x01{"),
	}
}

// TestLogForeignPayloads checks that events with payloads of callers, whatever they look
// like, are the same after the file was opened again, and that they do not end a prompt.
func TestLogForeignPayloads(t *testing.T) {
	path := newPath(t)
	db := open(t, path, nil)
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: db.Log()})
	publish(t, hub, starting("p"))
	for _, p := range foreignPayloads() {
		publish(t, hub, about("p", p), nodebus.Event{Broadcast: true, Payload: p})
	}
	require.NoError(t, hub.Close())
	want := framesOf(t, db.Log())
	require.Len(t, want, 1+2*len(foreignPayloads()))
	require.NoError(t, db.Close())

	db = open(t, path, nil)
	require.Equal(t, want, framesOf(t, db.Log()))
	publish(t, newHub(t, db), about("p", word("on")))
}

// TestLogDeepPayloads checks that an event that encoding/json encodes and does not decode is
// refused, and that the file can be opened again.
func TestLogDeepPayloads(t *testing.T) {
	path := newPath(t)
	db := open(t, path, nil)
	hub := newHub(t, db)
	for n, fits := range map[int]bool{9_000: true, 20_000: false} {
		deep := any("x")
		for range n {
			deep = []any{deep}
		}
		for _, p := range []nodebus.Payload{nodebus.Custom{Type: "deep", Data: deep}, nodebus.Executed{PromptID: "p", Output: nodebus.UI{"x": {deep}}}} {
			err := hub.Publish(about("p", p))
			if fits {
				require.NoError(t, err)
				continue
			}
			var encode *nodebus.EncodeError
			require.ErrorAs(t, err, &encode)
			require.ErrorContains(t, err, "too deeply")
		}
	}
	require.NoError(t, hub.Close())
	want := framesOf(t, db.Log())
	require.Len(t, want, 2)
	require.NoError(t, db.Close())
	require.Equal(t, want, framesOf(t, open(t, path, nil).Log()))
}

// framesOf returns the frames that a log keeps.
func framesOf(t *testing.T, log nodebus.Log) (frames []string) {
	t.Helper()
	page, err := log.Read(nodebus.LogQuery{UpTo: 1 << 60, Own: true, Client: "ann", All: true})
	require.NoError(t, err)
	for _, ev := range page.Events {
		f, err := nodebus.JSONCodec{}.Encode(ev)
		require.NoError(t, err)
		frames = append(frames, fmt.Sprintf("%d %q %v %q", ev.ID, ev.PromptID, f.Binary, f.Data))
	}
	return frames
}

// teller is a handler of a logger that calls a function.
type teller func()

func (teller) Enabled(context.Context, slog.Level) bool    { return true }
func (f teller) Handle(context.Context, slog.Record) error { f(); return nil }
func (f teller) WithAttrs([]slog.Attr) slog.Handler        { return f }
func (f teller) WithGroup(string) slog.Handler             { return f }

// TestLogForeignCode checks that a logger and a follower that panic, or end their
// goroutine, end neither the process nor the goroutine that writes, and that a logger may
// close the file.
func TestLogForeignCode(t *testing.T) {
	for name, f := range map[string]func(*bolt.DB){
		"panic":  func(*bolt.DB) { panic("of a caller") },
		"Goexit": func(*bolt.DB) { runtime.Goexit() },
		"Close":  func(db *bolt.DB) { _ = db.Close() },
	} {
		t.Run("logger: "+name, func(t *testing.T) {
			var db *bolt.DB
			told := make(chan struct{})
			var once sync.Once
			tell := func() {
				once.Do(func() {
					defer close(told)
					f(db)
				})
			}
			db, err := bolt.Open(newPath(t), &bolt.Options{Logger: slog.New(teller(tell))})
			require.NoError(t, err)
			require.NoError(t, db.Log().Append(starting("p")))
			require.Error(t, db.Begin(func(*bbolt.Tx) error { panic("page 7 already freed") }).Wait(t.Context()))
			if err := db.Log().Append(about("p", word("waits"))); err != nil { // the first event waits already
				require.ErrorIs(t, err, nodebus.ErrClosed)
			}
			<-told
			require.ErrorIs(t, db.Close(), bolt.ErrWrite)
		})
		if name == "Close" {
			continue // a follower must not call the log
		}
		t.Run("follower: "+name, func(t *testing.T) {
			db := open(t, newPath(t), nil)
			_, stop, err := db.Log().Follow(func(nodebus.Event) { f(db) })
			require.NoError(t, err)
			defer stop()
			require.NoError(t, db.Log().Append(starting("p")))
			require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "p"}, nil))
			require.Len(t, framesOf(t, db.Log()), 1)
		})
	}
}
