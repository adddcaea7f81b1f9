package fold

import (
	"cmp"
	"encoding/json"
	"slices"

	"github.com/nodebus/nodebus"
)

// Apply changes the run as ev tells. Events of other prompts change nothing. If PromptID
// is empty, the run becomes the run of the first event that belongs to a prompt.
//
//   - A snapshot replaces everything.
//   - An event of an earlier attempt is ignored. The first event of a later attempt, and
//     each start, make the run begin anew. An event without an attempt belongs to the
//     first.
//   - After the closing event, only a snapshot, a start or a later attempt changes the
//     run.
//   - A [nodebus.Gap], and a [nodebus.Watching] that says so, make the run incomplete. So
//     does an event of a run, or of an attempt, whose start has not been seen. Only an
//     interrupt may come without a start: the prompt then has not begun.
//   - Types that Apply does not know, and previews, move only the cursor.
//
// Apply does not fail: it ignores what it cannot read.
func (r *Run) Apply(ev nodebus.Event) {
	p := known(ev.Payload)
	if _, gap := p.(nodebus.Gap); gap {
		r.Incomplete = r.Incomplete || !r.Closed
		return
	}
	snapshot, whole := p.(Run)
	id := valid(cmp.Or(nodebus.Event{PromptID: ev.PromptID, Payload: p}.Prompt(), snapshot.PromptID))
	if id == "" || r.PromptID != "" && r.PromptID != id {
		return
	}
	if whole {
		*r = *snapshot.Clone()
	}
	r.PromptID = id
	if ev.Epoch != "" {
		r.Cursor = ev.Cursor().String()
	}
	switch p := p.(type) {
	case Run:
	case nodebus.Watching:
		r.Incomplete = r.Incomplete || p.Incomplete && !r.Closed
	default:
		if r.enter(&ev, p) && p != nil {
			r.step(&ev, p)
		}
	}
}

// enter compares the attempt of an event with the attempt of the run. It returns false if
// the event must be ignored.
func (r *Run) enter(ev *nodebus.Event, p nodebus.Payload) bool {
	start, begins := p.(nodebus.ExecutionStart)
	attempt := max(ev.Attempt, start.Attempt, 1)
	switch {
	case begins && (r.Closed || attempt >= r.Attempt), attempt > r.Attempt && r.Attempt > 0:
		*r = Run{PromptID: r.PromptID, Cursor: r.Cursor}
	case r.Closed || attempt < r.Attempt:
		return false
	}
	r.Attempt = attempt
	return true
}

// step applies an event of the attempt.
func (r *Run) step(ev *nodebus.Event, p nodebus.Payload) {
	if r.State == "" {
		r.Incomplete = r.Incomplete || lacksStart(p)
	}
	switch p := p.(type) {
	case nodebus.ExecutionSuccess:
		r.end(ev, nodebus.Succeeded, p.Timestamp, NodeFinished)
		return
	case nodebus.ExecutionInterrupted:
		r.end(ev, nodebus.Interrupted, p.Timestamp, NodeInterrupted)
		return
	case nodebus.ExecutionError:
		if p.ExceptionType != nodebus.ExecutionBlocked {
			r.fail(ev, &p)
			return
		}
	case nodebus.Executing:
		if p.UniqueID == "" {
			r.Closed, r.Waiting = true, nil
			return
		}
	}
	if r.State == "" {
		r.State = Running
	}
	r.report(ev, p)
}

// lacksStart reports whether the first event of a run shows that earlier events are missing.
func lacksStart(first nodebus.Payload) bool {
	switch first.(type) {
	case nodebus.ExecutionStart, nodebus.ExecutionInterrupted:
		return false
	}
	return true
}

// report applies an event that tells something about the running prompt or a node.
func (r *Run) report(ev *nodebus.Event, p nodebus.Payload) {
	switch p := p.(type) {
	case nodebus.ExecutionStart:
		r.Started = millis(p.Timestamp, ev)
	case nodebus.ExecutionCached:
		for _, id := range p.Nodes {
			r.node(nodebus.Place{UniqueID: id}).become(NodeCached, 1, 1)
		}
	case nodebus.Executing:
		r.node(nodebus.Place{UniqueID: p.UniqueID, DisplayID: p.DisplayID})
	case nodebus.Progress:
		n := r.node(nodebus.Place{UniqueID: p.UniqueID})
		n.Value, n.Max = within(p.Value, p.Max)
	case nodebus.ProgressState:
		for _, s := range p.Nodes() {
			n := r.node(s.Place)
			n.Value, n.Max = within(s.Value, s.Max)
			n.show(s.State)
		}
	case nodebus.Overall:
		r.Overall = finite(p.Value)
	case nodebus.Waiting:
		r.node(p.Place)
		if p.Schema == nil || json.Valid(p.Schema) { // the hub accepts no other schema
			r.ask(p)
		}
	case nodebus.Answered:
		id, name := valid(p.UniqueID), valid(p.Name)
		r.Waiting = slices.DeleteFunc(r.Waiting, func(w nodebus.Waiting) bool { return w.UniqueID == id && w.Name == name })
	default:
		r.tell(p)
	}
}

