package fold

import (
	"encoding/json"
	"math"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
)

// MarshalJSON writes nodes, order and waiting also if they are empty.
func (r Run) MarshalJSON() ([]byte, error) {
	type plain Run
	if r.Nodes == nil {
		r.Nodes = map[string]*Node{}
	}
	r.Order, r.Waiting = orEmpty(r.Order), orEmpty(r.Waiting)
	return json.Marshal(plain(r))
}

// UnmarshalJSON reads a snapshot and replaces the run. It mends a snapshot whose nodes and
// order do not agree: a node that order lacks comes last.
func (r *Run) UnmarshalJSON(b []byte) error {
	type plain Run
	var read plain
	if err := json.Unmarshal(b, &read); err != nil {
		return err
	}
	*r = Run(read)
	order := r.Order
	r.Order = nil
	listed := map[string]bool{}
	list := func(id string) {
		if n := r.Nodes[id]; n != nil && !listed[id] {
			listed[id] = true
			n.UniqueID = id
			n.Place = n.WithDefaults()
			r.Order = append(r.Order, id)
		}
	}
	for _, id := range order {
		list(id)
	}
	for _, id := range sortedKeys(r.Nodes) {
		if id == "" || r.Nodes[id] == nil {
			delete(r.Nodes, id)
		}
		list(id)
	}
	return nil
}

func sortedKeys(nodes map[string]*Node) (ids []string) {
	for id := range nodes {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}

// nodeJSON is the JSON form of a Node.
type nodeJSON struct {
	UniqueID  string            `json:"node_id"`
	DisplayID string            `json:"display_node_id"`
	ParentID  *string           `json:"parent_node_id"` // null if empty, as in progress_state
	RealID    string            `json:"real_node_id"`
	State     string            `json:"state"`
	Value     float64           `json:"value"`
	Max       float64           `json:"max"`
	Output    nodebus.UI        `json:"output,omitzero"`
	Text      string            `json:"text,omitempty"`
	Texts     map[string]string `json:"texts,omitempty"`
	Error     *Failure          `json:"error,omitempty"`
	Duration  float64           `json:"duration,omitempty"` // milliseconds
}

// MarshalJSON writes the ids as progress_state has them, and the duration in milliseconds.
func (n Node) MarshalJSON() ([]byte, error) {
	w := nodeJSON{
		n.UniqueID, n.DisplayID, nil, n.RealID, n.State, n.Value, n.Max, n.Output, n.Text, n.Texts, n.Error,
		float64(n.Duration) / float64(time.Millisecond),
	}
	if n.ParentID != "" {
		w.ParentID = &n.ParentID
	}
	return json.Marshal(w)
}

// UnmarshalJSON reads what MarshalJSON writes.
func (n *Node) UnmarshalJSON(b []byte) error {
	var w nodeJSON
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	*n = Node{
		Place: nodebus.Place{UniqueID: w.UniqueID, DisplayID: w.DisplayID, RealID: w.RealID},
		State: w.State, Value: w.Value, Max: w.Max, Output: w.Output, Text: w.Text, Texts: w.Texts, Error: w.Error,
	}
	if w.ParentID != nil {
		n.ParentID = *w.ParentID
	}
	if ms := w.Duration; math.Abs(ms) < math.MaxInt64/1e6-1 {
		n.Duration = exact(time.Duration(math.Round(ms * float64(time.Millisecond))))
	}
	return nil
}

// exact returns a duration that is the same after it was written and read: one of 26 days
// or more is rounded to milliseconds, because a float64 does not hold its nanoseconds.
func exact(d time.Duration) time.Duration {
	if -1<<51 < d && d < 1<<51 {
		return d
	}
	return d.Round(time.Millisecond)
}

// MarshalJSON writes [] for nil Traceback.
func (f Failure) MarshalJSON() ([]byte, error) {
	type plain Failure
	f.Traceback = orEmpty(f.Traceback)
	return json.Marshal(plain(f))
}

func orEmpty[T any](list []T) []T {
	if list == nil {
		return []T{}
	}
	return list
}
