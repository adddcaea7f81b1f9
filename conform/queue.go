package conform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Queue tests a [flow.Queue] against its contract. fresh returns a new, empty queue
// with room for at least a hundred prompts. If the queue is a [flow.SharedQueue] or a
// [flow.ExpiringQueue], the suite tests that, too.
//
// To see a lease lapse, the suite shortens it with Extend to a tenth of a second and
// waits as long as it takes, up to 20 seconds.
func Queue(t *testing.T, fresh func(t *testing.T) flow.Queue) {
	tests := map[string]func(*testing.T, flow.Queue){
		"the smallest number first, then in order of arrival": queueOrder,
		"a prompt comes back as it was pushed":                queueKeeps,
		"secrets come back, or Push refuses them":             queueSecrets,
		"Push of an id that waits is refused":                 queueWaiting,
		"Move gives a waiting prompt another priority":        queueMoves,
		"Push of an id that is leased is refused":             queueLeased,
		"Delete removes waiting prompts only":                 queueDelete,
		"TakeOne leases the prompt that it names":             queueTakesOne,
		"a reader of the list may stop early":                 queueListStops,
		"Len counts waiting and leased prompts":               queueLen,
		"List yields what is leased, then what waits":         queueLists,
		"List yields each prompt once":                        queueListsOnce,
		"Take asks about each client once, in order":          queueAsks,
		"prompts of a client do not overtake each other":      queueNoOvertaking,
		"skip may call the queue":                             queueSkipCalls,
		"a panic of skip leaves the queue usable":             queueSkipPanics,
		"Take waits for a prompt":                             queueWaitsForPush,
		"Take waits for a release":                            queueWaitsForRelease,
		"Take waits for a lapse":                              queueWaitsForLapse,
		"Take ends when its context ends":                     queueContext,
		"a Take that is ended leases nothing in secret":       queueEndsTakes,
		"Done removes a prompt for good":                      queueDone,
		"Release gives the old place back and does not count": queueRelease,
		"a lapse gives the old place back and counts":         queueLapse,
		"a lease that has lapsed can do nothing":              queueLapsed,
		"Extend keeps a lease":                                queueExtend,
		"each prompt is leased once":                          queueOnce,
		"LastPriority is of prompts that wait":                queueLastPriority,
		"Expired names waiting prompts after their deadlines": queueExpired,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// soon is the duration of a lease that the suite lets expire.
const soon = 100 * time.Millisecond

func nobody(string) bool { return false }

func push(t *testing.T, q flow.Queue, prompts ...*nodebus.Prompt) {
	t.Helper()
	for _, p := range prompts {
		if err := q.Push(t.Context(), p, nil); err != nil {
			t.Fatalf("push %s: %v", p.ID, err)
		}
	}
}

// of returns a prompt of a client.
func of(client, id string) *nodebus.Prompt { return &nodebus.Prompt{ID: id, ClientID: client} }

func ids(prompts ...string) (ps []*nodebus.Prompt) {
	for _, id := range prompts {
		ps = append(ps, of("", id))
	}
	return ps
}

// take leases the prompt that must be the first one.
func take(t *testing.T, q flow.Queue, want string) flow.Lease {
	t.Helper()
	return takes(t, q, want, nobody)
}

func takes(t *testing.T, q flow.Queue, want string, skip func(string) bool) (lease flow.Lease) {
	t.Helper()
	within(t, "taking a prompt", func() {
		var err error
		if lease, err = q.Take(t.Context(), skip); err != nil {
			t.Errorf("take: %v", err)
		}
	})
	if lease == nil {
		t.FailNow()
	}
	if got := lease.Job().Prompt.ID; got != want {
		t.Fatalf("took prompt %q, want %q", got, want)
	}
	return lease
}

// waiter is a Take that waits, because it skips the client "skipped".
type waiter struct {
	got    chan flow.Lease
	err    chan error
	cancel context.CancelFunc
}

// waits starts a Take and returns after the Take has begun to look for a prompt. A
// prompt of the client "skipped" must wait.
func waits(t *testing.T, q flow.Queue) *waiter {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &waiter{make(chan flow.Lease, 1), make(chan error, 1), cancel}
	asked := make(chan struct{})
	var once sync.Once
	go func() {
		lease, err := q.Take(ctx, func(client string) bool {
			once.Do(func() { close(asked) })
			return client == "skipped"
		})
		if err != nil {
			w.err <- err
			return
		}
		w.got <- lease
	}()
	within(t, "asking which client to skip", func() { <-asked })
	return w
}

// takes waits until the Take has leased the wanted prompt.
func (w *waiter) takes(t *testing.T, want string) (lease flow.Lease) {
	t.Helper()
	within(t, "waiting in Take", func() {
		select {
		case lease = <-w.got:
		case err := <-w.err:
			t.Errorf("take: %v", err)
		}
	})
	w.cancel()
	if lease == nil {
		t.FailNow()
	}
	if got := lease.Job().Prompt.ID; got != want {
		t.Fatalf("the waiting Take took prompt %q, want %q", got, want)
	}
	return lease
}

func attempt(t *testing.T, l flow.Lease, want int) {
	t.Helper()
	if got := l.Job().Attempt; got != want {
		t.Errorf("prompt %s has attempt %d, want %d", l.Job().Prompt.ID, got, want)
	}
}

func done(t *testing.T, l flow.Lease) {
	t.Helper()
	if err := l.Done(t.Context()); err != nil {
		t.Errorf("done %s: %v", l.Job().Prompt.ID, err)
	}
}

func extend(t *testing.T, l flow.Lease, d time.Duration) {
	t.Helper()
	if err := l.Extend(t.Context(), d); err != nil {
		t.Errorf("extend %s: %v", l.Job().Prompt.ID, err)
	}
}

func queued(t *testing.T, q flow.Queue) (ids []string) {
	t.Helper()
	for p, err := range q.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		if !p.Leased {
			ids = append(ids, p.Prompt.ID)
		}
	}
	return ids
}

func same(t *testing.T, what string, got, want []string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s: got %q, want %q", what, got, want)
	}
}

