package nodebus_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

var errMarshal = errors.New("does not want to")

// Types of payloads that cannot be encoded, each for a different reason.
type (
	failingJSON    struct{}
	panickyJSON    struct{}
	failingText    struct{ N panickyText }
	panickyText    struct{}
	panickyType    struct{}
	panickyKey     struct{}
	failingBytes   struct{}
	panickyBytes   struct{}
	ringPayload    struct{ Next *ringPayload }
	holePayload    struct{ C chan int }
	readingPayload struct{ Celsius float64 }
	sentNote       struct{ Text string } // can be encoded
	nilSafe        struct{ Text string } // can be encoded, unless it is a nil pointer
)

func (failingJSON) EventType() string    { return "test.failing" }
func (panickyJSON) EventType() string    { return "test.panicky" }
func (failingText) EventType() string    { return "test.text" }
func (panickyType) EventType() string    { panic("no name") }
func (panickyKey) EventType() string     { return "test.key" }
func (failingBytes) EventType() string   { return "test.bytes" }
func (panickyBytes) EventType() string   { return "test.bytes" }
func (ringPayload) EventType() string    { return "test.ring" }
func (holePayload) EventType() string    { return "test.hole" }
func (readingPayload) EventType() string { return "test.reading" }
func (sentNote) EventType() string       { return "test.note" }
func (*nilSafe) EventType() string       { return "test.nilsafe" }

func (failingJSON) MarshalJSON() ([]byte, error)           { return nil, errMarshal }
func (panickyJSON) MarshalJSON() ([]byte, error)           { panic("no JSON") }
func (panickyText) MarshalText() ([]byte, error)           { panic("no text") }
func (panickyKey) CoalesceKey() string                     { panic("no key") }
func (failingBytes) AppendBinary(b []byte) ([]byte, error) { return b, errMarshal }
func (panickyBytes) AppendBinary([]byte) ([]byte, error)   { panic("no bytes") }

type badPayload struct {
	name    string
	payload nodebus.Payload
	typ     string // the expected EncodeError.Type
	says    string
}

// badPayloads returns payloads that cannot be encoded.
func badPayloads() []badPayload { return append(badValues(), badTypes()...) }

// badValues returns payloads whose type can be encoded, but whose value cannot.
func badValues() []badPayload {
	knot := &ringPayload{}
	knot.Next = &ringPayload{Next: knot}
	list := []any{1, nil}
	list[1] = list
	tangle := map[string]any{}
	tangle["self"] = map[string]any{"again": tangle}
	return []badPayload{
		{"nil pointer to a payload of ours", (*nodebus.Progress)(nil), "*nodebus.Progress", "nil"},
		{"nil pointer to another's", (*sentNote)(nil), "*nodebus_test.sentNote", "nil"},
		{"nil pointer whose methods do not mind", (*nilSafe)(nil), "*nodebus_test.nilSafe", "nil pointer"},
		{"a list in itself that is shown", shownAsX(list), "nodebus.Executed", `ui "x": json: unsupported value: encountered a cycle`},
		{"a map in itself that is shown", shownAsX(tangle), "nodebus.Executed", `ui "x": json: unsupported value: encountered a cycle`},
		{"a channel beside a NaN", customOf([]any{math.NaN(), make(chan int)}), "nodebus.Custom", "chan int"},
		{"a pointer to itself", knot, "*nodebus_test.ringPayload", "cycle"},
		{"a pointer to itself in a field", *knot, "nodebus_test.ringPayload", "cycle"},
		{"a list in itself", customOf(list), "nodebus.Custom", "cycle"},
		{"a map in itself", customOf(tangle), "nodebus.Custom", "cycle"},
		{"JSON that is none", customOf(json.RawMessage(`{`)), "nodebus.Custom", "unexpected end of JSON input"},
		{"a number that is none", customOf(json.Number("many")), "nodebus.Custom", "many"},
		{"bytes of no type", nodebus.Custom{Type: "my.event", Data: []byte{1}}, "nodebus.Custom", `needs a number as its type, not "my.event"`},
		{"bytes of a type that is too large", nodebus.Custom{Type: "4294967296", Data: []byte{1}}, "nodebus.Custom", "4294967296"},
		{"bytes of the type of the envelope", nodebus.Custom{Type: "20034", Data: []byte{1}}, "nodebus.Custom", "type 20034 is reserved for frames with an envelope"},
		{"a schema that is no JSON", nodebus.Waiting{Name: "ok", Schema: json.RawMessage(`{`)}, "nodebus.Waiting", `the schema of question "ok" is not JSON: `},
		{"bytes of a negative type", nodebus.Custom{Type: "-1", Data: []byte(nil)}, "nodebus.Custom", "-1"},
	}
}