// tell applies an event with something that a node shows, or with its end.
func (r *Run) tell(p nodebus.Payload) {
	switch p := p.(type) {
	case nodebus.Executed: // the wire does not have the other ids
		r.node(nodebus.Place{UniqueID: p.UniqueID, DisplayID: p.DisplayID}).Output = p.Output
	case nodebus.NodeDone:
		n := r.node(p.Place)
		n.Duration = exact(p.Duration)
		state := NodeFinished
		if p.Cached {
			state = NodeCached
		}
		n.become(state, n.Max, n.Max)
	case nodebus.NodeFailed:
		n := r.node(p.Place)
		n.State = NodeError
		n.Error = &Failure{ExceptionType: p.ExceptionType, ExceptionMessage: p.ExceptionMessage, Traceback: p.Traceback}
	case nodebus.ExecutionError: // only a notice: the node was skipped
		n := r.node(nodebus.Place{UniqueID: p.NodeID})
		n.State = NodeBlocked
		n.Error = &Failure{ExceptionType: p.ExceptionType, ExceptionMessage: p.ExceptionMessage, Traceback: p.Traceback}
	case nodebus.ProgressText:
		r.node(nodebus.Place{UniqueID: p.UniqueID}).Text = valid(p.Text)
	case nodebus.TextPiece:
		if !r.node(p.Place).add(&p) {
			r.Incomplete = true
		}
	}
}

// node returns the node at a place. It makes the node if no event has named it before.
// Without a unique id, the node is not part of the run.
func (r *Run) node(at nodebus.Place) *Node {
	id := valid(at.UniqueID)
	n := r.Nodes[id]
	if n == nil {
		n = &Node{Place: nodebus.Place{UniqueID: id}.WithDefaults(), State: NodeRunning, Max: 1}
		if id == "" {
			return n
		}
		if r.Nodes == nil {
			r.Nodes = map[string]*Node{}
		}
		r.Nodes[id] = n
		r.Order = append(r.Order, id)
	}
	for _, to := range []struct {
		field *string
		id    string
	}{{&n.DisplayID, at.DisplayID}, {&n.ParentID, at.ParentID}, {&n.RealID, at.RealID}} {
		if to.id != "" {
			*to.field = to.id
		}
	}
	return n
}

// ask adds a question, or replaces the same question.
func (r *Run) ask(w nodebus.Waiting) {
	w.UniqueID, w.Name, w.Schema = valid(w.UniqueID), valid(w.Name), slices.Clone(w.Schema)
	for i := range r.Waiting {
		if r.Waiting[i].UniqueID == w.UniqueID && r.Waiting[i].Name == w.Name {
			r.Waiting[i] = w
			return
		}
	}
	r.Waiting = append(r.Waiting, w)
}

// end applies the outcome of the run. Nodes that still run get the state left.
func (r *Run) end(ev *nodebus.Event, state nodebus.State, timestamp int64, left string) {
	r.State, r.Ended, r.Waiting = state, millis(timestamp, ev), nil
	for _, n := range r.Nodes {
		if n.State == NodeRunning {
			n.State = left
		}
	}
}

// fail applies the outcome of a run that has failed or was refused.
func (r *Run) fail(ev *nodebus.Event, e *nodebus.ExecutionError) {
	state := nodebus.Failed
	if e.ExceptionType == refusedType {
		state = nodebus.Refused
	}
	r.Error = &Failure{e.NodeID, e.Class, e.ExceptionType, e.ExceptionMessage, e.Traceback}
	if n := r.failed(valid(e.NodeID)); n != nil {
		n.State = NodeError
		if n.Error == nil {
			n.Error = &Failure{ExceptionType: e.ExceptionType, ExceptionMessage: e.ExceptionMessage, Traceback: e.Traceback}
		}
	}
	r.end(ev, state, e.Timestamp, NodeInterrupted)
}

// failed returns the node that an outcome blames. The outcome has the id of a node of the
// submitted prompt, but the node that failed may have been made at run time. It is the
// first node with this id or real id that has failed without a reason, or else the first
// that runs, or else the node with this id. It is nil for an empty id.
func (r *Run) failed(id string) *Node {
	if id == "" {
		return nil
	}
	var runs *Node
	for n := range r.All() {
		switch {
		case n.UniqueID != id && n.RealID != id:
		case n.State == NodeError && n.Error == nil:
			return n
		case n.State == NodeRunning && runs == nil:
			runs = n
		}
	}
	if runs == nil {
		runs = r.node(nodebus.Place{UniqueID: id})
	}
	return runs
}