func queueOrder(t *testing.T, q flow.Queue) {
	for _, p := range []struct {
		id       string
		priority float64
	}{{"z", 1}, {"a", 1}, {"late", 2.5}, {"front", -3}, {"m", 1}, {"half", 0.5}} {
		push(t, q, &nodebus.Prompt{ID: p.id, Priority: p.priority})
	}
	want := []string{"front", "half", "z", "a", "m", "late"}
	same(t, "list", queued(t, q), want)
	for _, id := range want {
		attempt(t, take(t, q, id), 1)
	}
	same(t, "list of what is left", queued(t, q), nil)
}

// queueKeeps compares JSON, because a queue may store its prompts as JSON.
func queueKeeps(t *testing.T, q flow.Queue) {
	p := fullRecord("a").Prompt
	p.Nodes = append(p.Nodes, nodebus.NodeSpec{ID: "2", Class: "List", Inputs: nodebus.Inputs{
		"list": map[string]any{"__value__": []any{"1", 0.5}}, "flag": true, "none": nil,
	}})
	push(t, q, p)
	want, err := json.Marshal(p)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(take(t, q, "a").Job().Prompt)
	if err != nil || string(got) != string(want) {
		t.Errorf("got  %s (%v)\nwant %s", got, err, want)
	}
}

func queueSecrets(t *testing.T, q flow.Queue) {
	secrets := map[string]string{"KEY": "s3cret"}
	err := q.Push(t.Context(), of("", "a"), secrets)
	if errors.Is(err, flow.ErrSecrets) {
		same(t, "list after a refused Push", queued(t, q), nil)
		push(t, q, ids("a")...)
		take(t, q, "a")
		return
	}
	if err != nil {
		t.Fatalf("Push with secrets returns %v, want nil or ErrSecrets", err)
	}
	check := func(l flow.Lease) flow.Lease {
		if s := l.Job().Secrets; len(s) != 1 || s["KEY"] != "s3cret" {
			t.Errorf("the secrets of attempt %d are %q", l.Job().Attempt, s)
		}
		return l
	}
	l := check(take(t, q, "a"))
	if err := l.Release(t.Context()); err != nil {
		t.Fatalf("release: %v", err)
	}
	extend(t, check(take(t, q, "a")), soon)
	check(take(t, q, "a")) // after the lapse
}

func queueWaiting(t *testing.T, q flow.Queue) {
	push(t, q, ids("a", "b")...)
	if err := q.Push(t.Context(), of("new", "a"), nil); !errors.Is(err, flow.ErrDuplicate) {
		t.Errorf("Push of a waiting id returns %v, want ErrDuplicate", err)
	}
	same(t, "list", queued(t, q), []string{"a", "b"})
	if got := take(t, q, "a").Job().Prompt.ClientID; got != "" {
		t.Errorf("the refused Push has changed the client to %q", got)
	}
}

