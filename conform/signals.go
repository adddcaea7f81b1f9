package conform

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nodebus/nodebus/flow"
)

// Signals tests a [flow.Signals] against its contract. fresh returns new, empty signals
// with room for at least a hundred signals of a prompt.
func Signals(t *testing.T, fresh func(t *testing.T) flow.Signals) {
	tests := map[string]func(*testing.T, flow.Signals){
		"a receiver gets the kept signals, then the new ones": signalsInOrder,
		"a signal comes back as it was sent":                  signalsKeep,
		"each prompt has its own signals":                     signalsApart,
		"Send returns the error of the receiver":              signalsRefused,
		"an error for a kept signal does not forget it":       signalsKeptErrors,
		"a later receiver gets all signals again":             signalsAgain,
		"a new receiver replaces the earlier one":             signalsReplace,
		"after stop, signals are only kept":                   signalsStop,
		"Drop forgets the signals of one prompt":              signalsDrop,
		"a receiver is not called twice at the same time":     signalsOneAtATime,
		"no signal is lost while receivers change":            signalsChange,
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) { test(t, fresh(t)) })
	}
}

// mailbox is a receiver that remembers the names of the signals.
type mailbox struct {
	mu    sync.Mutex
	names []string
	err   error // returned for each signal
}

func (b *mailbox) receive(s flow.Signal) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.names = append(b.names, s.Name)
	return b.err
}

func (b *mailbox) got() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]string(nil), b.names...)
}

func receive(t *testing.T, s flow.Signals, prompt string, f func(flow.Signal) error) (stop func()) {
	t.Helper()
	within(t, "beginning to receive", func() {
		var err error
		if stop, err = s.Receive(prompt, f); err != nil {
			t.Errorf("receive: %v", err)
		}
	})
	if stop == nil {
		t.FailNow()
	}
	return stop
}

// send sends signals with these names.
func send(t *testing.T, s flow.Signals, prompt string, names ...string) {
	t.Helper()
	for _, name := range names {
		sendsWith(t, s, prompt, name, nil)
	}
}

func sendsWith(t *testing.T, s flow.Signals, prompt, name string, want error) {
	t.Helper()
	var err error
	within(t, "sending a signal", func() {
		err = s.Send(t.Context(), flow.Signal{PromptID: prompt, Node: "1", Name: name, Answer: json.RawMessage(`1`)})
	})
	if !errors.Is(err, want) {
		t.Errorf("Send of %s returns %v, want %v", name, err, want)
	}
}

func signalsInOrder(t *testing.T, s flow.Signals) {
	box := &mailbox{}
	send(t, s, "p", "a", "b", "c")
	stop := receive(t, s, "p", box.receive)
	defer stop()
	same(t, "after Receive", box.got(), []string{"a", "b", "c"})
	for _, name := range []string{"d", "e"} {
		send(t, s, "p", name)
		if got := box.got(); got[len(got)-1] != name {
			t.Errorf("Send of %s has returned before the receiver got it: %q", name, got)
		}
	}
	same(t, "at the end", box.got(), []string{"a", "b", "c", "d", "e"})
}

// signalsKeep compares JSON, because signals may be stored as JSON.
func signalsKeep(t *testing.T, s flow.Signals) {
	var want []string
	for _, sent := range []flow.Signal{
		{PromptID: "p", Interrupt: true},
		{PromptID: "p", Node: "1.0.0.a", Name: "q é", Answer: json.RawMessage(`{"a":[1,null,"x"]}`)},
		{PromptID: "p", Node: "1", Answer: json.RawMessage(`null`)},
		{PromptID: "p", Node: "2", Name: "q", Refused: true, Reason: "no"},
	} {
		text, _ := json.Marshal(sent)
		want = append(want, string(text))
		if err := s.Send(t.Context(), sent); err != nil {
			t.Fatalf("send: %v", err)
		}
	}
	var got []string
	stop := receive(t, s, "p", func(x flow.Signal) error {
		text, err := json.Marshal(x)
		got = append(got, string(text))
		return err
	})
	stop()
	same(t, "signals", got, want)
}

func signalsApart(t *testing.T, s flow.Signals) {
	a, b := &mailbox{}, &mailbox{}
	send(t, s, "a", "a1")
	send(t, s, "b", "b1")
	defer receive(t, s, "a", a.receive)()
	defer receive(t, s, "b", b.receive)()
	send(t, s, "b", "b2")
	send(t, s, "a", "a2")
	same(t, "prompt a", a.got(), []string{"a1", "a2"})
	same(t, "prompt b", b.got(), []string{"b1", "b2"})
}

