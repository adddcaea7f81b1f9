package nats_test

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// ownKey is a payload of a caller that replaces earlier ones.
type ownKey struct {
	Key  string `json:"key"`
	Data any    `json:"data"`
}

func (ownKey) EventType() string     { return "progress" } // the type of a standard payload
func (k ownKey) CoalesceKey() string { return k.Key }

var strangeTexts = []string{"", "a", "b", "é", "\u2028<>&", "null", strings.Repeat("x", 3000), "\x00", `"`, "a.b", "a\x00b"}

func anyText() string { return strangeTexts[rand.IntN(len(strangeTexts))] }

func anyFloat() float64 {
	return []float64{0, 1, -1, math.Copysign(0, -1), 1e21, 1e-9, 0.1, math.MaxFloat64, math.SmallestNonzeroFloat64, 1 << 53}[rand.IntN(10)]
}

func anyValue() any {
	return []any{
		nil, true, 1, int64(math.MaxInt64), uint64(math.MaxUint64), anyFloat(), anyText(), []byte("x"), json.RawMessage(`{"a":1.5,"b":1}`),
		json.Number("12345678901234567890.123"),
		map[string]any{"z": 1, "a": anyText(), "c": 2},
		[]any{},
		[]any(nil), map[string]any(nil), float32(0.1),
		json.RawMessage(`{"a":5}`), time.Unix(1, 1),
		nodebus.File{Filename: anyText()},
	}[rand.IntN(18)]
}

func anyPlace() nodebus.Place {
	return nodebus.Place{UniqueID: anyText(), DisplayID: anyText(), ParentID: anyText(), RealID: anyText()}
}

func anyPayload(id string) nodebus.Payload {
	switch rand.IntN(24) {
	case 0:
		return nodebus.Status{QueueRemaining: rand.IntN(5) - 1, Paused: rand.IntN(2) == 0, SID: anyText()}
	case 1:
		return nodebus.ExecutionStart{PromptID: anyText(), Timestamp: rand.Int64(), Attempt: rand.IntN(4) - 1}
	case 2:
		return nodebus.ExecutionCached{Nodes: []string{anyText()}, PromptID: id}
	case 3:
		return nodebus.Executing{UniqueID: anyText(), DisplayID: anyText(), PromptID: anyText()}
	case 4:
		return nodebus.Progress{Value: anyFloat(), Max: anyFloat(), PromptID: id, UniqueID: anyText()}
	case 5:
		return nodebus.ProgressState{PromptID: id}.With(nodebus.NodeState{Place: anyPlace(), Value: anyFloat(), Max: anyFloat(), State: anyText()})
	case 6:
		return nodebus.Executed{Place: anyPlace(), PromptID: id, Output: nodebus.UI{anyText(): {anyValue(), anyValue()}}}
	case 7:
		return nodebus.ExecutionSuccess{PromptID: anyText(), Timestamp: 5}
	case 8:
		return nodebus.ExecutionError{PromptID: id, NodeID: anyText(), ExceptionMessage: anyText(), CurrentInputs: map[string][]any{anyText(): {anyValue()}}}
	case 9:
		return nodebus.ExecutionInterrupted{PromptID: id, NodeID: anyText(), Executed: []string{anyText()}}
	case 10:
		return nodebus.ProgressText{PromptID: anyText(), UniqueID: anyText(), Text: anyText()}
	case 11:
		return nodebus.Overall{PromptID: id, Value: anyFloat()}
	case 12:
		return nodebus.NodeFailed{Place: anyPlace(), PromptID: id, Attempt: rand.IntN(3)}
	case 13:
		return nodebus.Waiting{Place: anyPlace(), PromptID: id, Name: anyText(), Schema: json.RawMessage(`{ "type" : "string" }`), Deadline: rand.Int64N(3)}
	case 14:
		return nodebus.Answered{Place: anyPlace(), PromptID: id, Name: anyText(), Result: "answered"}
	case 15:
		return nodebus.TextPiece{Place: anyPlace(), PromptID: id, Name: anyText(), Offset: rand.IntN(3), Piece: anyText()}
	case 16:
		return nodebus.NodeDone{Place: anyPlace(), PromptID: id, Duration: time.Duration(rand.Int64N(1e12)), Cached: true}
	case 17:
		return nodebus.Custom{Type: anyText(), Data: anyValue()}
	case 18:
		return ownKey{anyText(), anyValue()}
	case 19:
		return &nodebus.Progress{Value: 1, Max: 2, PromptID: id, UniqueID: "p"}
	case 20:
		return &nodebus.Executing{PromptID: id}
	case 21:
		return nodebus.Gap{Since: 1, Next: 2}
	case 22:
		return nodebus.Custom{Type: "executing", Data: map[string]any{"node": nil, "prompt_id": id}}
	}
	return nodebus.Executing{PromptID: id}
}

