package fold_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/fold"
	"github.com/stretchr/testify/require"
)

// teller makes random events, as a careless server could send them.
type teller struct {
	*rand.Rand
	id uint64
}

func (r *teller) pick(of ...string) string { return of[r.IntN(len(of))] }

func (r *teller) node() string { return r.pick("1", "2", "7", "7.0.0.1", "7.0.0.2", "", "a\xffb") }

func (r *teller) text() string {
	return r.pick("", "hello", " wörld", "\U0001f600", "half \xf0\x9f", "\u2028", "\n")
}

func (r *teller) number() float64 {
	return []float64{0, 1, 2, 0.5, 7, -3, math.NaN(), math.Inf(1), math.Inf(-1), 1e300}[r.IntN(10)]
}

func (r *teller) place() nodebus.Place {
	at := nodebus.Place{UniqueID: r.node()}
	if r.IntN(2) == 0 {
		at.DisplayID, at.RealID = r.pick("7", ""), r.pick("7", "")
		at.ParentID = r.pick("7", "")
	}
	return at
}

func (r *teller) ui() nodebus.UI {
	return []nodebus.UI{nil, {}, nodebus.Text(r.text()), {"n": {r.number(), json.Number("12345678901234567890"), nil}, "none": nil}}[r.IntN(4)]
}

// event returns a random event of the prompt "p", or seldom of another.
func (r *teller) event() nodebus.Event {
	r.id++
	ev := nodebus.Event{ID: r.id, PromptID: "p", Payload: r.payload("p")}
	switch r.IntN(20) {
	case 0:
		ev.PromptID, ev.Payload = "other", r.payload("other")
	case 1:
		switch ev.Payload.(type) {
		case nodebus.Preview, nodebus.ProgressText: // whose prompt only the envelope names to each reader
		default:
			ev.PromptID = "" // only the payload names it
		}
	case 2:
		ev.PromptID, ev.Payload = "", nodebus.Gap{Since: 1, Next: r.id}
	}
	if r.IntN(4) > 0 {
		ev.Epoch = "life"
	}
	if r.IntN(3) > 0 {
		ev.Time = time.UnixMilli(int64(1e12 + r.id))
	}
	ev.Attempt = []int{0, 0, 0, 1, 1, 2, 3}[r.IntN(7)]
	return ev
}

func (r *teller) payload(p string) nodebus.Payload {
	switch r.IntN(10) {
	case 0:
		return r.life(p)
	case 1, 2:
		return r.foreign(p)
	}
	at := r.place()
	switch r.IntN(12) {
	case 0, 1:
		return nodebus.Executing{UniqueID: "1" + at.UniqueID, DisplayID: at.DisplayID, PromptID: p}
	case 2:
		return nodebus.Progress{Value: r.number(), Max: r.number(), PromptID: p, UniqueID: at.UniqueID}
	case 3:
		return nodebus.ProgressState{PromptID: p}.With(
			nodebus.NodeState{Place: at, Value: r.number(), Max: r.number(), State: r.pick("running", "finished", "error", "pending")},
			nodebus.NodeState{Place: r.place(), Value: r.number(), Max: r.number(), State: r.pick("running", "finished", "error")})
	case 4:
		return nodebus.Executed{Place: at, Output: r.ui(), PromptID: p}
	case 5:
		return nodebus.NodeDone{Place: at, PromptID: p, Duration: time.Duration(r.Int64N([]int64{1e12, 1e17}[r.IntN(2)])), Cached: r.IntN(2) == 0}
	case 6:
		return nodebus.NodeFailed{Place: at, PromptID: p, ExceptionType: "x", ExceptionMessage: r.text(), Traceback: []string{r.text()}}
	case 7:
		return nodebus.Waiting{Place: at, PromptID: p, Name: r.text(), Schema: []json.RawMessage{nil, []byte(`{"type": "string"}`), []byte("no JSON")}[r.IntN(3)], Deadline: r.Int64N(2)}
	case 8:
		return nodebus.Answered{Place: at, PromptID: p, Name: r.text(), Result: "answered"}
	case 9:
		return nodebus.TextPiece{Place: at, PromptID: p, Name: r.text(), Offset: r.IntN(30) - 1, Piece: r.text()}
	case 10:
		return nodebus.ProgressText{PromptID: p, UniqueID: at.UniqueID, Text: r.text()}
	}
	return nodebus.Overall{PromptID: p, Value: r.number()}
}