// badTypes returns payloads whose type cannot be encoded, whatever the value is, and
// payloads whose own methods fail.
func badTypes() []badPayload {
	return []badPayload{
		{"a channel that is shown", shownAsX(make(chan int)), "nodebus.Executed", `ui "x": json: unsupported type: chan int`},
		{"a channel", customOf(make(chan int)), "nodebus.Custom", "chan int"},
		{"a channel in a field", holePayload{}, "nodebus_test.holePayload", "chan int"},
		{"a function", customOf(func() {}), "nodebus.Custom", "func()"},
		{"a map whose keys are no names", customOf(map[complex128]int{1: 1}), "nodebus.Custom", "map[complex128]int"},
		{"a marshaller that fails", failingJSON{}, "nodebus_test.failingJSON", errMarshal.Error()},
		{"a marshaller that panics", panickyJSON{}, "nodebus_test.panickyJSON", "panic: no JSON"},
		{"a marshaller that panics, shown", shownAsX(panickyJSON{}), "nodebus.Executed", "panic: no JSON"},
		{"a marshaller that panics, deep inside", customOf(map[string]any{"a": []any{panickyJSON{}}}), "nodebus.Custom", "panic: no JSON"},
		{"a text marshaller that panics", failingText{}, "nodebus_test.failingText", "panic: no text"},
		{"a name that panics", panickyType{}, "nodebus_test.panickyType", "panic: no name"},
		{"an appender that fails", failingBytes{}, "nodebus_test.failingBytes", errMarshal.Error()},
		{"an appender that panics", panickyBytes{}, "nodebus_test.panickyBytes", "panic: no bytes"},
	}
}

func customOf(v any) nodebus.Custom { return nodebus.Custom{Type: "test.custom", Data: v} }

func shownAsX(v any) nodebus.Executed {
	return nodebus.Executed{Place: nodebus.Place{UniqueID: "1"}, Output: nodebus.UI{"x": {1, v}}}
}

func (b badPayload) is(t *testing.T, err error) {
	var named *nodebus.EncodeError
	require.ErrorAs(t, err, &named, b.name)
	require.Equal(t, b.typ, named.Type, b.name)
	require.ErrorContains(t, err, "nodebus: cannot encode "+b.typ+": ", b.name)
	require.ErrorContains(t, err, b.says, b.name)
}

func TestEncodeErrors(t *testing.T) {
	for _, b := range badPayloads() {
		for bits := range uint8(codecVariants) {
			f, err := codecVariant(bits).Encode(nodebus.Event{ID: 1, Payload: b.payload})
			b.is(t, err)
			require.Zero(t, f)
		}
	}
	_, err := nodebus.JSON.Encode(nodebus.Event{Broadcast: true, Payload: failingJSON{}})
	require.ErrorIs(t, err, errMarshal, "the error of the marshaller is wrapped")
}

func TestEncodeNothing(t *testing.T) {
	nothing := badPayload{"nil", nil, "<nil>", "payload is nil"}
	_, err := nodebus.JSON.Encode(nodebus.Event{})
	nothing.is(t, err)
	h := nodebus.NewHub(nil)
	defer func() { _ = h.Close() }()
	nothing.is(t, h.Publish(nodebus.Event{PromptID: "p"}))
	nothing.is(t, h.Broadcast(nil))
}

// frameTape is a transport that keeps the frames it receives.
type frameTape struct{ frames []nodebus.Frame }

func (f *frameTape) Write(_ context.Context, frames []nodebus.Frame) error {
	f.frames = append(f.frames, frames...)
	return nil
}

func (*frameTape) Close(error) error { return nil }

// taped runs publish on a hub with one session of "me" for each codec, and returns the
// frames of each session. It must run in a bubble.
func taped(t *testing.T, publish func(h *nodebus.Hub), codecs ...nodebus.Codec) [][]nodebus.Frame {
	h := nodebus.NewHub(nil)
	defer func() { _ = h.Close() }() // also if the test fails
	tapes := make([]*frameTape, len(codecs))
	for i, c := range codecs {
		tapes[i] = &frameTape{}
		s := h.Join("me", &nodebus.SessionOptions{Codec: c})
		go func() { _ = s.Serve(context.Background(), tapes[i]) }()
	}
	synctest.Wait()
	publish(h)
	require.NoError(t, h.Close())
	synctest.Wait()
	frames := make([][]nodebus.Frame, len(codecs))
	for i := range tapes {
		frames[i] = tapes[i].frames
	}
	return frames
}

// TestEncodeErrorIsTheSenders checks that the sender of a payload that cannot be
// encoded receives the error, and that clients notice nothing.
func TestEncodeErrorIsTheSenders(t *testing.T) {
	bad := append(badPayloads(), badPayload{"a key that panics", panickyKey{}, "nodebus_test.panickyKey", "panic: no key"})
	bubble.Test(t, func(t *testing.T) {
		got := taped(t, func(h *nodebus.Hub) {
			for _, b := range bad {
				b.is(t, h.Publish(nodebus.Event{Broadcast: true, Payload: b.payload}))
				b.is(t, h.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: b.payload}))
				b.is(t, h.Broadcast(b.payload))
				b.is(t, h.SendSync(b.payload, "me", "you"))
				require.NoError(t, h.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: sentNote{b.name}}))
			}
		}, nodebus.JSON, nodebus.JSONCodec{Envelope: true})
		for _, frames := range got {
			require.Len(t, frames, len(bad))
			for i, f := range frames {
				require.Contains(t, string(f.Data), string(marshalled(t, sentNote{bad[i].name})))
			}
		}
	})
}

