package nodebus_test

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// mutable holds payloads that point to data. spoil changes the data, as a sender may do
// after Publish.
var mutable = map[string]func() (p nodebus.Payload, spoil func()){
	"struct with a slice": func() (nodebus.Payload, func()) {
		p := withSlice{Lines: []string{"a", "b"}}
		return p, func() { p.Lines[0] = "spoiled" }
	},
	"struct with a map": func() (nodebus.Payload, func()) {
		p := withMap{ByName: map[string]int{"a": 1}}
		return p, func() { p.ByName["a"] = 666 }
	},
	"struct with a pointer": func() (nodebus.Payload, func()) {
		n := 1
		return withPointer{N: &n}, func() { n = 666 }
	},
	"pointer to a struct": func() (nodebus.Payload, func()) {
		p := &pointed{Name: "a"}
		return p, func() { p.Name = "spoiled" }
	},
	"pointer that coalesces": func() (nodebus.Payload, func()) {
		p := &titled{Type: "titled", Name: "a"}
		return p, func() { p.Type, p.Name = "spoiled", "spoiled" }
	},
	"custom with a map": func() (nodebus.Payload, func()) {
		data := map[string]any{"a": []any{1}}
		return nodebus.Custom{Type: "c", Data: data}, func() { data["a"] = 666 }
	},
	"custom with bytes": func() (nodebus.Payload, func()) {
		data := []byte("abc")
		return nodebus.Custom{Type: "9", Data: data}, func() { copy(data, "XXX") }
	},
	"preview": func() (nodebus.Payload, func()) {
		img := []byte("image")
		return nodebus.Preview{Place: nodebus.Place{UniqueID: "1"}, ImageType: "image/png", Image: img}, func() { copy(img, "XXXXX") }
	},
	"progress state": func() (nodebus.Payload, func()) {
		nodes := []nodebus.NodeState{{Place: nodebus.Place{UniqueID: "1"}, State: "running", Max: 1}}
		return nodebus.ProgressState{}.With(nodes...), func() { nodes[0].State = "spoiled" }
	},
	"executed": func() (nodebus.Payload, func()) {
		ui := nodebus.UI{"text": {"a"}}
		return nodebus.Executed{Place: nodebus.Place{UniqueID: "1"}, Output: ui}, func() { ui["text"][0] = "spoiled" }
	},
	"execution cached": func() (nodebus.Payload, func()) {
		nodes := []string{"1"}
		return nodebus.ExecutionCached{Nodes: nodes}, func() { nodes[0] = "spoiled" }
	},
	"execution error": func() (nodebus.Payload, func()) {
		in := map[string][]any{"a": {1}}
		return nodebus.ExecutionError{NodeID: "1", CurrentInputs: in}, func() { in["a"][0] = "spoiled" }
	},
}

type (
	withSlice   struct{ Lines []string }
	withMap     struct{ ByName map[string]int }
	withPointer struct{ N *int }
	pointed     struct{ Name string }
	titled      struct{ Type, Name string }
)

func (withSlice) EventType() string   { return "slice" }
func (withMap) EventType() string     { return "map" }
func (withPointer) EventType() string { return "pointer" }
func (*pointed) EventType() string    { return "pointed" }
func (n *titled) EventType() string   { return n.Type }
func (n *titled) CoalesceKey() string { return n.Name }

func TestContract1PublishEncodesBeforeItReturns(t *testing.T) {
	for name, fresh := range mutable {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				first := h.Join("x", nil) // joined before the event, to know an earlier ID
				publishedThen(t, h, fresh, first)
			})
		})
	}
}

// publishedThen publishes a payload, then changes its data, and only then lets the
// sessions write. All sessions must write the original data.
func publishedThen(t *testing.T, h *nodebus.Hub, fresh func() (nodebus.Payload, func()), first *nodebus.Session) {
	say(t, h, "cursor")
	plain := &tape{}
	serveOn(t, first, plain)
	synctest.Wait()
	cursor := plain.frames[0].ID

	ours := nodebus.JSONCodec{Envelope: true, BarePreviews: true}
	own := &ownCodec{}
	codecs := map[*nodebus.Session]nodebus.Codec{
		h.Join("a", nil): nodebus.JSON,
		h.Join("b", &nodebus.SessionOptions{Codec: ours}): ours,
		h.Join("c", &nodebus.SessionOptions{Codec: own}):  own,
	}
	p, spoil := fresh()
	var want []nodebus.Frame // frames of Publish and of Broadcast, in the codec of each session
	require.NoError(t, h.Publish(nodebus.Event{Broadcast: true, Payload: p}))
	require.NoError(t, h.Broadcast(p))
	spoil()
	synctest.Wait()

	switched := h.Join("d", &nodebus.SessionOptions{Since: at(h, cursor)})
	late := &ownCodec{}
	switched.SetCodec(late)
	codecs[switched] = late
	codecs[h.Join("e", &nodebus.SessionOptions{Since: at(h, cursor), Codec: ours})] = ours
	p, _ = fresh()
	for s, c := range codecs {
		got := &tape{}
		serveOn(t, s, got)
		synctest.Wait()
		want = want[:0]
		for n := range uint64(2) {
			f, err := c.Encode(nodebus.Event{ID: cursor + 1 + n, Epoch: h.Epoch(), Time: time.Now(), Payload: p})
			require.NoError(t, err)
			want = append(want, f)
		}
		if _, replaced := p.(nodebus.Coalescer); replaced {
			want = want[1:]
		}
		require.Equal(t, bare(want), bare(got.frames), s.Client())
	}
}

