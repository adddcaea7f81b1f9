package flow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// sizedRecord is a record of a prompt with extra data of n bytes.
func sizedRecord(id string, n int) flow.Record {
	return flow.Record{Prompt: sizedPrompt(id, "", n), State: nodebus.Succeeded, Success: &nodebus.ExecutionSuccess{PromptID: id}}
}

func recordIDs(t *testing.T, s flow.Store) []string {
	ids := []string{}
	for r, err := range s.List(t.Context()) {
		require.NoError(t, err)
		ids = append(ids, r.Prompt.ID)
	}
	return ids
}

func TestStoreBytes(t *testing.T) {
	s := flow.NewStore(&flow.StoreOptions{Bytes: 1_000_000, RecordBytes: 900_000})
	for i := range 6 {
		require.NoError(t, s.Put(t.Context(), sizedRecord(fmt.Sprint(i), 190_000)))
	}
	require.Equal(t, []string{"5", "4", "3", "2", "1"}, recordIDs(t, s), "the oldest record is dropped")
	require.NoError(t, s.Put(t.Context(), sizedRecord("2", 390_000)))
	require.Equal(t, []string{"5", "4", "3", "2"}, recordIDs(t, s), "a larger record under the same id")
	require.NoError(t, s.Put(t.Context(), sizedRecord("2", 10)))
	require.NoError(t, s.Put(t.Context(), sizedRecord("6", 190_000)))
	require.NoError(t, s.Put(t.Context(), sizedRecord("7", 190_000)))
	require.Equal(t, []string{"7", "6", "5", "4", "3", "2"}, recordIDs(t, s), "a smaller record under the same id")
	require.NoError(t, s.Put(t.Context(), sizedRecord("2", 700_000)))
	require.Equal(t, []string{"7", "2"}, recordIDs(t, s), "a record that is just stored stays, also if it is the oldest")
}

// TestStoreReduces checks what the store leaves out of a record that is too large, and
// that it never leaves out how the prompt ended.
func TestStoreReduces(t *testing.T) {
	large := strings.Repeat("x", 40_000)
	full := func() flow.Record {
		return flow.Record{
			Prompt: &nodebus.Prompt{
				ID: "p", ClientID: "me", Nodes: nodebus.Nodes{{ID: "1", Class: "A", Inputs: nodebus.Inputs{"x": large}}},
				Extra: map[string]any{"x": large}, Outputs: []string{large},
			},
			Attempt: 1, State: nodebus.Failed,
			Outputs: []nodebus.NodeOutput{{UI: nodebus.UI{"text": {large}}}},
			Start:   &nodebus.ExecutionStart{PromptID: "p"},
			Cached:  &nodebus.ExecutionCached{PromptID: "p", Nodes: []string{large}},
			Error: &nodebus.ExecutionError{
				PromptID: "p", NodeID: "1", ExceptionMessage: large, ExceptionType: "T", Executed: []string{"1"},
				CurrentInputs: map[string][]any{"x": {large}}, Traceback: []string{large},
			},
		}
	}
	kept := func(r *flow.Record) (parts []string) {
		for _, part := range []struct {
			name string
			kept bool
		}{
			{"inputs", len(r.Error.CurrentInputs) > 0},
			{"extra", r.Prompt.Extra != nil},
			{"graph", r.Prompt.Nodes != nil},
			{"outputs", r.Outputs != nil},
			{"cached", len(r.Cached.Nodes) > 0},
			{"message", len(r.Error.ExceptionMessage) > 2000},
		} {
			if part.kept {
				parts = append(parts, part.name)
			}
		}
		return parts
	}
	for i, want := range [][]string{
		{"inputs", "extra", "graph", "outputs", "cached", "message"},
		{"extra", "graph", "outputs", "cached", "message"},
		{"graph", "outputs", "cached", "message"},
		{"outputs", "cached", "message"},
		{"cached", "message"},
		nil,
	} {
		s := flow.NewStore(&flow.StoreOptions{RecordBytes: 330_000 - i*40_000})
		if want == nil {
			s = flow.NewStore(&flow.StoreOptions{RecordBytes: 1})
		}
		given := full()
		require.NoError(t, s.Put(t.Context(), given))
		require.Equal(t, full(), given, "others may read the record")
		r, err := s.Get(t.Context(), "p")
		require.NoError(t, err)
		require.Equal(t, want, kept(&r))
		require.Equal(t, i > 0, r.Reduced)
		require.Equal(t, []any{"p", "me", nodebus.Failed, "1", "T"}, []any{r.Prompt.ID, r.Prompt.ClientID, r.State, r.Error.NodeID, r.Error.ExceptionType})
		require.Equal(t, nodebus.Failed, r.Outcome().State)
		require.NotNil(t, r.Start)
	}
}

