package chaos_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// sound is what two clients write down about a prompt that was killed in its first attempt
// and succeeded in its second, and about a prompt that was interrupted before it began. One of
// the clients follows with the id of the other.
func sound() *history {
	id := uint64(0)
	var notes []note
	add := func(n note) {
		id++
		n.Cursor = nodebus.Cursor{Epoch: "e", ID: id}
		notes = append(notes, n)
	}
	number := func(attempt, n int) note {
		return note{Type: typeNumbered, Prompt: "p", Attempt: attempt, Node: "a", N: n, Of: 3}
	}
	add(note{Type: typeStart, Prompt: "p", Attempt: 1, Said: 1})
	add(note{Type: typeCached, Prompt: "p", Attempt: 1})
	add(number(1, 0))
	add(number(1, 1))
	add(note{Type: "execution_interrupted", Prompt: "q", Attempt: 1})
	add(note{Type: typeClosed, Prompt: "q", Attempt: 1})
	add(note{Type: typeStart, Prompt: "p", Attempt: 2, Said: 2})
	add(note{Type: typeCached, Prompt: "p", Attempt: 2, Cached: []string{"b"}})
	for n := range 3 {
		add(number(2, n))
	}
	add(note{Type: "execution_success", Prompt: "p", Attempt: 2})
	add(note{Type: typeClosed, Prompt: "p", Attempt: 2})
	return &history{
		Plans: map[string]plan{"p": {"c", map[string]int{"a": 3, "b": 5}}, "q": {"c", map[string]int{"a": 9}}},
		Followers: []follower{
			{Name: "ws", Client: "c", Notes: notes},
			{Name: "sse", Client: "c", Notes: slices.Clone(notes)},
			{Name: "other", Client: "d"},
		},
		Records: []recorded{{"q", nodebus.Interrupted, 1}, {"p", nodebus.Succeeded, 2}},
	}
}

// find returns the place of the first event like n.
func (h *history) find(typ string, attempt, number int) int {
	return slices.IndexFunc(h.Followers[1].Notes, func(n note) bool {
		return n.Prompt == "p" && n.Type == typ && n.Attempt == attempt && n.N == number
	})
}

func TestCheckerAcceptsWhatIsSound(t *testing.T) {
	faults, seen := sound().check()
	require.Empty(t, faults)
	require.Equal(t, survived{prompts: 2, attempts: 2, events: 26}, seen)
}

