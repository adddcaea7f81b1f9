package bolt_test

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// said is a payload of a caller with any type and data.
type said struct{ typ, data string }

func (s said) EventType() string            { return s.typ }
func (s said) MarshalJSON() ([]byte, error) { return []byte(s.data), nil }

// framed is a payload of a caller with any binary frame.
type framed []byte

func (framed) EventType() string                       { return "framed" }
func (s framed) AppendBinary(b []byte) ([]byte, error) { return append(b, s...), nil }

// foreignPayloads returns payloads that look like standard payloads, and often are none.
func foreignPayloads() (all []nodebus.Payload) {
	for _, typ := range []string{
		"status", "executing", "execution_start", "executed", "progress", "progress_state", "execution_error", "execution_success",
		"execution_cached", "execution_interrupted", "node_failed", "waiting", "answered", "text_piece", "node_done", "", "mine",
	} {
		for _, data := range []string{`null`, `1`, `"x"`, `[]`, `{}`, `{"node":null,"prompt_id":"p"}`, `{"node":5,"prompt_id":7}`, `{"status":4}`} {
			all = append(all, said{typ, data}, nodebus.Custom{Type: typ, Data: json.RawMessage(data)})
		}
	}
	for _, frame := range []string{"", "a", "\x00\x00\x00\x01", "\x00\x00\x00\x01\x00\x00", "\x00\x00\x00\x03\x00\x00\x00\x63a", "\x00\x00\x00\x04\x00\x00\x00\x01{", "\x00\x00N\x42a"} {
		all = append(all, framed(frame))
	}
	return append(all, nodebus.Custom{Type: "1", Data: []byte{1}}, nodebus.Custom{Type: "4", Data: []byte{1}}, nodebus.Custom{Type: "9", Data: []byte{1}})
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
