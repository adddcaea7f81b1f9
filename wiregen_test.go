package nodebus_test

import (
	"bytes"
	"encoding/json"
	"math"
	"math/rand/v2"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// wireGen makes random events and parts of events. The same seed makes the same events.
type wireGen struct{ *rand.Rand }

func newWireGen(seed uint64) wireGen { return wireGen{rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))} }

// wild returns a string with any bytes, also bytes that are not UTF-8.
func (g wireGen) wild() string {
	var b []byte
	for range g.IntN(12) {
		switch g.IntN(7) {
		case 0, 1:
			b = append(b, byte(g.IntN(128)))
		case 2:
			b = append(b, "<>&\"\\/\b\f\n\r\t"[g.IntN(11)])
		case 3:
			b = append(b, string(rune(0x2026+g.IntN(6)))...) // includes the line separators of JavaScript
		case 4:
			b = append(b, string(rune(g.IntN(0x110000)))...)
		case 5:
			b = append(b, byte(g.IntN(256)))
		case 6:
			b = append(b, "é→😀\ufffd\u0000"[g.IntN(13):]...)
		}
	}
	return string(b)
}

// text returns a string that JSON does not change.
func (g wireGen) text() string { return strings.ToValidUTF8(g.wild(), "?") }

// number returns a finite float, often a number near which its JSON form changes.
func (g wireGen) number() float64 {
	switch g.IntN(6) {
	case 0:
		return float64(g.IntN(100))
	case 1:
		return float64(g.Int64()) * float64(1-2*g.IntN(2))
	case 2:
		return g.NormFloat64()
	case 3:
		edges := []float64{0, math.Copysign(0, -1), 1e-6, 9.999e-7, 1e-9, 1e-10, 1e15, 1e20, 1e21, 1 << 53, math.MaxFloat64, math.SmallestNonzeroFloat64}
		return edges[g.IntN(len(edges))]
	case 4:
		return math.Round(g.NormFloat64() * 1e6)
	}
	for {
		if f := math.Float64frombits(g.Uint64()); !math.IsNaN(f) && !math.IsInf(f, 0) {
			return f
		}
	}
}

// maybe returns s or "".
func (g wireGen) maybe(s string) string {
	if g.IntN(3) == 0 {
		return ""
	}
	return s
}

func (g wireGen) texts() []string {
	list := make([]string, g.IntN(4))
	for i := range list {
		list[i] = g.text()
	}
	return list
}

// plain returns a value that JSON does not change.
func (g wireGen) plain(depth int) any {
	n := 6
	if depth <= 0 {
		n = 4
	}
	switch g.IntN(n) {
	case 0:
		return nil
	case 1:
		return g.IntN(2) == 0
	case 2:
		return g.number()
	case 3:
		return g.text()
	case 4:
		return g.plainList(depth - 1)
	}
	m := map[string]any{}
	for range g.IntN(4) {
		m[g.text()] = g.plain(depth - 1)
	}
	return m
}

func (g wireGen) plainList(depth int) []any {
	list := make([]any, g.IntN(4))
	for i := range list {
		list[i] = g.plain(depth)
	}
	return list
}

func (g wireGen) lists() map[string][]any {
	if g.IntN(5) == 0 {
		return nil
	}
	m := map[string][]any{}
	for range g.IntN(4) {
		m[g.text()] = g.plainList(3)
	}
	return m
}

type shownAs string

type shownPoint struct {
	X, Y float32
	Note string `json:"note,omitempty"`
	self *shownPoint
}

