package conform

import (
	"context"
	"testing"

	"github.com/nodebus/nodebus"
)

// logRemembers tests a [nodebus.RememberingLog].
func logRemembers(t *testing.T, l nodebus.Log) {
	remembering, is := l.(nodebus.RememberingLog)
	if !is {
		t.Skip("this log is no nodebus.RememberingLog")
	}
	h := follow(t, l)
	closed := func(when, id string, want bool) {
		t.Helper()
		if got := remembering.Closed(id); got != want {
			t.Errorf("%s: Closed of prompt %q is %v, want %v", when, id, got, want)
		}
	}
	closed("nothing was said", "1", false)
	h.add(t, l, beginning("1"), beginning("2"), about("1", nodebus.Executing{UniqueID: "5", PromptID: "1"}))
	closed("a node runs", "1", false)
	h.add(t, l, about("1", nodebus.ExecutionSuccess{PromptID: "1"}))
	closed("the outcome is known, and the end is not", "1", false)
	h.add(t, l, ending("1"))
	closed("the prompt has ended", "1", true)
	closed("another prompt has ended", "2", false)
	h.add(t, l, beginning("1"))
	closed("the prompt has begun again", "1", false)
	h.add(t, l, ending("1"), ending("2"), ending("silent"))
	for _, id := range []string{"1", "2", "silent"} {
		closed("all have ended", id, true)
	}
	drop(t, l, "1")
	closed("the prompt was dropped", "1", false)
	closed("another prompt was dropped", "2", true)
}

// reopenRemembers tests a [nodebus.RememberingLog] that is opened again.
func reopenRemembers(t *testing.T, l nodebus.Log, reopen func() nodebus.Log) {
	if _, is := l.(nodebus.RememberingLog); !is {
		t.Skip("this log is no nodebus.RememberingLog")
	}
	h := follow(t, l)
	h.add(t, l, beginning("1"), ending("1"), beginning("runs"), beginning("again"), ending("again"), beginning("again"))
	h.stop()
	l = reopen()
	for id, want := range map[string]bool{"1": true, "runs": false, "again": false, "unknown": false} {
		if got := l.(nodebus.RememberingLog).Closed(id); got != want {
			t.Errorf("after reopening: Closed of prompt %q is %v, want %v", id, got, want)
		}
	}
}

// flushes tests that what one process has appended to a [nodebus.FlushingLog] is there for
// another process after Flush. Both may have the same log.
func flushes(t *testing.T, l logs) {
	flushing, is := l[0].(nodebus.FlushingLog)
	if !is {
		t.Skip("this log is no nodebus.FlushingLog")
	}
	flush := func(ctx context.Context) (err error) {
		within(t, "Flush", func() { err = flushing.Flush(ctx) })
		return err
	}
	const each = 20
	for n := 0; n < 10*each; n += each {
		for i := range each {
			if err := l[0].Append(about("1", mark{"x", n + i})); err != nil {
				t.Fatalf("Append: %v", err)
			}
		}
		if err := flush(t.Context()); err != nil {
			t.Fatalf("Flush: %v", err)
		}
		h := follow(t, l[1])
		page := read(t, l[1], nodebus.LogQuery{Prompts: []string{"1"}, UpTo: h.at.ID})
		h.stop()
		if len(page.Events) != n+each {
			t.Fatalf("after Flush, Read returns %d of %d events", len(page.Events), n+each)
		}
	}
	if err := flush(t.Context()); err != nil {
		t.Errorf("Flush although nothing waits: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if err := l[0].Append(about("1", mark{"x", -1})); err != nil {
		t.Fatalf("Append: %v", err)
	}
	_ = flush(ended) // nil if the event is stored
}
