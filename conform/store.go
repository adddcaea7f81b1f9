package conform

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Store tests a [flow.Store] against its contract. fresh returns a new, empty store
// with room for at least a hundred records.
func Store(t *testing.T, fresh func(t *testing.T) flow.Store) {
	tests := map[string]func(*testing.T, flow.Store){
		"Get returns the stored record":        storeGet,
		"the newest comes first":               storeOrder,
		"Put replaces a record with this id":   storeReplaces,
		"Delete removes records":               storeDelete,
		"it is safe for concurrent use":        storeConcurrent,
		"a loop over List may stop and delete": storeListStops,
		"List yields each record once":         storeListsOnce,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// fullRecord returns a record with a value in every field that a failed prompt has.
func fullRecord(id string) flow.Record {
	at := time.Date(2026, 1, 1, 0, 0, 0, 123e6, time.UTC)
	return flow.Record{
		Prompt: &nodebus.Prompt{
			ID: id, ClientID: "client", Priority: -1.5, Created: at, Outputs: []string{"9"},
			Nodes: nodebus.Nodes{
				{ID: "9", Class: "Show", Inputs: nodebus.Inputs{"value": nodebus.Link{Node: "1", Slot: 2}, "text": "héllo"}},
				{ID: "1", Class: "Make", Inputs: nodebus.Inputs{"n": 1.0}},
			},
			Extra: map[string]any{"extra_pnginfo": map[string]any{"workflow": "w"}},
		},
		Attempt: 2, State: nodebus.Failed, Started: at, Ended: at.Add(time.Second),
		Outputs: []nodebus.NodeOutput{{Place: nodebus.Place{UniqueID: "9", DisplayID: "9", RealID: "9"}, UI: nodebus.UI{"text": {"héllo"}}}},
		Start:   &nodebus.ExecutionStart{PromptID: id, Timestamp: 1},
		Cached:  &nodebus.ExecutionCached{PromptID: id, Nodes: []string{"1"}, Timestamp: 2},
		Error: &nodebus.ExecutionError{
			PromptID: id, NodeID: "9", Class: "Show", Executed: []string{"1"}, ExceptionMessage: "m", ExceptionType: "t",
			Traceback: []string{"line\n"}, CurrentInputs: map[string][]any{"value": {1.0}}, CurrentOutputs: []string{}, Timestamp: 3,
		},
	}
}

func put(t *testing.T, s flow.Store, r flow.Record) {
	t.Helper()
	if err := s.Put(t.Context(), r); err != nil {
		t.Fatalf("put %s: %v", r.Prompt.ID, err)
	}
}

func stored(t *testing.T, s flow.Store) (ids []string) {
	t.Helper()
	for r, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		ids = append(ids, r.Prompt.ID)
	}
	return ids
}

// equalRecords compares the JSON forms of two records.
func equalRecords(t *testing.T, got, want flow.Record) {
	t.Helper()
	g, err := json.Marshal(got)
	if err != nil {
		t.Fatalf("record: %v", err)
	}
	w, err := json.Marshal(want)
	if err != nil {
		t.Fatalf("record: %v", err)
	}
	if string(g) != string(w) {
		t.Errorf("got  %s\nwant %s", g, w)
	}
}

func storeGet(t *testing.T, s flow.Store) {
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, flow.ErrNotFound) {
		t.Errorf("Get on an empty store returns %v, want ErrNotFound", err)
	}
	put(t, s, fullRecord("a"))
	got, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	equalRecords(t, got, fullRecord("a"))
	for r, err := range s.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		equalRecords(t, r, fullRecord("a"))
	}
}

func storeOrder(t *testing.T, s flow.Store) {
	for _, id := range []string{"b", "c", "a"} {
		put(t, s, fullRecord(id))
	}
	same(t, "list", stored(t, s), []string{"a", "c", "b"})
}

func storeReplaces(t *testing.T, s flow.Store) {
	put(t, s, fullRecord("a"))
	put(t, s, fullRecord("b"))
	r := fullRecord("a")
	r.State, r.Error = nodebus.Succeeded, nil
	put(t, s, r)
	got, err := s.Get(t.Context(), "a")
	if err != nil {
		t.Fatalf("get: %v", err)
	}
	equalRecords(t, got, r)
	if n := len(stored(t, s)); n != 2 {
		t.Errorf("the store has %d records, want 2", n)
	}
}

func storeDelete(t *testing.T, s flow.Store) {
	for _, id := range []string{"a", "b", "c"} {
		put(t, s, fullRecord(id))
	}
	if err := s.Delete(t.Context(), "a", "nobody", "c"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	same(t, "list", stored(t, s), []string{"b"})
	if _, err := s.Get(t.Context(), "a"); !errors.Is(err, flow.ErrNotFound) {
		t.Errorf("Get of a deleted record returns %v, want ErrNotFound", err)
	}
}

func storeConcurrent(t *testing.T, s flow.Store) {
	const n = 100
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range n / 4 {
				id := fmt.Sprint(w, "-", i)
				if err := s.Put(t.Context(), fullRecord(id)); err != nil {
					t.Errorf("put: %v", err)
				}
				if _, err := s.Get(t.Context(), id); err != nil {
					t.Errorf("Get after Put: %v", err)
				}
			}
		})
		all.Go(func() {
			for _, err := range s.List(t.Context()) {
				if err != nil {
					t.Errorf("list: %v", err)
				}
			}
		})
	}
	within(t, "writing and reading", all.Wait)
	if got := len(stored(t, s)); got != n {
		t.Errorf("the store has %d records, want %d", got, n)
	}
}

func storeListStops(t *testing.T, s flow.Store) {
	put(t, s, fullRecord("a"))
	put(t, s, fullRecord("b"))
	within(t, "using the store while it is listed", func() {
		for r, err := range s.List(t.Context()) {
			if err != nil {
				t.Errorf("list: %v", err)
				return
			}
			if err := s.Delete(t.Context(), r.Prompt.ID); err != nil {
				t.Errorf("delete: %v", err)
			}
			break
		}
	})
	same(t, "list", stored(t, s), []string{"a"})
}

// storeListsOnce changes the store while it is listed.
func storeListsOnce(t *testing.T, s flow.Store) {
	const n = 40
	for i := range n {
		put(t, s, fullRecord(fmt.Sprint(i)))
	}
	seen := map[string]int{}
	within(t, "using the store while it is listed", func() {
		for r, err := range s.List(t.Context()) {
			if err != nil {
				t.Errorf("list: %v", err)
				return
			}
			if seen[r.Prompt.ID]++; len(seen) > 1 {
				continue
			}
			for i := range 30 {
				put(t, s, fullRecord(fmt.Sprint("new ", i)))
			}
			put(t, s, fullRecord("20"))
			if err := s.Delete(t.Context(), "10", "11", "12", "new 3"); err != nil {
				t.Errorf("delete: %v", err)
			}
		}
	})
	for i := range n {
		if got := seen[fmt.Sprint(i)]; got != 1 && (i < 10 || i > 12) {
			t.Errorf("a record that is in the store all the time was listed %d times, want 1: %d", got, i)
		}
	}
}
