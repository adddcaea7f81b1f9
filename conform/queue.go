package conform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

// Queue tests a [flow.Queue] against its contract. fresh returns a new, empty queue
// with room for at least a hundred prompts.
func Queue(t *testing.T, fresh func(t *testing.T) flow.Queue) {
	tests := map[string]func(*testing.T, flow.Queue){
		"the smallest number first, then in order of arrival": queueOrder,
		"a prompt that is not ready keeps its place":          queueReady,
		"pop waits for a prompt":                              queueWaits,
		"pop ends when its context ends":                      queueContext,
		"delete removes waiting prompts":                      queueDelete,
		"a reader of the list may stop early":                 queueListStops,
		"each prompt is taken once":                           queueOnce,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

func anyPrompt(*nodebus.Prompt) bool { return true }

func push(t *testing.T, q flow.Queue, id string, priority float64) {
	t.Helper()
	if err := q.Push(t.Context(), &nodebus.Prompt{ID: id, Priority: priority}); err != nil {
		t.Fatalf("push %s: %v", id, err)
	}
}

func pop(t *testing.T, q flow.Queue, ready func(*nodebus.Prompt) bool) (id string) {
	t.Helper()
	within(t, "taking a prompt", func() {
		p, err := q.Pop(t.Context(), ready)
		if err != nil {
			t.Errorf("pop: %v", err)
			return
		}
		id = p.ID
	})
	return id
}

func queued(t *testing.T, q flow.Queue) (ids []string) {
	t.Helper()
	for p, err := range q.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		ids = append(ids, p.ID)
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
		push(t, q, p.id, p.priority)
	}
	want := []string{"front", "half", "z", "a", "m", "late"}
	same(t, "list", queued(t, q), want)
	var got []string
	for range want {
		got = append(got, pop(t, q, anyPrompt))
	}
	same(t, "pop", got, want)
	same(t, "list of what is left", queued(t, q), nil)
}

func queueReady(t *testing.T, q flow.Queue) {
	push(t, q, "a", 0)
	push(t, q, "b", 1)
	push(t, q, "c", 2)
	same(t, "pop", []string{pop(t, q, func(p *nodebus.Prompt) bool { return p.ID != "a" })}, []string{"b"})
	same(t, "list", queued(t, q), []string{"a", "c"})
}

func queueWaits(t *testing.T, q flow.Queue) {
	got := make(chan string, 1)
	go func() {
		p, err := q.Pop(context.WithoutCancel(t.Context()), func(p *nodebus.Prompt) bool { return p.ID == "wanted" })
		if err != nil {
			got <- err.Error()
			return
		}
		got <- p.ID
	}()
	push(t, q, "other", 0)
	push(t, q, "wanted", 0)
	within(t, "waiting in Pop for a new prompt", func() { same(t, "pop", []string{<-got}, []string{"wanted"}) })
}

func queueContext(t *testing.T, q flow.Queue) {
	push(t, q, "a", 0)
	ctx, cancel := context.WithCancel(t.Context())
	asked := make(chan struct{}, 1)
	ended := make(chan error, 1)
	go func() {
		_, err := q.Pop(ctx, func(*nodebus.Prompt) bool {
			select {
			case asked <- struct{}{}:
			default:
			}
			return false
		})
		ended <- err
	}()
	within(t, "asking whether a prompt is ready", func() { <-asked })
	cancel()
	within(t, "ending with the context", func() {
		if err := <-ended; !errors.Is(err, context.Canceled) {
			t.Errorf("pop ended with %v", err)
		}
	})
	same(t, "list", queued(t, q), []string{"a"})
}

func queueDelete(t *testing.T, q flow.Queue) {
	for _, id := range []string{"a", "b", "c"} {
		push(t, q, id, 0)
	}
	gone, err := q.Delete(t.Context(), "c", "nobody", "a")
	if err != nil {
		t.Fatalf("delete: %v", err)
	}
	slices.Sort(gone)
	same(t, "deleted", gone, []string{"a", "c"})
	same(t, "list", queued(t, q), []string{"b"})
	if gone, err = q.Delete(t.Context()); err != nil || len(gone) > 0 {
		t.Errorf("deleting nothing: %q, %v", gone, err)
	}
}

func queueListStops(t *testing.T, q flow.Queue) {
	push(t, q, "a", 0)
	push(t, q, "b", 0)
	for p, err := range q.List(t.Context()) {
		if err != nil {
			t.Fatalf("list: %v", err)
		}
		same(t, "first", []string{p.ID}, []string{"a"})
		break
	}
	same(t, "pop", []string{pop(t, q, anyPrompt)}, []string{"a"})
}

// queueOnce pushes from several goroutines and pops from several goroutines.
func queueOnce(t *testing.T, q flow.Queue) {
	const n = 100
	var all sync.WaitGroup
	taken := make(chan string, n)
	for w := range 4 {
		all.Go(func() {
			for i := range n / 4 {
				if err := q.Push(t.Context(), &nodebus.Prompt{ID: fmt.Sprint(w, "-", i)}); err != nil {
					t.Errorf("push: %v", err)
				}
			}
		})
		all.Go(func() {
			for range n / 4 {
				p, err := q.Pop(t.Context(), anyPrompt)
				if err != nil {
					t.Errorf("pop: %v", err)
					return
				}
				taken <- p.ID
			}
		})
	}
	within(t, "taking all", all.Wait)
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
}
