package chaos_test

import (
	"fmt"
	"maps"
	"slices"

	"github.com/nodebus/nodebus"
)

// note is an event as a client has written it down.
type note struct {
	Type    string
	Prompt  string
	Attempt int // from 1; 0 if the event belongs to no prompt
	Cursor  nodebus.Cursor
	Said    int    // the attempt in the data of an execution_start
	Node    string // of a numbered event
	N, Of   int
	Cached  []string // the nodes of an execution_cached
}

const (
	typeHello    = "hello" // the first event of a connection; it says where the connection begins
	typeStart    = "execution_start"
	typeCached   = "execution_cached"
	typeGap      = "nodebus.gap"
	typeNumbered = "chaos.numbered"
	typeClosed   = "closed" // an executing without a node
)

// ends has the states that the events which end a prompt stand for.
var ends = map[string][]nodebus.State{
	"execution_success":     {nodebus.Succeeded},
	"execution_error":       {nodebus.Failed, nodebus.Refused},
	"execution_interrupted": {nodebus.Interrupted},
}

// plan is an accepted prompt.
type plan struct {
	Client string         // its events go to this client
	Steps  map[string]int // how many numbered events each node has
}

// follower is what one client has written down.
type follower struct {
	Name   string
	Client string // the client id
	Notes  []note
}

// recorded is a record in the history.
type recorded struct {
	Prompt  string
	State   nodebus.State
	Attempt int
}

// history is all that the checker judges.
type history struct {
	Plans     map[string]plan
	Followers []follower
	Records   []recorded
}

// survived counts what the followers have seen.
type survived struct{ prompts, attempts, events, gaps int }

// check returns everything that must not be.
func (h *history) check() (faults []string, seen survived) {
	records := map[string]recorded{}
	count := map[string]int{}
	for _, r := range h.Records {
		records[r.Prompt] = r
		count[r.Prompt]++
	}
	for _, id := range slices.Sorted(maps.Keys(h.Plans)) {
		if count[id] != 1 {
			faults = append(faults, fmt.Sprintf("prompt %s: %d records, want 1", id, count[id]))
		}
	}
	for _, id := range slices.Sorted(maps.Keys(count)) {
		if _, known := h.Plans[id]; !known {
			faults = append(faults, fmt.Sprintf("prompt %s: it has a record, but no client has submitted it", id))
		}
	}
	seen.prompts = len(h.Plans)
	attempts := map[string]int{}
	for _, f := range h.Followers {
		r := reading{follower: f.Name, prompts: map[string]*story{}}
		for i := range f.Notes {
			r.read(&f.Notes[i])
		}
		for id, s := range r.prompts {
			if _, known := h.Plans[id]; !known {
				r.fault("prompt %s: it has events, but no client has submitted it", id)
			}
			attempts[id] = max(attempts[id], s.begun)
		}
		for id, p := range h.Plans {
			if p.Client == f.Client {
				r.ended(id, p, records[id])
			} else if r.prompts[id] != nil {
				r.fault("prompt %s: it is another client's", id)
			}
		}
		slices.Sort(r.faults)
		faults = append(faults, r.faults...)
		seen.events += len(f.Notes)
		seen.gaps += r.gaps
	}
	for _, n := range attempts {
		seen.attempts += n
	}
	return faults, seen
}

// reading reads what one client has written down.
type reading struct {
	follower string
	last     nodebus.Cursor
	gaps     int
	prompts  map[string]*story
	faults   []string
}

// story is what a client knows about a prompt.
type story struct {
	attempt int            // the newest
	begun   int            // the number of starts
	next    map[string]int // the next number of each node in this attempt
	cached  []string
	end     string // the event that has ended the prompt
	endOf   int    // its attempt
	closed  bool
	gap     int // the number of gaps when the first event of the attempt came
}

func (r *reading) fault(format string, args ...any) {
	r.faults = append(r.faults, r.follower+": "+fmt.Sprintf(format, args...))
}