// value returns a value that a node may show.
func (g wireGen) value(depth int) any {
	switch g.IntN(21) {
	case 20:
		return []float64{math.NaN(), math.Inf(1), math.Inf(-1)}[g.IntN(3)]
	case 0:
		return g.wild()
	case 1:
		return g.number()
	case 2:
		return int(g.Int64())
	case 3:
		return g.Uint64()
	case 4:
		return float32(g.NormFloat64())
	case 5:
		return nodebus.File{Filename: g.wild(), Subfolder: g.wild(), Type: g.wild()}
	case 6:
		return &nodebus.File{Filename: g.wild()}
	case 7:
		return []any(nil)
	case 8:
		return map[string]any{g.wild(): g.value(depth - 1), g.wild(): g.value(depth - 1)}
	case 9:
		return []string{g.wild(), g.wild()}
	case 10:
		return json.Number(strconv.FormatUint(g.Uint64(), 10))
	case 11:
		return json.RawMessage(` { "a" : [ "<\u2028" , 1.0 ] } `)
	case 12:
		return []byte(g.wild())
	case 13:
		return shownAs(g.wild())
	case 14:
		return time.Unix(g.Int64N(1<<32), g.Int64N(1e9)).UTC()
	case 15:
		return shownPoint{X: g.Float32(), Note: g.wild(), self: &shownPoint{}}
	case 16:
		return map[int]nodebus.Link{g.IntN(10): {Node: g.wild(), Slot: g.IntN(3)}, -1: {}}
	}
	if depth <= 0 {
		return g.plain(0)
	}
	list := make([]any, g.IntN(4))
	for i := range list {
		list[i] = g.value(depth - 1)
	}
	return list
}

func (g wireGen) nodeStates(text func() string) (states []nodebus.NodeState) {
	for range g.IntN(6) {
		states = append(states, nodebus.NodeState{
			Value: g.number(), Max: g.number(), State: text(), Place: nodebus.Place{
				UniqueID:  text(),
				DisplayID: text(), ParentID: g.maybe(text()), RealID: text(),
			},
		})
	}
	return states
}

// event returns an event whose payload the wire does not change.
func (g wireGen) event() nodebus.Event {
	prompt, ms := g.text(), g.Int64()
	ev := nodebus.Event{
		ID: g.Uint64(), Epoch: g.epoch(), Time: time.UnixMilli(ms), To: "me",
		PromptID: prompt, Attempt: g.attempt(),
	}
	switch g.IntN(16) {
	case 0:
		ev.Payload = nodebus.Status{QueueRemaining: int(g.Int64()), SID: g.maybe(g.text())}
	case 1:
		ev.Payload = nodebus.ExecutionStart{PromptID: prompt, Timestamp: ms, Attempt: g.attempt()}
	case 2:
		ev.Payload = nodebus.ExecutionCached{Nodes: g.texts(), PromptID: prompt, Timestamp: ms}
	case 3:
		ev.Payload = nodebus.Executing{UniqueID: g.maybe(g.text()), DisplayID: g.maybe(g.text()), PromptID: prompt}
	case 4:
		ev.Payload = clampedProgress(nodebus.Progress{Value: g.number(), Max: g.number(), PromptID: prompt, UniqueID: g.maybe(g.text())})
	case 5:
		ev.Payload = nodebus.ProgressState{PromptID: prompt}.With(g.nodeStates(g.text)...)
	case 6:
		ev.Payload = nodebus.Executed{Place: nodebus.Place{UniqueID: g.text(), DisplayID: g.text(), ParentID: "x", RealID: "y"}, Output: g.lists(), PromptID: prompt}
	case 7:
		ev.Payload = nodebus.ExecutionSuccess{PromptID: prompt, Timestamp: ms}
	case 8:
		ev.Payload = nodebus.ExecutionError{
			PromptID: prompt, NodeID: g.text(), Class: g.text(), Executed: g.texts(), ExceptionMessage: g.text(), ExceptionType: g.text(),
			Traceback: g.texts(), CurrentInputs: g.lists(), CurrentOutputs: g.texts(), Timestamp: int64(g.IntN(2)) * ms,
		}
	case 9:
		ev.Payload = nodebus.ExecutionInterrupted{PromptID: prompt, NodeID: g.text(), Class: g.text(), Executed: g.texts(), Timestamp: ms}
	case 10:
		ev.Payload = nodebus.Gap{Since: g.Uint64(), Next: g.Uint64()}
		ev.PromptID = ""
	case 11:
		ev.Payload = nodebus.Preview{
			Place: g.place(), PromptID: prompt,
			ImageType: []string{"image/jpeg", "image/png", "image/webp"}[g.IntN(3)], Image: []byte(g.wild()),
		}
	case 12: // the frame holds the bytes of these strings without change
		ev.PromptID = g.wild()
		ev.Payload = nodebus.ProgressText{PromptID: ev.PromptID, UniqueID: g.wild(), Text: g.wild()}
	default:
		ev.Payload = g.extension(prompt)
	}
	return ev
}