// TestReduce checks that Reduce makes of a record what the store in memory keeps, and does
// not change the record.
func TestReduce(t *testing.T) {
	for _, limit := range []int{1_000_000, 250_000, 100_000, 5000, 1, 0, -1} {
		given := sizedRecord("p", 200_000)
		got := given.Reduce(limit)
		require.Equal(t, sizedRecord("p", 200_000), given, "others may read the record")
		s := flow.NewStore(&flow.StoreOptions{RecordBytes: max(limit, 1)})
		require.NoError(t, s.Put(t.Context(), given))
		want, err := s.Get(t.Context(), "p")
		require.NoError(t, err)
		require.Equal(t, want, got)
		require.Equal(t, limit < 200_000, got.Reduced)
		require.Equal(t, nodebus.Succeeded, got.State)
	}
}

// TestStoreModel makes random calls of the store and compares its listing with a list.
func TestStoreModel(t *testing.T) {
	type entry struct {
		id    string
		units int
	}
	const unit = 40_000
	seeds := uint64(200)
	if testing.Short() {
		seeds = 50
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 0))
		s := flow.NewStore(&flow.StoreOptions{Len: 8, Bytes: 12*unit + unit/2, RecordBytes: 12 * unit})
		var all []entry // the oldest first
		for range 150 {
			id := fmt.Sprint(r.IntN(14))
			at := slices.IndexFunc(all, func(e entry) bool { return e.id == id })
			switch r.IntN(4) {
			case 0:
				require.NoError(t, s.Delete(t.Context(), id, "nobody"))
				if at >= 0 {
					all = slices.Delete(all, at, at+1)
				}
			default:
				e := entry{id, r.IntN(5)}
				require.NoError(t, s.Put(t.Context(), sizedRecord(id, e.units*unit)))
				if at >= 0 {
					all[at] = e
				} else {
					all = append(all, e)
				}
				for i := 0; ; {
					units := 0
					for _, x := range all {
						units += x.units
					}
					if len(all) <= 8 && units <= 12 {
						break
					}
					if all[i].id == id {
						i++
					}
					all = slices.Delete(all, i, i+1)
				}
			}
			want := []string{}
			for _, e := range slices.Backward(all) {
				want = append(want, e.id)
			}
			require.Equal(t, want, recordIDs(t, s), "seed %d", seed)
		}
	}
}

// TestStoreListIsStreamed changes the store while it is listed: a record that stays is
// yielded exactly once, and a removed record is not kept for the reader.
func TestStoreListIsStreamed(t *testing.T) {
	s := flow.NewStore(&flow.StoreOptions{Len: 1000})
	for i := range 1000 {
		require.NoError(t, s.Put(t.Context(), sizedRecord(fmt.Sprint(i), 10)))
	}
	var got []string
	next := 1000
	for r, err := range s.List(t.Context()) {
		require.NoError(t, err)
		got = append(got, r.Prompt.ID)
		switch n := len(got); {
		case n <= 300: // each new record drops the oldest
			require.NoError(t, s.Put(t.Context(), sizedRecord(fmt.Sprint(next), 10)))
			next++
		case n == 301:
			require.NoError(t, s.Delete(t.Context(), "500", "999", r.Prompt.ID))
			require.NoError(t, s.Put(t.Context(), sizedRecord("600", 20)))
			require.NoError(t, s.Put(t.Context(), sizedRecord("999", 20)), "a new place")
		}
	}
	var want []string
	for i := 999; i >= 300; i-- {
		if i != 500 {
			want = append(want, fmt.Sprint(i))
		}
	}
	require.Equal(t, want, got)
}

// failsWith is an executor that returns an error.
type failsWith struct{ err error }

func (x failsWith) Execute(context.Context, nodebus.Job, nodebus.Publisher) (nodebus.Report, error) {
	return nodebus.Report{}, x.err
}

// TestErrorIsBounded checks that an error does not carry everything that its node held,
// to every client and into the record.
func TestErrorIsBounded(t *testing.T) {
	large := strings.Repeat("x", 1<<20)
	var texts []any
	for range 20_000 {
		texts = append(texts, large[:1000])
	}
	x := failsWith{&nodebus.NodeError{
		Place: nodebus.Place{UniqueID: "o"}, Class: "Show", Err: errors.New(large),
		Inputs: map[string][]any{"in": texts, "in2": {"small"}}, Executed: make([]string, 20_000),
	}}
	inBubble(t, nil, &flow.EngineOptions{Executor: x}, func(r *rig) {
		e := r.submit(&nodebus.Prompt{ID: "p", Nodes: shown("x")}).record.Error
		require.NotNil(t, e)
		require.Equal(t, map[string][]any{"in": {"(left out: more than 524288 bytes)"}, "in2": {"small"}}, e.CurrentInputs)
		require.True(t, strings.HasSuffix(e.ExceptionMessage, "… (983041 more bytes)"), e.ExceptionMessage[len(e.ExceptionMessage)-30:])
		require.Len(t, e.Executed, 10_000)
		text, err := json.Marshal(e)
		require.NoError(t, err)
		require.Less(t, len(text), 1<<20)
	})
}