// TestCheckerFinds: each fault, in what the second of the clients has written down, is found.
func TestCheckerFinds(t *testing.T) {
	notes := func(h *history) *[]note { return &h.Followers[1].Notes }
	remove := func(typ string, attempt, n int) func(*history) {
		return func(h *history) { i := h.find(typ, attempt, n); *notes(h) = slices.Delete(*notes(h), i, i+1) }
	}
	double := func(typ string, attempt, n int) func(*history) {
		return func(h *history) { // as an event of its own
			i := h.find(typ, attempt, n)
			*notes(h) = slices.Insert(*notes(h), i, (*notes(h))[i])
			for j := range *notes(h) {
				(*notes(h))[j].Cursor.ID = uint64(j + 1)
			}
		}
	}
	change := func(typ string, attempt, n int, f func(*note)) func(*history) {
		return func(h *history) { f(&(*notes(h))[h.find(typ, attempt, n)]) }
	}
	later := func(n note) func(*history) {
		return func(h *history) {
			n.Cursor = nodebus.Cursor{Epoch: "e", ID: 99}
			*notes(h) = append(*notes(h), n)
		}
	}
	for name, test := range map[string]struct {
		spoil func(*history)
		want  string
	}{
		"an event lost":               {remove(typeNumbered, 2, 1), "sent number 2, want 1"},
		"the first event lost":        {remove(typeNumbered, 1, 0), "sent number 1, want 0"},
		"the last event lost":         {remove(typeNumbered, 2, 2), "node a has sent 2 events in attempt 2, want 3"},
		"what was cached is not said": {change(typeCached, 2, 0, func(n *note) { n.Cached = nil }), "node b has sent 0 events in attempt 2, want 5"},
		"an event doubled":            {double(typeNumbered, 2, 1), "sent number 1, want 2"},
		"an event delivered twice": {func(h *history) { // with its cursor, after a reconnect
			i := h.find(typeNumbered, 1, 1)
			*notes(h) = slices.Insert(*notes(h), i+1, (*notes(h))[i])
		}, "the cursor does not increase"},
		"the start lost":                {remove(typeStart, 2, 0), "the attempt has not begun"},
		"the start doubled":             {double(typeStart, 2, 0), "the attempt has begun before"},
		"the start says nothing":        {change(typeStart, 2, 0, func(n *note) { n.Said = 1 }), "its data says attempt 1"},
		"the end lost":                  {remove("execution_success", 2, 0), "no end came before it"},
		"the end doubled":               {double("execution_success", 2, 0), "it comes after execution_success"},
		"two ends":                      {change(typeNumbered, 2, 2, func(n *note) { n.Type = "execution_error" }), "execution_success of attempt 2 at e-12: it comes after execution_error"},
		"the closing event lost":        {remove(typeClosed, 2, 0), "it was not closed"},
		"the closing event doubled":     {double(typeClosed, 2, 0), "it comes after the closing event"},
		"an event after the end":        {later(note{Type: typeNumbered, Prompt: "p", Attempt: 2, Node: "a", N: 3}), "it comes after the closing event"},
		"an attempt after the end":      {later(note{Type: typeStart, Prompt: "p", Attempt: 3, Said: 3}), "it comes after the closing event"},
		"an older attempt":              {change(typeNumbered, 2, 2, func(n *note) { n.Attempt = 1 }), "attempt 2 has begun"},
		"the end of an older attempt":   {change("execution_success", 2, 0, func(n *note) { n.Attempt = 1 }), "attempt 2 has begun"},
		"no record":                     {func(h *history) { h.Records = h.Records[:1] }, "prompt p: 0 records"},
		"two records":                   {func(h *history) { h.Records = append(h.Records, h.Records[0]) }, "prompt q: 2 records"},
		"a record of nothing":           {func(h *history) { h.Records = append(h.Records, recorded{Prompt: "r"}) }, "prompt r: it has a record, but no client"},
		"another record":                {func(h *history) { h.Records[1].State = nodebus.Failed }, "recorded is error"},
		"the record of another attempt": {func(h *history) { h.Records[1].Attempt = 1 }, "of attempt 2, recorded is success of attempt 1"},
		"another client's event":        {func(h *history) { h.Followers[2].Notes = h.Followers[0].Notes[:1] }, "other: prompt p: it is another client's"},
		"an unknown prompt":             {later(note{Type: typeStart, Prompt: "r", Attempt: 1, Said: 1}), "prompt r: it has events, but no client"},
		"nothing told":                  {func(h *history) { *notes(h) = nil }, "sse: prompt q: no end was told"},
		"another epoch":                 {change(typeNumbered, 2, 1, func(n *note) { n.Cursor.Epoch = "f" }), "the epoch was e"},
	} {
		t.Run(name, func(t *testing.T) {
			h := sound()
			test.spoil(h)
			faults, _ := h.check()
			require.NotEmpty(t, faults)
			require.Condition(t, func() bool {
				return slices.ContainsFunc(faults, func(f string) bool { return strings.Contains(f, test.want) })
			}, "%q: %q", test.want, faults)
		})
	}
}

// TestCheckerFindsReordering: two events have changed places.
func TestCheckerFindsReordering(t *testing.T) {
	h := sound()
	n, at := h.Followers[1].Notes, h.find(typeNumbered, 2, 1)
	n[at], n[at+1] = n[at+1], n[at]
	n[at].Cursor, n[at+1].Cursor = n[at+1].Cursor, n[at].Cursor
	faults, _ := h.check()
	require.Len(t, faults, 3)
	require.Contains(t, faults[0], "sent number 2, want 1")
}

// TestCheckerAllowsAnnouncedGaps: what a gap announces as lost may be missing, and nothing
// else.
func TestCheckerAllowsAnnouncedGaps(t *testing.T) {
	h := sound()
	from, to := h.find(typeNumbered, 2, 0), h.find(typeClosed, 2, 0)
	lost := slices.Clone(h.Followers[1].Notes[from:to])
	h.Followers[1].Notes = slices.Replace(h.Followers[1].Notes, from, to, note{Type: typeGap})
	faults, seen := h.check()
	require.Empty(t, faults)
	require.Equal(t, 1, seen.gaps)
	h.Followers[1].Notes = append(h.Followers[1].Notes, lost...)
	faults, _ = h.check()
	require.Len(t, faults, 2*len(lost), "each comes late, and with an old cursor")
}