// TestEncodeIsInTheSendersCall checks that clients of every codec receive the value as
// it was when Publish was called, even if the sender changes the value after Publish
// has returned.
func TestEncodeIsInTheSendersCall(t *testing.T) {
	list, image, raw := []any{"a"}, []byte("image"), []byte("raw")
	nodes, states := []string{"1"}, []nodebus.NodeState{{Place: nodebus.Place{UniqueID: "1"}}}
	flags, inputs := map[string]any{"a": 1}, map[string][]any{"a": {1}}
	text := &sentNote{"a"}
	payloads := []nodebus.Payload{
		nodebus.Custom{Type: "my.list", Data: list},
		nodebus.Custom{Type: "9", Data: raw},
		nodebus.Executed{Output: nodebus.UI{"text": list}},
		nodebus.Preview{ImageType: "image/png", Image: image},
		nodebus.ExecutionCached{Nodes: nodes},
		nodebus.ExecutionInterrupted{Executed: nodes},
		nodebus.ExecutionError{CurrentInputs: inputs},
		nodebus.ProgressState{}.With(states...),
		nodebus.Custom{Type: "my.flags", Data: flags},
		text,
	}
	codecs := make([]nodebus.Codec, codecVariants)
	want := make([][][]byte, codecVariants)
	for bits := range uint8(codecVariants) {
		c := codecVariant(bits)
		c.Envelope = false // the hub chooses the IDs
		codecs[bits] = c
		for _, p := range payloads {
			f, err := c.Encode(nodebus.Event{Broadcast: true, Payload: p})
			require.NoError(t, err)
			want[bits] = append(want[bits], f.Data)
		}
	}
	bubble.Test(t, func(t *testing.T) {
		past := &frameTape{}
		got := taped(t, func(h *nodebus.Hub) {
			defer watchPast(t, h, past)
			for _, p := range payloads {
				require.NoError(t, h.Publish(nodebus.Event{PromptID: "p", To: "me", Payload: p}))
			}
			list[0], image[0], raw[0], nodes[0], states[0].UniqueID, text.Text = "b", 'b', 'b', "b", "b", "b"
			flags["a"], inputs["a"][0] = 2, 2
		}, codecs...)
		for i, frames := range got {
			require.Len(t, frames, len(payloads))
			for j, f := range frames {
				require.Equal(t, string(want[i][j]), string(f.Data), "%+v", codecs[i])
			}
		}
		var watched [][]byte
		for _, f := range past.frames {
			watched = append(watched, f.Data)
		}
		require.Subset(t, want[0], watched[:len(watched)-1], "a session that watches the prompt later")
		require.Contains(t, watched, want[0][len(want[0])-1])
	})
}

// watchPast lets a new session watch the prompt "p".
func watchPast(t *testing.T, h *nodebus.Hub, got *frameTape) {
	s := h.Join("watcher", &nodebus.SessionOptions{May: func(string) bool { return true }})
	go func() { _ = s.Serve(context.Background(), got) }()
	require.NoError(t, s.Watch("p"))
	synctest.Wait()
}

// TestHubSendsWhatCodecsEncode checks the frames that the hub derives from the frame of
// another codec: they are equal to the frames that the codec itself makes.
func TestHubSendsWhatCodecsEncode(t *testing.T) {
	g := newWireGen(5)
	payloads := make([]nodebus.Payload, 100)
	for i := range payloads {
		payloads[i] = g.event().Payload
	}
	for bits := range uint8(codecVariants) {
		for _, codecs := range [][]nodebus.Codec{{nodebus.JSON, codecVariant(bits)}, {codecVariant(bits), nodebus.JSON}} {
			bubble.Test(t, func(t *testing.T) {
				got := taped(t, func(h *nodebus.Hub) {
					for _, p := range payloads {
						require.NoError(t, h.Publish(nodebus.Event{To: "me", Payload: p}))
						synctest.Wait() // so that no newer event replaces it in the queue
					}
				}, codecs...)
				for i, frames := range got {
					due := payloads
					if !codecs[i].(nodebus.JSONCodec).Envelope {
						due = slices.DeleteFunc(slices.Clone(due), isExtension)
					}
					require.Equal(t, len(due), len(frames)) //nolint:testifylint // Len prints all frames
					for j, f := range frames {
						want, err := codecs[i].Encode(nodebus.Event{ID: f.ID, Epoch: f.Epoch, Time: time.Now(), Payload: due[j]})
						require.NoError(t, err)
						require.Equal(t, string(want.Data), string(f.Data), "%+v", codecs[i])
						require.Equal(t, want.Type, f.Type)
						require.Equal(t, want.Binary, f.Binary)
						require.Equal(t, want.Outcome, f.Outcome)
					}
				}
			})
		}
	}
}

// isExtension reports whether only clients that ask for the envelope receive p.
func isExtension(p nodebus.Payload) bool {
	switch p.(type) {
	case nodebus.NodeFailed, nodebus.Waiting, nodebus.Answered, nodebus.TextPiece, nodebus.NodeDone:
		return true
	}
	return false
}
