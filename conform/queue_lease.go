package conform

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// queueTakesOne leases a prompt out of its turn. The lease is like any other.
func queueTakesOne(t *testing.T, q flow.Queue) {
	push(t, q, ids("a", "b", "c")...)
	l, err := q.TakeOne(t.Context(), "b")
	if err != nil {
		t.Fatalf("TakeOne: %v", err)
	}
	if id := l.Job().Prompt.ID; id != "b" {
		t.Fatalf("TakeOne leased prompt %q, want b", id)
	}
	attempt(t, l, 1)
	same(t, "list", queued(t, q), []string{"a", "c"})
	for _, id := range []string{"b", "nobody"} { // it is leased; there is none
		if l, err := q.TakeOne(t.Context(), id); !errors.Is(err, flow.ErrNotFound) {
			t.Errorf("TakeOne of prompt %q, which does not wait: %v, %v, want ErrNotFound", id, l, err)
		}
	}
	if err := l.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	same(t, "list", queued(t, q), []string{"a", "b", "c"})
	if l, err = q.TakeOne(t.Context(), "c"); err != nil {
		t.Fatalf("TakeOne: %v", err)
	}
	done(t, l)
	same(t, "list", queued(t, q), []string{"a", "b"})
	attempt(t, take(t, q, "a"), 1)
	attempt(t, take(t, q, "b"), 1)
}

// queueEndsTakes ends the contexts of many calls of Take while they take: each prompt must
// then be leased by a caller, or wait. An engine ends a Take whenever it has to look again.
func queueEndsTakes(t *testing.T, q flow.Queue) {
	const n = 40
	for i := range n {
		push(t, q, of("", fmt.Sprint(i)))
	}
	leases := map[string]flow.Lease{}
	taken := func(l flow.Lease) {
		id := l.Job().Prompt.ID
		attempt(t, l, 1)
		if leases[id] != nil {
			t.Errorf("prompt %s was leased twice", id)
		}
		leases[id] = l
	}
	for i := range 2 * n {
		ctx, cancel := context.WithCancel(t.Context())
		var all sync.WaitGroup
		all.Go(func() {
			for range rand.IntN(1 << (i % 16)) { // up to some tenths of a millisecond
				runtime.Gosched()
			}
			cancel()
		})
		l, err := q.Take(ctx, nobody)
		all.Wait()
		switch {
		case err == nil:
			taken(l)
		case !errors.Is(err, context.Canceled):
			t.Fatalf("Take ended with %v, want context.Canceled", err)
		}
		if len(leases) == n {
			break
		}
	}
	for len(leases) < n {
		var l flow.Lease
		within(t, "taking what earlier calls have not taken", func() {
			var err error
			if l, err = q.Take(t.Context(), nobody); err != nil {
				t.Errorf("take: %v", err)
			}
		})
		if l == nil {
			t.FailNow()
		}
		taken(l)
	}
	length(t, q, 0, n)
}

func queueAsks(t *testing.T, q flow.Queue) {
	push(t, q, of("x", "x1"), of("y", "y1"), of("x", "x2"), of("z", "z1"), of("y", "y2"))
	for range 2 { // the answers of the first call are forgotten in the second
		var asked []string
		l := takes(t, q, "z1", func(client string) bool {
			asked = append(asked, client)
			return client != "z"
		})
		same(t, "asked about the clients", asked, []string{"x", "y", "z"})
		if err := l.Release(t.Context()); err != nil {
			t.Fatalf("release: %v", err)
		}
	}
	same(t, "list", queued(t, q), []string{"x1", "y1", "x2", "z1", "y2"})

	// A prompt that comes while Take asks is looked at too, and nobody is asked about
	// a second time.
	var asked []string
	takes(t, q, "z1", func(client string) bool {
		if asked = append(asked, client); client == "x" {
			push(t, q, &nodebus.Prompt{ID: "front", ClientID: "w", Priority: -1}, of("x", "x3"))
		}
		return client != "z"
	})
	slices.Sort(asked)
	same(t, "asked about the clients", asked, []string{"w", "x", "y", "z"})
}