// TestSameCaches gives strange events to two processes. All processes have the same events,
// also one that comes later.
func TestSameCaches(t *testing.T) {
	opts := nats.Options{Name: newName(), Log: &nodebus.HubOptions{KeepLen: 40, KeepBytes: 1 << 30}}
	a, b := open(t, shared, opts), open(t, shared, opts)
	buses := []*nats.Bus{a, b}
	heard := make([]map[uint64]string, 2)
	for i, bus := range buses {
		heard[i] = map[uint64]string{}
		_, stop, err := bus.Log().Follow(func(ev nodebus.Event) { heard[i][ev.ID] = describe(ev) })
		require.NoError(t, err)
		defer stop()
	}
	for round := range 12 {
		for range 400 {
			id := []string{"1", "2", "3", "", "5", "4"}[rand.IntN(6)]
			ev := nodebus.Event{PromptID: id, To: anyText(), Attempt: rand.IntN(4) - 1, Payload: anyPayload(id)}
			ev.Broadcast = ev.PromptID == "" && ev.To == ""
			_ = buses[rand.IntN(2)].Log().Append(ev)
			switch rand.IntN(100) {
			case 0:
				_ = buses[rand.IntN(2)].Log().Drop(id)
			case 1, 2, 3:
				nats.Taken(buses[rand.IntN(2)], id, rand.IntN(4), rand.Uint64N(4))
			}
		}
		for range 2 {
			for _, bus := range buses {
				flush(t, bus.Log())
				_, stop, err := bus.Log().Follow(func(nodebus.Event) {}) // it has read what the others have stored
				require.NoError(t, err)
				stop()
			}
		}
		time.Sleep(20 * time.Millisecond)
		diff(t, kept(t, a), kept(t, b))
		if t.Failed() {
			return
		}
		if round%4 == 3 {
			late := open(t, shared, opts)
			have := kept(t, late)
			diff(t, kept(t, a), have)
			for _, id := range []string{"1", "2", "3", "4", "\xff"} {
				require.Equal(t, closed(a, id), closed(late, id), "closed %q", id)
			}
		}
	}
	require.Equal(t, heard[0], heard[1])
}

// kept returns what a bus has, and what it says it has lost.
func kept(t *testing.T, bus *nats.Bus) (all []string) {
	page, err := bus.Log().Read(nodebus.LogQuery{All: true, Own: true, UpTo: 1 << 62})
	require.NoError(t, err)
	for _, ev := range page.Events {
		all = append(all, describe(ev))
	}
	return append(all, fmt.Sprint("lost ", page.Lost))
}

func closed(bus *nats.Bus, id string) bool {
	return bus.Log().(nodebus.RememberingLog).Closed(id)
}

func describe(ev nodebus.Event) string {
	f, err := nodebus.JSON.Encode(ev)
	return fmt.Sprintf("%d.%d %q to %q attempt %d %v %v %q %v", ev.ID>>10, ev.ID&1023, ev.PromptID, ev.To, ev.Attempt, ev.Broadcast, f.Binary, f.Data, err)
}

func diff(t *testing.T, a, b []string) {
	t.Helper()
	for i := range max(len(a), len(b)) {
		x, y := "nothing", "nothing"
		if i < len(a) {
			x = a[i]
		}
		if i < len(b) {
			y = b[i]
		}
		if x != y {
			t.Errorf("%d of %d and %d:\n%.600s\n%.600s", i, len(a), len(b), x, y)
			return
		}
	}
}
