package conform

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/nodebus/nodebus"
)

// hubTests are the tests of two hubs that share a log.
var hubTests = map[string]func(*testing.T, logs){
	"hubs: each client receives every event once":     hubsDeliver,
	"hubs: a cursor continues at the other hub":       hubsResume,
	"hubs: every event is a place to continue":        hubsResumeAnywhere,
	"hubs: a slow client continues from the log":      hubsReadOn,
	"hubs: a payload may change after Publish":        hubsKeepPayloads,
	"hubs: a prompt ends at both hubs":                hubsEndPrompts,
	"hubs: a hub that joins later replays prompts":    hubsReplay,
	"hubs: a cursor of another log begins with a gap": hubsKnowTheirLog,
}

// Logs tests that processes share one log: each of them has a [nodebus.Log] of its own,
// with the same events. open returns the logs of two processes, without events; each test
// calls it once. [Log] tests each of them; its limits apply. A test that uses random
// numbers logs its seed.
func Logs(t *testing.T, open func(t *testing.T) (a, b nodebus.Log)) {
	for name, test := range hubTests {
		t.Run(name, func(t *testing.T) {
			a, b := open(t)
			test(t, logs{a, b})
		})
	}
	t.Run("all processes have the same events", func(t *testing.T) {
		a, b := open(t)
		logsAgree(t, logs{a, b})
	})
	t.Run("events are stored after Flush", func(t *testing.T) {
		a, b := open(t)
		flushes(t, logs{a, b})
	})
}

// logsAgree lets both processes append to the same prompts at once: starts, ends, and
// events of several attempts. Both must pass on the same events, nothing after an end, and
// nothing of an older attempt.
func logsAgree(t *testing.T, l logs) {
	const each = 1000
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	heard := []*heard{follow(t, l[0]), follow(t, l[1])}
	var all sync.WaitGroup
	for i := range l {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		all.Go(func() {
			for n := range each {
				ev := about(fmt.Sprint("p", rnd.IntN(5)), mark{fmt.Sprint(i), n})
				switch ev.Attempt = rnd.IntN(4); rnd.IntN(10) {
				case 0:
					ev.Payload = nodebus.Executing{PromptID: ev.PromptID}
				case 1, 2:
					ev.Payload = nodebus.ExecutionStart{PromptID: ev.PromptID}
				}
				if err := l[i].Append(ev); err != nil && !errors.Is(err, nodebus.ErrClosed) {
					t.Errorf("Append %s: %v", describe(ev), err)
				}
			}
			if err := l[i].Append(about("last", mark{"last", i})); err != nil {
				t.Errorf("Append: %v", err)
			}
		})
	}
	within(t, "appending", all.Wait)
	events := untilLast(t, heard[0])
	equal(t, "the other process", describeKept(untilLast(t, heard[1])), describeKept(events))
	for i := range l {
		page := read(t, l[i], nodebus.LogQuery{All: true, UpTo: 1 << 62})
		ids := map[uint64]bool{}
		for _, ev := range events {
			ids[ev.ID] = true
		}
		for _, ev := range page.Events {
			if !ids[ev.ID] {
				t.Errorf("process %d has event %d, which no follower has received", i, ev.ID)
			}
		}
	}
	obeysPrompts(t, events)
}

// untilLast waits for the last events of both processes, and returns all events.
func untilLast(t *testing.T, h *heard) []nodebus.Event {
	t.Helper()
	for n := 2; ; n++ {
		events, last := h.await(t, n), 0
		for _, ev := range events {
			if ev.PromptID == "last" {
				last++
			}
		}
		if last == 2 {
			return events
		}
		n = max(n, len(events))
	}
}

// obeysPrompts checks that nothing follows the end of a prompt, and nothing a newer attempt.
func obeysPrompts(t *testing.T, events []nodebus.Event) {
	t.Helper()
	type state struct {
		over    bool
		attempt int
	}
	prompts := map[string]state{}
	for _, ev := range events {
		s := prompts[ev.PromptID]
		_, begins := ev.Payload.(nodebus.ExecutionStart)
		if s.over && !begins || !s.over && ev.Attempt > 0 && ev.Attempt < s.attempt {
			t.Errorf("the event %s comes after the end of its prompt, or after an event of attempt %d", describe(ev), s.attempt)
		}
		if s.over {
			s.attempt = 0
		}
		_, s.over = ev.Payload.(nodebus.Executing)
		s.attempt = max(s.attempt, ev.Attempt)
		prompts[ev.PromptID] = s
	}
}