// queueNoOvertaking takes like an engine: a client waits while one of its prompts
// runs, and at most two prompts run.
func queueNoOvertaking(t *testing.T, q flow.Queue) {
	for _, id := range []string{"x1", "y1", "x2", "x3", "y2", "z1", "y3", "x4"} {
		push(t, q, of(id[:1], id))
	}
	var running []flow.Lease
	for _, want := range []string{"x1", "y1", "x2", "y2", "x3", "z1", "y3", "x4"} {
		if len(running) == 2 {
			done(t, running[0])
			running = running[1:]
		}
		running = append(running, takes(t, q, want, func(client string) bool {
			return slices.ContainsFunc(running, func(l flow.Lease) bool { return l.Job().Prompt.ClientID == client })
		}))
	}
}

func queueSkipCalls(t *testing.T, q flow.Queue) {
	push(t, q, of("x", "a"), of("y", "b"), of("y", "c"))
	var nested flow.Lease
	takes(t, q, "b", func(client string) bool {
		if nested != nil {
			return false
		}
		same(t, "list in skip", queued(t, q), []string{"a", "b", "c"})
		nested = take(t, q, "a") // the prompt that the outer Take asks about
		if gone, err := q.Delete(t.Context(), "c"); err != nil || len(gone) != 1 {
			t.Errorf("delete in skip: %v, %v", gone, err)
		}
		push(t, q, of("x", "d"))
		return false
	})
	take(t, q, "d")
	same(t, "list", queued(t, q), nil)
}

func queueSkipPanics(t *testing.T, q flow.Queue) {
	push(t, q, ids("a")...)
	within(t, "taking with a skip that panics", func() {
		_ = nodebus.Protect(func() error {
			_, err := q.Take(t.Context(), func(string) bool { panic("conform: intended panic") })
			return err
		})
	})
	take(t, q, "a")
}

func queueWaitsForPush(t *testing.T, q flow.Queue) {
	push(t, q, of("skipped", "s"))
	w := waits(t, q)
	push(t, q, of("skipped", "s2"), of("other", "a"))
	w.takes(t, "a")
	same(t, "list", queued(t, q), []string{"s", "s2"})
}

func queueWaitsForRelease(t *testing.T, q flow.Queue) {
	push(t, q, of("other", "a"), of("skipped", "s"))
	l := take(t, q, "a")
	w := waits(t, q)
	if err := l.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	attempt(t, w.takes(t, "a"), 1)
}

// queueWaitsForLapse makes the lease shorter while a Take waits.
func queueWaitsForLapse(t *testing.T, q flow.Queue) {
	push(t, q, of("other", "a"), of("skipped", "s"))
	l := take(t, q, "a")
	w := waits(t, q)
	extend(t, l, soon)
	attempt(t, w.takes(t, "a"), 2)
}

func queueContext(t *testing.T, q flow.Queue) {
	push(t, q, of("skipped", "s"))
	w := waits(t, q)
	w.cancel()
	within(t, "ending Take with its context", func() {
		select {
		case err := <-w.err:
			if !errors.Is(err, context.Canceled) {
				t.Errorf("Take ended with %v, want context.Canceled", err)
			}
		case l := <-w.got:
			t.Errorf("Take took %s, although its client is skipped", l.Job().Prompt.ID)
		}
	})
	push(t, q, ids("a")...)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	within(t, "taking with a context that has ended", func() {
		if _, err := q.Take(ended, nobody); !errors.Is(err, context.Canceled) {
			t.Errorf("Take with a context that has ended returns %v", err)
		}
	})
	same(t, "list", queued(t, q), []string{"s", "a"})
}

// inTime makes a lease short and calls f before the lease lapses. On a machine that is
// too slow, it takes the prompt again and makes the lease longer. It returns the
// length of the lease.
func inTime(t *testing.T, q flow.Queue, l flow.Lease, f func(flow.Lease) error) time.Duration {
	t.Helper()
	for d := soon; ; d *= 4 {
		extend(t, l, d)
		err := f(l)
		switch {
		case err == nil:
			return d
		case !errors.Is(err, flow.ErrLapsed) || d > patience:
			t.Fatalf("a method of a lease that holds returns %v", err)
		}
		// The holder may give the lease up before the queue does.
		awaitFirst(t, q, l.Job().Prompt.ID)
		l = take(t, q, l.Job().Prompt.ID)
	}
}