func signalsRefused(t *testing.T, s flow.Signals) {
	box, later := &mailbox{err: errors.New("no")}, &mailbox{}
	stop := receive(t, s, "p", box.receive)
	sendsWith(t, s, "p", "refused", box.err)
	same(t, "the receiver", box.got(), []string{"refused"})
	stop()
	send(t, s, "p", "a")
	defer receive(t, s, "p", later.receive)()
	same(t, "a later receiver, after a refused signal", later.got(), []string{"a"})
}

func signalsKeptErrors(t *testing.T, s flow.Signals) {
	box, later := &mailbox{err: errors.New("no")}, &mailbox{}
	send(t, s, "p", "a", "b")
	receive(t, s, "p", box.receive)()
	same(t, "the first receiver", box.got(), []string{"a", "b"})
	defer receive(t, s, "p", later.receive)()
	same(t, "a later receiver", later.got(), []string{"a", "b"})
}

func signalsAgain(t *testing.T, s flow.Signals) {
	send(t, s, "p", "a")
	for i := range 3 {
		box := &mailbox{}
		stop := receive(t, s, "p", box.receive)
		want := []string{"a", "b0", "b1", "b2"}[:i+1]
		same(t, fmt.Sprint("receiver ", i), box.got(), want)
		send(t, s, "p", fmt.Sprint("b", i))
		stop()
	}
}

func signalsReplace(t *testing.T, s flow.Signals) {
	first, second := &mailbox{}, &mailbox{}
	stop := receive(t, s, "p", first.receive)
	defer receive(t, s, "p", second.receive)()
	send(t, s, "p", "a")
	stop()
	send(t, s, "p", "b")
	same(t, "the replaced receiver", first.got(), nil)
	same(t, "the new receiver, whatever the other stops", second.got(), []string{"a", "b"})
}

func signalsStop(t *testing.T, s flow.Signals) {
	box, later := &mailbox{}, &mailbox{}
	stop := receive(t, s, "p", box.receive)
	stop()
	stop()
	send(t, s, "p", "a")
	same(t, "a receiver that has stopped", box.got(), nil)
	defer receive(t, s, "p", later.receive)()
	same(t, "a later receiver", later.got(), []string{"a"})
}

func signalsDrop(t *testing.T, s flow.Signals) {
	send(t, s, "p", "a", "b")
	send(t, s, "other", "c")
	for range 2 {
		if err := s.Drop(t.Context(), "p"); err != nil {
			t.Errorf("drop: %v", err)
		}
	}
	send(t, s, "p", "d")
	box, other := &mailbox{}, &mailbox{}
	defer receive(t, s, "p", box.receive)()
	defer receive(t, s, "other", other.receive)()
	same(t, "after Drop", box.got(), []string{"d"})
	same(t, "another prompt", other.got(), []string{"c"})
}

func signalsOneAtATime(t *testing.T, s flow.Signals) {
	box := &mailbox{}
	var inside, most atomic.Int32
	defer receive(t, s, "p", func(x flow.Signal) error {
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer inside.Add(-1)
		for range 100 { // another call can begin, also on one processor
			runtime.Gosched()
		}
		return box.receive(x)
	})()
	sendAll(t, s, 4, 25)
	if most.Load() > 1 {
		t.Errorf("the receiver was called %d times at the same time", most.Load())
	}
	complete(t, box.got(), 4, 25)
}

func signalsChange(t *testing.T, s flow.Signals) {
	var all sync.WaitGroup
	all.Go(func() {
		for range 50 {
			stop, err := s.Receive("p", func(flow.Signal) error { return nil })
			if err != nil {
				t.Errorf("receive: %v", err)
				return
			}
			stop()
		}
	})
	sendAll(t, s, 4, 25)
	within(t, "receiving", all.Wait)
	box := &mailbox{}
	defer receive(t, s, "p", box.receive)()
	complete(t, box.got(), 4, 25)
}

// sendAll sends n signals in each of some goroutines.
func sendAll(t *testing.T, s flow.Signals, senders, n int) {
	t.Helper()
	var all sync.WaitGroup
	for w := range senders {
		all.Go(func() {
			for i := range n {
				x := flow.Signal{PromptID: "p", Node: "1", Name: fmt.Sprint(w, " ", i), Answer: json.RawMessage(`1`)}
				if err := s.Send(t.Context(), x); err != nil {
					t.Errorf("send: %v", err)
				}
			}
		})
	}
	within(t, "sending in several goroutines", all.Wait)
}

// complete checks that all signals of sendAll have come once, and that the signals of each
// sender are in order.
func complete(t *testing.T, names []string, senders, n int) {
	t.Helper()
	next := make([]int, senders)
	for _, name := range names {
		var w, i int
		if _, err := fmt.Sscan(name, &w, &i); err != nil || i != next[w] {
			t.Fatalf("sender %d: got signal %d, want %d (%v)", w, i, next[w], err)
		}
		next[w]++
	}
	for w, got := range next {
		if got != n {
			t.Errorf("sender %d: %d of %d signals have come", w, got, n)
		}
	}
}