// TestHubDoesNotUseTheVariableJSON checks that an assignment to JSON does not change
// the hub.
func TestHubDoesNotUseTheVariableJSON(t *testing.T) {
	defer func(c nodebus.Codec) { nodebus.JSON = c }(nodebus.JSON)
	nodebus.JSON = &ownCodec{fail: func() error { return errors.New("refused") }}
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		def, ids := &tape{}, &tape{}
		serveOn(t, h.Join("x", nil), def)
		serveOn(t, h.Join("x", &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}}), ids)
		p, spoil := mutable["struct with a slice"]()
		require.NoError(t, h.Broadcast(p))
		spoil()
		synctest.Wait()
		own := &ownCodec{}
		serveOn(t, h.Join("x", &nodebus.SessionOptions{Since: at(h, def.frames[0].ID-1), Codec: own}), &tape{})
		synctest.Wait()
		require.Len(t, own.asked, 1)
		require.JSONEq(t, `{"type":"slice","data":{"Lines":["a","b"]}}`, string(def.frames[0].Data))
		require.Contains(t, string(ids.frames[0].Data), `"a","b"`)
	})
}

func TestContract1PublishNeverWaitsForClients(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		stuck := newPausedTape()
		serveOn(t, h.Join("stuck", nil), stuck)
		h.Join("never served", nil)
		begin := time.Now()
		for n := range 5000 {
			require.NoError(t, h.Publish(nodebus.Event{Broadcast: true, Payload: gauge{"g", n}}))
			require.NoError(t, h.SendSync(word("w"), "stuck", "never served"))
		}
		synctest.Wait()
		require.Zero(t, time.Since(begin))
		require.Empty(t, stuck.frames)
	})
}

func TestContract1PublishFailsForWhatCannotBeEncoded(t *testing.T) {
	ring := map[string]any{}
	ring["ring"] = ring
	for name, p := range map[string]nodebus.Payload{
		"nil":                    nil,
		"channel":                nodebus.Custom{Type: "c", Data: make(chan int)},
		"ring":                   nodebus.Custom{Type: "c", Data: ring},
		"bytes without a number": nodebus.Custom{Type: "c", Data: []byte("x")},
		"failing marshaller":     failing{errors.New("no")},
		"panicking marshaller":   failing{},
		"panicking type":         &panicking{typ: true},
		"panicking key":          &panicking{key: true},
		"nil pointer":            (*panicking)(nil),
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				got := &tape{}
				serveOn(t, h.Join("alice", nil), got)
				for _, err := range []error{h.Publish(nodebus.Event{Broadcast: true, Payload: p}), h.SendSync(p, "alice", "bob")} {
					var as *nodebus.EncodeError
					require.ErrorAs(t, err, &as)
				}
				say(t, h, "fine")
				synctest.Wait()
				require.Equal(t, []string{"fine"}, got.said(t))
			})
		})
	}
}

type (
	failing   struct{ err error }
	panicking struct{ typ, key bool }
)

func (failing) EventType() string { return "failing" }
func (f failing) MarshalJSON() ([]byte, error) {
	if f.err == nil {
		panic("no")
	}
	return nil, f.err
}

func (p *panicking) EventType() string {
	if p.typ {
		panic("no")
	}
	return "panicking"
}

func (p *panicking) CoalesceKey() string {
	if p.key {
		panic("no")
	}
	return ""
}

func TestContract1ClosedHubRefuses(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		require.NoError(t, h.Close())
		require.ErrorIs(t, h.Publish(nodebus.Event{Broadcast: true, Payload: word("w")}), nodebus.ErrClosed)
		require.ErrorIs(t, h.SendSync(word("w"), "alice"), nodebus.ErrClosed)
	})
}
