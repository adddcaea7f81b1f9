package nodebus

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/nodebus/nodebus/internal/jsonenc"
)

// This file has the JSON that differs from the default of encoding/json: null for an
// empty id, a NaN and an infinity, [] for a nil list, objects that are nested on the wire
// but flat in Go, and numbers that a float64 cannot hold.

// MarshalJSON writes the JSON of the wire.
func (s Status) MarshalJSON() ([]byte, error) { return s.appendJSON(nil) }

// UnmarshalJSON reads the JSON of the wire.
func (s *Status) UnmarshalJSON(b []byte) error {
	var w struct {
		Status struct {
			ExecInfo struct {
				QueueRemaining int  `json:"queue_remaining"`
				Paused         bool `json:"paused"`
			} `json:"exec_info"`
		} `json:"status"`
		SID string `json:"sid"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	info := w.Status.ExecInfo
	*s = Status{QueueRemaining: info.QueueRemaining, Paused: info.Paused, SID: w.SID}
	return nil
}

// MarshalJSON writes null for an empty UniqueID.
func (e Executing) MarshalJSON() ([]byte, error) { return e.appendJSON(nil) }

// MarshalJSON writes null for an empty UniqueID, a NaN and an infinity. It writes Value
// and Max within their limits, see [Progress].
func (p Progress) MarshalJSON() ([]byte, error) { return p.appendJSON(nil) }

// MarshalJSON writes the nodes as an object with the node ids as names.
func (p ProgressState) MarshalJSON() ([]byte, error) { return p.appendJSON(nil) }

// UnmarshalJSON reads the nodes from an object and keeps the order of the object.
func (p *ProgressState) UnmarshalJSON(b []byte) error {
	var w struct {
		PromptID string          `json:"prompt_id"`
		Nodes    json.RawMessage `json:"nodes"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*p = ProgressState{PromptID: w.PromptID}
	if len(w.Nodes) == 0 || string(w.Nodes) == "null" {
		return nil
	}
	err := eachMember(w.Nodes, func(id string, dec *json.Decoder) error {
		n := NodeState{Place: Place{UniqueID: id}}
		if err := dec.Decode(&n); err != nil {
			return fmt.Errorf("%q: %w", id, err)
		}
		p.list = append(p.list, n)
		return nil
	})
	if err != nil {
		return fmt.Errorf("nodes: %w", err)
	}
	return nil
}

// MarshalJSON writes the attempt only above 1.
func (e ExecutionStart) MarshalJSON() ([]byte, error) { return e.appendJSON(nil) }

// MarshalJSON writes null for an empty ParentID, and [] for nil Traceback.
func (f NodeFailed) MarshalJSON() ([]byte, error) { return f.appendJSON(nil) }

// MarshalJSON writes null for an empty ParentID. It returns an error if the schema is not
// JSON.
func (w Waiting) MarshalJSON() ([]byte, error) { return w.appendJSON(nil) }

// MarshalJSON writes null for an empty ParentID.
func (a Answered) MarshalJSON() ([]byte, error) { return a.appendJSON(nil) }

// MarshalJSON writes null for an empty ParentID.
func (t TextPiece) MarshalJSON() ([]byte, error) { return t.appendJSON(nil) }

// MarshalJSON writes null for an empty ParentID, and the duration in milliseconds.
func (d NodeDone) MarshalJSON() ([]byte, error) { return d.appendJSON(nil) }

// UnmarshalJSON reads the JSON of the wire. A duration of 26 days or more is rounded to
// milliseconds.
func (d *NodeDone) UnmarshalJSON(b []byte) error {
	type plain NodeDone
	w := struct {
		*plain
		Duration float64 `json:"duration"`
	}{plain: (*plain)(d)}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	const exact = 1 << 51 / 1e6 // from here on, a float64 does not hold each nanosecond
	switch ms := w.Duration; {
	case math.Abs(ms) < exact:
		d.Duration = time.Duration(math.Round(ms * 1e6))
	case math.Abs(ms) < math.MaxInt64/1e6-1:
		d.Duration = time.Duration(math.Round(ms)) * time.Millisecond
	default:
		return fmt.Errorf("duration %v is out of range", ms)
	}
	return nil
}

// MarshalJSON writes [] for nil lists, and null for a nil map, a NaN and an infinity, at
// any depth.
func (u UI) MarshalJSON() ([]byte, error) { return u.appendJSON(nil) }

// UnmarshalJSON reads what MarshalJSON writes. A number becomes a float64. If a float64
// cannot hold it exactly, for example a seed of 64 bits, it becomes a [json.Number].
func (u *UI) UnmarshalJSON(b []byte) (err error) {
	*u, err = decodeLists(b)
	return err
}

// MarshalJSON writes the JSON of the wire.
func (e Executed) MarshalJSON() ([]byte, error) { return e.appendJSON(nil) }

// UnmarshalJSON reads the JSON of the wire.
func (e *Executed) UnmarshalJSON(b []byte) error {
	var w struct {
		Node        string `json:"node"`
		DisplayNode string `json:"display_node"`
		Output      UI     `json:"output"`
		PromptID    string `json:"prompt_id"`
	}
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*e = Executed{Place: Place{UniqueID: w.Node, DisplayID: w.DisplayNode}, Output: w.Output, PromptID: w.PromptID}
	return nil
}

// MarshalJSON writes [] for nil lists and for nil inputs.
func (e ExecutionError) MarshalJSON() ([]byte, error) {
	type plain ExecutionError
	w := struct {
		plain
		Executed       []string `json:"executed"`
		Traceback      []string `json:"traceback"`
		CurrentInputs  any      `json:"current_inputs"`
		CurrentOutputs []string `json:"current_outputs"`
		Timestamp      int64    `json:"timestamp,omitempty"`
	}{plain(e), orEmpty(e.Executed), orEmpty(e.Traceback), e.CurrentInputs, orEmpty(e.CurrentOutputs), e.Timestamp}
	if e.CurrentInputs == nil {
		w.CurrentInputs = []any{}
	}
	return jsonenc.Marshal(w)
}

// UnmarshalJSON reads the JSON that MarshalJSON writes: [] for CurrentInputs becomes
// nil. [UI.UnmarshalJSON] says what the numbers in CurrentInputs become.
func (e *ExecutionError) UnmarshalJSON(b []byte) error {
	type plain ExecutionError
	w := struct {
		*plain
		CurrentInputs json.RawMessage `json:"current_inputs"`
	}{plain: (*plain)(e)}
	err := json.Unmarshal(b, &w)
	if err != nil {
		return err
	}
	e.CurrentInputs = nil
	if len(w.CurrentInputs) == 0 || w.CurrentInputs[0] == '[' {
		return nil
	}
	e.CurrentInputs, err = decodeLists(w.CurrentInputs)
	return err
}

// decodeLists reads an object of lists; see [UI.UnmarshalJSON].
func decodeLists(data []byte) (lists map[string][]any, err error) {
	if err = jsonenc.Decode(data, &lists); err != nil {
		return nil, err
	}
	for _, list := range lists {
		jsonenc.ExactNumbers(list)
	}
	return lists, nil
}

// UnmarshalJSON reads a prompt. [UI.UnmarshalJSON] says what the numbers in Extra become.
func (p *Prompt) UnmarshalJSON(b []byte) error {
	type plain Prompt
	err := jsonenc.Decode(b, (*plain)(p))
	jsonenc.ExactNumbers(p.Extra)
	return err
}

// UnmarshalJSON reads a problem. [UI.UnmarshalJSON] says what the numbers in Extra become.
func (p *Problem) UnmarshalJSON(b []byte) error {
	type plain Problem
	err := jsonenc.Decode(b, (*plain)(p))
	jsonenc.ExactNumbers(p.Extra)
	return err
}

// MarshalJSON writes [] for nil Nodes.
func (e ExecutionCached) MarshalJSON() ([]byte, error) {
	type plain ExecutionCached
	e.Nodes = orEmpty(e.Nodes)
	return jsonenc.Marshal(plain(e))
}

// MarshalJSON writes [] for nil Executed.
func (e ExecutionInterrupted) MarshalJSON() ([]byte, error) {
	type plain ExecutionInterrupted
	e.Executed = orEmpty(e.Executed)
	return jsonenc.Marshal(plain(e))
}

func orEmpty(s []string) []string {
	if s == nil {
		return []string{}
	}
	return s
}

// eachMember calls f for every member of a JSON object, in order. f must read the value
// of the member from dec.
func eachMember(object []byte, f func(name string, dec *json.Decoder) error) error {
	dec := json.NewDecoder(bytes.NewReader(object))
	dec.UseNumber()
	if t, err := dec.Token(); err != nil {
		return err
	} else if t != json.Delim('{') {
		return fmt.Errorf("not a JSON object")
	}
	for dec.More() {
		t, err := dec.Token()
		if err != nil {
			return err
		}
		if err := f(t.(string), dec); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return err
	}
	if _, err := dec.Token(); err != io.EOF {
		return errMore
	}
	return nil
}

var errMore = errors.New("more after the end of the JSON object")