// epoch returns the epoch of a log. It may be empty.
func (g wireGen) epoch() string {
	const letters = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
	b := make([]byte, g.IntN(44))
	for i := range b {
		b[i] = letters[g.IntN(len(letters))]
	}
	return string(b)
}

// attempt returns 0 or a number above 1. The wire leaves out attempt 1.
func (g wireGen) attempt() int { return []int{0, 0, 2, 3, 1 << 40}[g.IntN(5)] }

// place returns a place that the wire does not change.
func (g wireGen) place() nodebus.Place {
	return nodebus.Place{UniqueID: g.text(), DisplayID: g.text(), ParentID: g.maybe(g.text()), RealID: g.text()}
}

// extension returns a payload that ComfyUI does not have.
func (g wireGen) extension(prompt string) nodebus.Payload {
	switch g.IntN(9) {
	case 0:
		return nodebus.NodeFailed{
			Place: g.place(), PromptID: prompt, Class: g.text(), ExceptionMessage: g.text(), ExceptionType: g.text(),
			Traceback: g.texts(), Attempt: g.attempt(),
		}
	case 1:
		w := nodebus.Waiting{Place: g.place(), PromptID: prompt, Name: g.text(), Deadline: int64(g.IntN(2)) * g.Int64()}
		if g.IntN(3) > 0 {
			w.Schema = g.json()
		}
		return w
	case 2:
		return nodebus.Answered{Place: g.place(), PromptID: prompt, Name: g.text(), Result: g.text()}
	case 3:
		return nodebus.TextPiece{Place: g.place(), PromptID: prompt, Name: g.text(), Offset: int(g.Int64()), Piece: g.text()}
	case 4:
		return nodebus.NodeDone{Place: g.place(), PromptID: prompt, Duration: g.duration(), Cached: g.IntN(2) == 0, Attempt: g.attempt()}
	case 5:
		return nodebus.Watching{PromptID: prompt, Watching: g.IntN(2) == 0, Error: g.maybe(g.text())}
	case 6:
		return nodebus.Overall{PromptID: prompt, Value: g.number()}
	}
	return g.custom()
}

// duration returns a duration that the wire does not change: fewer than 26 days, or whole
// milliseconds.
func (g wireGen) duration() time.Duration {
	if g.IntN(5) == 0 {
		return time.Duration(g.Int64N(math.MaxInt64/int64(time.Millisecond)-1)) * time.Millisecond
	}
	return time.Duration(g.Int64N(1<<51) >> g.IntN(51))
}

// json returns JSON in the form that json.Marshal writes.
func (g wireGen) json() json.RawMessage {
	data, err := json.Marshal(g.plain(4))
	if err != nil {
		panic(err)
	}
	return data
}

func (g wireGen) custom() nodebus.Payload {
	if g.IntN(2) == 0 {
		return nodebus.Custom{Type: "my." + g.text(), Data: g.json()}
	}
	for {
		if n := 5 + g.Uint64N(1<<32-5); n != 20034 { // the type of the envelope
			return nodebus.Custom{Type: strconv.FormatUint(n, 10), Data: []byte(g.wild())}
		}
	}
}

// readJSON decodes data and keeps numbers as they are written.
func readJSON(t *testing.T, data []byte) (v any) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	require.NoError(t, dec.Decode(&v), "%q", data)
	return v
}