func (r *reading) read(n *note) {
	if n.Type == typeGap {
		r.gaps++
		return
	}
	if n.Cursor.ID != 0 {
		switch {
		case r.last.Epoch != "" && n.Cursor.Epoch != r.last.Epoch:
			r.fault("%s at %s: the epoch was %s", n.Type, n.Cursor, r.last.Epoch)
		case n.Cursor.ID < r.last.ID, n.Cursor.ID == r.last.ID && n.Type != typeHello:
			r.fault("%s at %s: the cursor does not increase, it was %s", n.Type, n.Cursor, r.last)
		}
		if n.Cursor.ID > r.last.ID {
			r.last = n.Cursor
		}
	}
	if n.Prompt != "" {
		r.tell(n)
	}
}

// tell adds an event to the story of its prompt.
func (r *reading) tell(n *note) {
	s := r.prompts[n.Prompt]
	if s == nil {
		s = &story{next: map[string]int{}, gap: r.gaps}
		r.prompts[n.Prompt] = s
	}
	at := fmt.Sprintf("prompt %s: %s of attempt %d at %s", n.Prompt, n.Type, n.Attempt, n.Cursor)
	_, ends := ends[n.Type]
	switch {
	case s.closed:
		r.fault("%s: it comes after the closing event", at)
		return
	case s.end != "" && n.Type != typeClosed:
		r.fault("%s: it comes after %s", at, s.end)
		return
	case n.Attempt < s.attempt:
		r.fault("%s: attempt %d has begun", at, s.attempt)
		return
	}
	switch {
	case n.Type == typeStart:
		r.begin(n, s, at)
	case n.Type == typeClosed:
		if s.closed = true; s.end == "" && s.gap == r.gaps {
			r.fault("%s: no end came before it", at)
		}
	case ends:
		s.end, s.endOf = n.Type, n.Attempt
	case n.Attempt > s.attempt && s.gap == r.gaps:
		r.fault("%s: the attempt has not begun", at)
	case n.Type == typeCached:
		s.cached = n.Cached
	case n.Type == typeNumbered:
		if want := s.next[n.Node]; n.N != want && (s.gap == r.gaps || n.N < want) {
			r.fault("%s: node %s has sent number %d, want %d", at, n.Node, n.N, want)
		}
		s.next[n.Node] = n.N + 1
	}
}

func (r *reading) begin(n *note, s *story, at string) {
	if n.Said != n.Attempt {
		r.fault("%s: its data says attempt %d", at, n.Said)
	}
	if n.Attempt == s.attempt && s.begun > 0 {
		r.fault("%s: the attempt has begun before", at)
	}
	s.attempt, s.next, s.cached, s.gap = n.Attempt, map[string]int{}, nil, r.gaps
	s.begun++
}

// ended judges the end of a prompt that the client follows.
func (r *reading) ended(id string, p plan, rec recorded) {
	s := r.prompts[id]
	if s == nil {
		s = &story{}
	}
	gap := s.gap != r.gaps // events that the client may miss were announced as lost
	switch {
	case s.end == "" && !gap:
		r.fault("prompt %s: no end was told", id)
	case !s.closed && !gap:
		r.fault("prompt %s: it was not closed", id)
	}
	if rec.Prompt == "" || s.end == "" {
		return
	}
	if !slices.Contains(ends[s.end], rec.State) || s.endOf != rec.Attempt {
		r.fault("prompt %s: told was %s of attempt %d, recorded is %s of attempt %d", id, s.end, s.endOf, rec.State, rec.Attempt)
	}
	if rec.State != nodebus.Succeeded || gap {
		return
	}
	for node, want := range p.Steps {
		if got := s.next[node]; got != want && !slices.Contains(s.cached, node) {
			r.fault("prompt %s: node %s has sent %d events in attempt %d, want %d", id, node, got, s.endOf, want)
		}
	}
}