func queueDone(t *testing.T, q flow.Queue) {
	push(t, q, ids("a", "b")...)
	var a flow.Lease
	d := inTime(t, q, take(t, q, "a"), func(l flow.Lease) error {
		a = l
		return l.Done(t.Context())
	})
	lapsed(t, a)
	same(t, "list", queued(t, q), []string{"b"})
	// When b has lapsed, the lease of a would have lapsed too.
	extend(t, take(t, q, "b"), d)
	attempt(t, take(t, q, "b"), 2)
	same(t, "list", queued(t, q), nil)
	push(t, q, ids("a")...)
	attempt(t, take(t, q, "a"), 1)
}

func queueRelease(t *testing.T, q flow.Queue) {
	push(t, q, ids("a", "b", "c")...)
	a, b := take(t, q, "a"), take(t, q, "b")
	for _, l := range []flow.Lease{b, a} {
		if err := l.Release(t.Context()); err != nil {
			t.Errorf("release: %v", err)
		}
	}
	same(t, "list", queued(t, q), []string{"a", "b", "c"})
	again := take(t, q, "a")
	attempt(t, again, 1)
	attempt(t, a, 1)
	lapsed(t, a) // the old lease must not end the new one
	done(t, again)
	take(t, q, "b")
}

func queueLapse(t *testing.T, q flow.Queue) {
	push(t, q, ids("a", "b", "c")...)
	a := take(t, q, "a")
	for n := 2; n <= 3; n++ {
		extend(t, a, soon)
		awaitFirst(t, q, "a")
		same(t, "list", queued(t, q), []string{"a", "b", "c"})
		a = take(t, q, "a")
		attempt(t, a, n)
	}
	if err := a.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	attempt(t, take(t, q, "a"), 3)
}

// awaitFirst waits until a prompt is the first that waits.
func awaitFirst(t *testing.T, q flow.Queue, id string) {
	t.Helper()
	for limit := time.Now().Add(patience); time.Now().Before(limit); time.Sleep(soon / 10) {
		if all := queued(t, q); len(all) > 0 && all[0] == id {
			return
		}
	}
	t.Fatalf("the lease of %s did not lapse in time", id)
}

// lapsed reports a test error unless the lease can do nothing any more.
func lapsed(t *testing.T, l flow.Lease) {
	t.Helper()
	for name, err := range map[string]error{
		"Extend": l.Extend(t.Context(), time.Hour), "Done": l.Done(t.Context()), "Release": l.Release(t.Context()),
	} {
		if !errors.Is(err, flow.ErrLapsed) {
			t.Errorf("%s of a lease that has ended returns %v, want ErrLapsed", name, err)
		}
	}
}

func queueLapsed(t *testing.T, q flow.Queue) {
	push(t, q, ids("a")...)
	old := take(t, q, "a")
	extend(t, old, soon)
	awaitFirst(t, q, "a")
	lapsed(t, old) // although nobody has taken the prompt again
	same(t, "list", queued(t, q), []string{"a"})
	now := take(t, q, "a")
	attempt(t, now, 2)
	attempt(t, old, 1)
	lapsed(t, old)
	same(t, "list", queued(t, q), nil)
	extend(t, now, time.Hour) // the new lease is untouched
	done(t, now)
	same(t, "list", queued(t, q), nil)
}

// queueExtend makes a lease longer before it lapses, and another lease as short as the
// first one was. When the short one lapses, the first one must still hold.
func queueExtend(t *testing.T, q flow.Queue) {
	push(t, q, ids("long", "short")...)
	var long flow.Lease
	d := inTime(t, q, take(t, q, "long"), func(l flow.Lease) error {
		long = l
		return l.Extend(t.Context(), time.Hour)
	})
	extend(t, take(t, q, "short"), d)
	attempt(t, take(t, q, "short"), 2)
	same(t, "list", queued(t, q), nil)
	done(t, long)
}