// life returns an event about the whole run.
func (r *teller) life(p string) nodebus.Payload {
	at := r.node()
	switch r.IntN(9) {
	case 0, 1:
		return nodebus.ExecutionStart{PromptID: p, Timestamp: r.Int64N(3), Attempt: r.IntN(4)}
	case 2:
		return nodebus.ExecutionCached{PromptID: p, Nodes: []string{at, r.node()}}
	case 3:
		return nodebus.ExecutionSuccess{PromptID: p, Timestamp: r.Int64N(3)}
	case 4, 5:
		return nodebus.ExecutionError{PromptID: p, NodeID: at, ExceptionType: r.pick("x", "ExecutionBlocked", "refused"), ExceptionMessage: r.text()}
	case 6:
		return nodebus.ExecutionInterrupted{PromptID: p, NodeID: at}
	case 7:
		return nodebus.Watching{PromptID: p, Watching: true, Incomplete: r.IntN(2) == 0}
	}
	return nodebus.Executing{PromptID: p}
}

// foreign returns a payload of another Go type.
func (r *teller) foreign(p string) nodebus.Payload {
	piece := nodebus.TextPiece{Place: r.place(), PromptID: p, Offset: r.IntN(9), Piece: r.text()}
	switch r.IntN(8) {
	case 0:
		return nodebus.Custom{Type: "example.note", Data: map[string]string{"prompt_id": p}}
	case 1:
		return nodebus.Custom{Type: "nodebus.text", Data: piece}
	case 2:
		return &piece
	case 3:
		return nodebus.Custom{Type: "progress_text", Data: map[string]string{"node_id": r.node(), "text": r.text()}}
	case 4:
		return nodebus.Custom{Type: "progress_state", Data: "not an object"}
	case 5:
		return nodebus.Preview{Place: r.place(), PromptID: p, ImageType: "image/png", Image: []byte("x")}
	case 6:
		return nil
	}
	snapshot := fold.Run{PromptID: p}
	for range r.IntN(20) {
		ev := r.event()
		if _, nested := ev.Payload.(fold.Run); !nested {
			snapshot.Apply(ev)
		}
	}
	return snapshot
}

// TestLaw: for random events, a snapshot at each place and the events after it make the
// same run as all events. A reader in the process and a client make the same run.
func TestLaw(t *testing.T) {
	seeds := uint64(150)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		t.Run(fmt.Sprintf("seed=%d", seed), func(t *testing.T) {
			r := &teller{Rand: rand.New(rand.NewPCG(seed, 0))}
			var events []nodebus.Event
			for range 1 + r.IntN(40) {
				events = append(events, r.event())
			}
			requireLaw(t, events)
			sent, received := overTheWire(events)
			requireLaw(t, received)
			require.JSONEq(t, jsonOf(t, foldAll(sent)), jsonOf(t, foldAll(received)))
		})
	}
}

// overTheWire returns the events that have a form on the wire, as they were sent and as a
// client receives them.
func overTheWire(events []nodebus.Event) (sent, received []nodebus.Event) {
	for _, ev := range events {
		f, err := nodebus.JSONCodec{Envelope: true}.Encode(ev)
		if err != nil {
			continue
		}
		if got, err := nodebus.JSON.Decode(f); err == nil {
			sent, received = append(sent, ev), append(received, got)
		}
	}
	return sent, received
}
