package conform

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// listing returns what List yields: the id, and "+" for a leased prompt, and the attempt if
// it is not the first.
func listing(t *testing.T, q flow.Queue, ids ...string) (lines []string) {
	t.Helper()
	for p, err := range q.List(t.Context(), ids...) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		lines = append(lines, listedAs(p))
	}
	return lines
}

func listedAs(p flow.Queued) string {
	text := p.Prompt.ID
	if p.Leased {
		text += "+"
	}
	if p.Attempt != 1 {
		text += fmt.Sprint("#", p.Attempt)
	}
	return text
}

func length(t *testing.T, q flow.Queue, wantWaiting, wantLeased int) {
	t.Helper()
	waiting, leased, err := q.Len(t.Context())
	if err != nil {
		t.Fatalf("len: %v", err)
	}
	if waiting != wantWaiting || leased != wantLeased {
		t.Errorf("Len says that %d prompts wait and %d are leased, want %d and %d", waiting, leased, wantWaiting, wantLeased)
	}
}

func queueLen(t *testing.T, q flow.Queue) {
	length(t, q, 0, 0)
	push(t, q, ids("a", "b", "c")...)
	length(t, q, 3, 0)
	a, b := take(t, q, "a"), take(t, q, "b")
	length(t, q, 1, 2)
	done(t, a)
	length(t, q, 1, 1)
	if err := b.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	length(t, q, 2, 0)
	extend(t, take(t, q, "b"), soon)
	awaitFirst(t, q, "b")
	length(t, q, 2, 0)
	if _, err := q.Delete(t.Context(), "b"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	length(t, q, 1, 0)
}

func queueLists(t *testing.T, q flow.Queue) {
	same(t, "list of an empty queue", listing(t, q), nil)
	push(t, q, ids("a", "b", "c", "d")...)
	push(t, q, &nodebus.Prompt{ID: "front", Priority: -1})
	take(t, q, "front")
	b := take(t, q, "a")
	if err := b.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	if err := q.Move(t.Context(), "a", -1); err != nil {
		t.Fatalf("move: %v", err)
	}
	if err := q.Move(t.Context(), "b", 3); err != nil {
		t.Fatalf("move: %v", err)
	}
	take(t, q, "a")
	all := []string{"front+", "a+", "c", "d", "b"}
	same(t, "list: leased prompts in the order of taking, then waiting prompts", listing(t, q), all)
	for _, c := range []struct{ ids, want []string }{
		{[]string{"c"}, []string{"c"}},
		{[]string{"b", "nobody", "a", "d", "front"}, []string{"front+", "a+", "d", "b"}},
		{[]string{"d", "d", "a", "d"}, []string{"a+", "d"}},
		{[]string{"nobody"}, nil},
	} {
		same(t, fmt.Sprintf("list of the prompts %q", c.ids), listing(t, q, c.ids...), c.want)
	}
}

// queueListsOnce changes the queue while it is listed: it takes, releases and moves
// prompts that stay, removes some, and adds some.
func queueListsOnce(t *testing.T, q flow.Queue) {
	var stay []string
	push(t, q, ids("leased", "done")...)
	leased, gone := take(t, q, "leased"), take(t, q, "done")
	for i := range 40 {
		stay = append(stay, fmt.Sprint("p", i))
	}
	push(t, q, ids(stay...)...)
	push(t, q, ids("deleted")...)
	seen := map[string]int{}
	within(t, "using the queue while it is listed", func() {
		for p, err := range q.List(t.Context()) {
			if err != nil {
				t.Errorf("list: %v", err)
				return
			}
			if seen[p.Prompt.ID]++; len(seen) > 1 {
				continue
			}
			for _, err := range []error{gone.Done(t.Context()), leased.Release(t.Context()), q.Move(t.Context(), "p20", -5), q.Move(t.Context(), "p0", 5)} {
				if err != nil {
					t.Errorf("changing the queue: %v", err)
				}
			}
			take(t, q, "p20")
			if _, err := q.Delete(t.Context(), "deleted"); err != nil {
				t.Errorf("delete: %v", err)
			}
			push(t, q, ids("new")...)
		}
	})
	for _, id := range append(stay, "leased") {
		if seen[id] != 1 {
			t.Errorf("a prompt that is in the queue all the time was listed %d times, want 1: %s", seen[id], id)
		}
	}
}

// QueueLimits tests the limits of a [flow.Queue] that has some. limited returns a new,
// empty queue with room for 8 prompts, waiting and leased, and for 4 of one client.
func QueueLimits(t *testing.T, limited func(t *testing.T) flow.Queue) {
	for name, client := range map[string]string{"a client": "x", "prompts without a client": ""} {
		t.Run(name+" that fills the queue leaves room for others", func(t *testing.T) { queueShares(t, limited(t), client) })
	}
	t.Run("waiting and leased prompts count", func(t *testing.T) { queueFull(t, limited(t)) })
}

func full(t *testing.T, q flow.Queue, client, id string) {
	t.Helper()
	if err := q.Push(t.Context(), of(client, id), nil); !errors.Is(err, flow.ErrFull) {
		t.Errorf("Push of prompt %s into a queue without room for it returns %v, want ErrFull", id, err)
	}
}

func queueShares(t *testing.T, q flow.Queue, client string) {
	for i := range 4 {
		push(t, q, of(client, fmt.Sprint("x", i)))
	}
	full(t, q, client, "x4")
	for i := range 4 {
		push(t, q, of(fmt.Sprint("other ", i%2), fmt.Sprint("y", i)))
	}
	full(t, q, "another", "z")
	full(t, q, client, "x4")
	done(t, take(t, q, "x0"))
	push(t, q, of("another", "z"))
	full(t, q, client, "x4")
	same(t, "list", queued(t, q), []string{"x1", "x2", "x3", "y0", "y1", "y2", "y3", "z"})
}

func queueFull(t *testing.T, q flow.Queue) {
	for i := range 4 {
		push(t, q, of("x", fmt.Sprint("x", i)))
	}
	first, second := take(t, q, "x0"), take(t, q, "x1")
	full(t, q, "x", "x4") // leased prompts count
	if err := first.Release(t.Context()); err != nil {
		t.Errorf("release: %v", err)
	}
	full(t, q, "x", "x4")
	lapses := take(t, q, "x0")
	third, fourth := take(t, q, "x2"), take(t, q, "x3")
	extend(t, lapses, soon)
	first = take(t, q, "x0") // after the lapse
	full(t, q, "x", "x4")
	length(t, q, 0, 4)
	for _, l := range []flow.Lease{first, second, third, fourth} {
		done(t, l)
	}
	push(t, q, of("x", "x4"), of("x", "gone"), of("x", "x5"), of("x", "x6"))
	full(t, q, "x", "x7")
	if gone, err := q.Delete(t.Context(), "gone"); err != nil || len(gone) != 1 {
		t.Errorf("delete: %v, %v", gone, err)
	}
	push(t, q, of("x", "x7"))
	full(t, q, "x", "x8")
	push(t, q, of("y", "y0"), of("y", "y1"), of("y", "y2"), of("z", "z0"))
	full(t, q, "z", "z1")
	same(t, "list", queued(t, q), []string{"x4", "x5", "x6", "x7", "y0", "y1", "y2", "z0"})
}

// queueLastPriority tests a [flow.SharedQueue].
func queueLastPriority(t *testing.T, q flow.Queue) {
	shared, is := q.(flow.SharedQueue)
	if !is {
		t.Skip("this queue is no flow.SharedQueue")
	}
	none := math.Inf(-1)
	last := func(when string, most, want float64) {
		t.Helper()
		got, err := shared.LastPriority(t.Context(), most)
		if err != nil {
			t.Fatalf("%s: LastPriority: %v", when, err)
		}
		if got != want {
			t.Errorf("%s: LastPriority up to %v is %v, want %v", when, most, got, want)
		}
	}
	last("empty", math.MaxFloat64, none)
	for id, priority := range map[string]float64{"one": 1, "five": 5, "half": -2.5, "large": 1e300} {
		push(t, q, &nodebus.Prompt{ID: id, Priority: priority})
	}
	last("four wait", math.MaxFloat64, 1e300)
	last("four wait", 1e299, 5)
	last("four wait", 5, 5)
	last("four wait", 4.5, 1)
	last("four wait", -2.5, -2.5)
	last("four wait", -3, none)
	l, err := q.TakeOne(t.Context(), "five")
	if err != nil {
		t.Fatalf("take five: %v", err)
	}
	last("five is leased", 100, 1)
	if err := l.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	last("five is released", 100, 5)
	if err := q.Move(t.Context(), "one", 7); err != nil {
		t.Fatalf("move: %v", err)
	}
	last("one is moved", 100, 7)
	if _, err := q.Delete(t.Context(), "one"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	last("one is deleted", 100, 5)
}

// queueExpired tests a [flow.ExpiringQueue].
func queueExpired(t *testing.T, q flow.Queue) {
	expiring, is := q.(flow.ExpiringQueue)
	if !is {
		t.Skip("this queue is no flow.ExpiringQueue")
	}
	now := time.Now()
	expired := func(when string, now time.Time, want ...string) {
		t.Helper()
		got, err := expiring.Expired(t.Context(), now)
		if err != nil {
			t.Fatalf("%s: Expired: %v", when, err)
		}
		slices.Sort(got)
		same(t, when+": Expired", got, want)
	}
	expired("empty", now)
	for id, at := range map[string]time.Time{
		"deleted": now.Add(-time.Second), "early": now.Add(time.Hour), "late": now.Add(-time.Second),
		"moved": now.Add(-time.Second), "none": {}, "taken": now.Add(-time.Second),
	} {
		push(t, q, &nodebus.Prompt{ID: id, Policy: nodebus.Policy{Deadline: at}})
	}
	expired("all wait", now, "deleted", "late", "moved", "taken")
	expired("earlier", now.Add(-time.Minute))
	l, err := q.TakeOne(t.Context(), "taken")
	if err != nil {
		t.Fatalf("take: %v", err)
	}
	if err := q.Move(t.Context(), "moved", -1); err != nil {
		t.Fatalf("move: %v", err)
	}
	if _, err := q.Delete(t.Context(), "deleted"); err != nil {
		t.Fatalf("delete: %v", err)
	}
	expired("one is leased", now, "late", "moved")
	if err := l.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	expired("it is released", now, "late", "moved", "taken")
	expired("later", now.Add(2*time.Hour), "early", "late", "moved", "taken")
}