func queueMoves(t *testing.T, q flow.Queue) {
	push(t, q, ids("a", "b", "c")...)
	move := func(id string, priority float64, want error) {
		t.Helper()
		if err := q.Move(t.Context(), id, priority); !errors.Is(err, want) {
			t.Errorf("Move of %s returns %v, want %v", id, err, want)
		}
	}
	move("a", 0, nil)
	same(t, "list after a move to the same priority", queued(t, q), []string{"b", "c", "a"})
	move("c", -1, nil)
	same(t, "list after a move to the front", queued(t, q), []string{"c", "b", "a"})
	l := take(t, q, "c")
	if got := l.Job().Prompt.Priority; got != -1 {
		t.Errorf("the priority of the moved prompt is %v, want -1", got)
	}
	attempt(t, l, 1)
	move("c", 5, flow.ErrNotFound)
	move("nobody", 5, flow.ErrNotFound)
	same(t, "list", queued(t, q), []string{"b", "a"})
}

func queueLeased(t *testing.T, q flow.Queue) {
	push(t, q, ids("a")...)
	l := take(t, q, "a")
	if err := q.Push(t.Context(), of("", "a"), nil); !errors.Is(err, flow.ErrDuplicate) {
		t.Errorf("Push of a leased id returns %v, want ErrDuplicate", err)
	}
	same(t, "list", queued(t, q), nil)
	done(t, l)
	push(t, q, ids("a")...)
	attempt(t, take(t, q, "a"), 1)
}

func queueDelete(t *testing.T, q flow.Queue) {
	push(t, q, ids("leased", "a", "b", "c")...)
	l := take(t, q, "leased")
	gone, err := q.Delete(t.Context(), "c", "nobody", "a", "leased")
	if err != nil {
		t.Fatalf("delete: %v", err)
	}
	var deleted []string
	for _, p := range gone {
		deleted = append(deleted, p.ID)
	}
	slices.Sort(deleted)
	same(t, "deleted", deleted, []string{"a", "c"})
	same(t, "list", queued(t, q), []string{"b"})
	if gone, err = q.Delete(t.Context()); err != nil || len(gone) > 0 {
		t.Errorf("deleting nothing: %v, %v", gone, err)
	}
	if err := l.Release(t.Context()); err != nil {
		t.Errorf("Release of a prompt that Delete was called for: %v", err)
	}
	same(t, "list", queued(t, q), []string{"leased", "b"})
	if gone, err = q.Delete(t.Context(), "leased"); err != nil || len(gone) != 1 {
		t.Errorf("Delete of a released prompt: %v, %v", gone, err)
	}
	take(t, q, "b")
}

func queueListStops(t *testing.T, q flow.Queue) {
	push(t, q, ids("a", "b")...)
	for p, err := range q.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		same(t, "first", []string{p.Prompt.ID}, []string{"a"})
		take(t, q, "a") // the queue is not locked
		break
	}
	take(t, q, "b")
}

// queueOnce pushes and takes in several goroutines.
func queueOnce(t *testing.T, q flow.Queue) {
	const n = 100
	var all sync.WaitGroup
	taken := make(chan string, 2*n)
	for w := range 4 {
		all.Go(func() {
			for i := range n / 4 {
				if err := q.Push(t.Context(), of(fmt.Sprint(w), fmt.Sprint(w, "-", i)), nil); err != nil {
					t.Errorf("push: %v", err)
				}
			}
		})
		for range 2 {
			all.Go(func() {
				for range n / 8 {
					l, err := q.Take(t.Context(), nobody)
					if err != nil {
						t.Errorf("take: %v", err)
						return
					}
					taken <- l.Job().Prompt.ID
					done(t, l)
				}
			})
		}
	}
	left := n - 8*(n/8)
	within(t, "pushing and taking", all.Wait)
	for range left {
		within(t, "taking the rest", func() {
			if l, err := q.Take(t.Context(), nobody); err == nil {
				taken <- l.Job().Prompt.ID
			}
		})
	}
	close(taken)
	seen := map[string]bool{}
	for id := range taken {
		if seen[id] {
			t.Errorf("%s was taken twice", id)
		}
		seen[id] = true
	}
	if len(seen) != n {
		t.Errorf("%d of %d prompts were taken", len(seen), n)
	}
	same(t, "list", queued(t, q), nil)
}
