package conform

import (
	"errors"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// QueueReopens tests that a [flow.Queue] outlives its process. open returns a new, empty
// queue, and a function that closes the queue and opens a queue with the same prompts, as
// the next process does. The leases of the first queue are not used after that. A queue
// that several processes share may also return a second connection. For a queue in
// memory, reopen returns the queue itself.
//
// Leases last as long as before, because their holders may live. Only a queue that knows
// that no holder lives may let all of them lapse at once; each of these attempts counts.
//
// The suite waits for leases that lapse, as [Queue] does.
func QueueReopens(t *testing.T, open func(t *testing.T) (q flow.Queue, reopen func() flow.Queue)) {
	for name, test := range map[string]func(t *testing.T, q flow.Queue, reopen func() flow.Queue){
		"waiting prompts keep their place":  reopenWaiting,
		"leases stay, or all lapse at once": reopenLeased,
		"the number of the attempt goes on": reopenAttempts,
		"what is done does not come back":   reopenDone,
	} {
		t.Run(name, func(t *testing.T) {
			q, reopen := open(t)
			test(t, q, reopen)
		})
	}
}

func reopenWaiting(t *testing.T, q flow.Queue, reopen func() flow.Queue) {
	push(t, q, ids("a", "b", "deleted", "c", "moved")...)
	push(t, q, &nodebus.Prompt{ID: "front", Priority: -1}, fullRecord("whole").Prompt)
	secrets := errors.Is(q.Push(t.Context(), of("", "secret"), map[string]string{"KEY": "s3cret"}), flow.ErrSecrets)
	if err := q.Move(t.Context(), "moved", -1); err != nil {
		t.Fatalf("move: %v", err)
	}
	if _, err := q.Delete(t.Context(), "deleted"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	q = reopen()
	want := []string{"whole", "front", "moved", "a", "b", "c", "secret"}
	if secrets {
		want = want[:len(want)-1]
	}
	same(t, "list after reopening", listing(t, q), want)
	if err := q.Push(t.Context(), of("", "a"), nil); !errors.Is(err, flow.ErrDuplicate) {
		t.Errorf("Push of an id that waited before returns %v, want ErrDuplicate", err)
	}
	push(t, q, ids("later")...)
	for _, id := range append(want, "later") {
		l := take(t, q, id)
		attempt(t, l, 1)
		if key := l.Job().Secrets["KEY"]; id == "secret" && key != "s3cret" {
			t.Errorf("the secret after reopening is %q", key)
		}
	}
}

func reopenLeased(t *testing.T, q flow.Queue, reopen func() flow.Queue) {
	push(t, q, ids("first", "second", "waits")...)
	first, second := take(t, q, "first"), take(t, q, "second")
	extend(t, second, time.Hour)
	extend(t, first, time.Hour)
	q = reopen()
	_, leased, err := q.Len(t.Context())
	if err != nil {
		t.Fatalf("len after reopening: %v", err)
	}
	if err := q.Push(t.Context(), of("", "first"), nil); !errors.Is(err, flow.ErrDuplicate) {
		t.Errorf("Push of an id that was leased before returns %v, want ErrDuplicate", err)
	}
	if leased > 0 {
		same(t, "list after reopening", listing(t, q), []string{"first+", "second+", "waits"})
		length(t, q, 1, 2)
		attempt(t, take(t, q, "waits"), 1)
		return
	}
	same(t, "list after reopening, if leases lapse at once", listing(t, q), []string{"first#2", "second#2", "waits"})
	length(t, q, 3, 0)
	attempt(t, take(t, q, "first"), 2)
	attempt(t, take(t, q, "second"), 2)
	attempt(t, take(t, q, "waits"), 1)
}

func reopenAttempts(t *testing.T, q flow.Queue, reopen func() flow.Queue) {
	push(t, q, ids("a", "released")...)
	extend(t, take(t, q, "a"), soon)
	awaitFirst(t, q, "a")
	a, r := take(t, q, "a"), take(t, q, "released")
	attempt(t, a, 2)
	if err := r.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	extend(t, a, soon)
	q = reopen()
	awaitFirst(t, q, "a")
	same(t, "list after reopening", listing(t, q), []string{"a#3", "released"})
	attempt(t, take(t, q, "a"), 3)
	attempt(t, take(t, q, "released"), 1)
}

func reopenDone(t *testing.T, q flow.Queue, reopen func() flow.Queue) {
	push(t, q, ids("a", "b", "c")...)
	done(t, take(t, q, "a"))
	done(t, take(t, q, "b"))
	q = reopen()
	same(t, "list after reopening", listing(t, q), []string{"c"})
	push(t, q, ids("a")...)
	take(t, q, "c")
	attempt(t, take(t, q, "a"), 1)
}

// StoreReopens tests that a [flow.Store] outlives its process. open returns a new, empty
// store, and a function that closes the store and opens a store with the same records. For
// a store in memory, reopen returns the store itself.
func StoreReopens(t *testing.T, open func(t *testing.T) (s flow.Store, reopen func() flow.Store)) {
	s, reopen := open(t)
	for _, id := range []string{"a", "b", "c", "d"} {
		put(t, s, fullRecord(id))
	}
	if err := s.Delete(t.Context(), "b"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	changed := fullRecord("a")
	changed.Attempt = 7
	put(t, s, changed)
	s = reopen()
	put(t, s, fullRecord("e"))
	got := stored(t, s)
	if len(got) != 4 || got[0] != "e" {
		t.Errorf("list after reopening: got %q, want e first, and a, c, d", got)
	}
	for id, want := range map[string]flow.Record{"a": changed, "c": fullRecord("c"), "d": fullRecord("d")} {
		r, err := s.Get(t.Context(), id)
		if err != nil {
			t.Errorf("get %s after reopening: %v", id, err)
			continue
		}
		equalRecords(t, r, want)
	}
	if _, err := s.Get(t.Context(), "b"); !errors.Is(err, flow.ErrNotFound) {
		t.Errorf("Get of a deleted record after reopening returns %v, want ErrNotFound", err)
	}
}
