package conform

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/nodebus/nodebus/flow"
)

// SignalsReopens tests that a [flow.Signals] outlives its process. open returns new, empty
// signals, and a function that closes them and opens the same signals, as the next process
// does. Receivers of the first signals are stopped before. For signals in memory, reopen
// returns the signals themselves.
func SignalsReopens(t *testing.T, open func(t *testing.T) (s flow.Signals, reopen func() flow.Signals)) {
	for name, test := range map[string]func(t *testing.T, s flow.Signals, reopen func() flow.Signals){
		"kept signals come back as they were sent":  reopenKept,
		"received signals come back":                reopenReceived,
		"a refused signal does not come back":       reopenRefused,
		"dropped signals do not come back":          reopenDropped,
		"the first signals after reopening are new": reopenNew,
	} {
		t.Run(name, func(t *testing.T) {
			s, reopen := open(t)
			test(t, s, reopen)
		})
	}
}

// receives returns the names of the signals that a new receiver gets at once.
func receives(t *testing.T, s flow.Signals, prompt string) []string {
	t.Helper()
	box := &mailbox{}
	receive(t, s, prompt, box.receive)()
	return box.got()
}

// reopenKept compares JSON, because signals may be stored as JSON.
func reopenKept(t *testing.T, s flow.Signals, reopen func() flow.Signals) {
	var want []string
	for _, sent := range []flow.Signal{
		{PromptID: "p", Node: "1.0.0.a", Name: "q é", Answer: json.RawMessage(`{"a":[9007199254740993,null,"x"]}`)},
		{PromptID: "p", Interrupt: true},
		{PromptID: "p", Node: "1", Answer: json.RawMessage(`null`)},
		{PromptID: "p", Node: "2", Name: "q", Refused: true, Reason: "no"},
	} {
		text, _ := json.Marshal(sent)
		want = append(want, string(text))
		if err := s.Send(t.Context(), sent); err != nil {
			t.Fatalf("send: %v", err)
		}
	}
	send(t, s, "other", "o")
	s = reopen()
	var got []string
	receive(t, s, "p", func(x flow.Signal) error {
		text, err := json.Marshal(x)
		got = append(got, string(text))
		return err
	})()
	same(t, "signals after reopening", got, want)
	same(t, "signals of another prompt after reopening", receives(t, s, "other"), []string{"o"})
	same(t, "signals of a prompt that has none", receives(t, s, "nobody"), nil)
}

func reopenReceived(t *testing.T, s flow.Signals, reopen func() flow.Signals) {
	box := &mailbox{}
	send(t, s, "p", "a", "b")
	stop := receive(t, s, "p", box.receive)
	send(t, s, "p", "c")
	stop()
	send(t, s, "p", "d")
	for range 2 {
		s = reopen()
		same(t, "after reopening", receives(t, s, "p"), []string{"a", "b", "c", "d"})
	}
}

func reopenRefused(t *testing.T, s flow.Signals, reopen func() flow.Signals) {
	box := &mailbox{err: errors.New("no")}
	send(t, s, "p", "a")
	stop := receive(t, s, "p", box.receive)
	sendsWith(t, s, "p", "refused", box.err)
	stop()
	send(t, s, "p", "b")
	s = reopen()
	same(t, "after reopening, after a refused signal", receives(t, s, "p"), []string{"a", "b"})
}

func reopenDropped(t *testing.T, s flow.Signals, reopen func() flow.Signals) {
	send(t, s, "p", "a", "b")
	send(t, s, "pp", "c")
	if err := s.Drop(t.Context(), "p"); err != nil {
		t.Errorf("drop: %v", err)
	}
	send(t, s, "p", "d")
	s = reopen()
	same(t, "after Drop and reopening", receives(t, s, "p"), []string{"d"})
	if err := s.Drop(t.Context(), "p"); err != nil {
		t.Errorf("drop after reopening: %v", err)
	}
	same(t, "after reopening and Drop", receives(t, s, "p"), nil)
	s = reopen()
	same(t, "after reopening, Drop and reopening", receives(t, s, "p"), nil)
	same(t, "another prompt", receives(t, s, "pp"), []string{"c"})
}

func reopenNew(t *testing.T, s flow.Signals, reopen func() flow.Signals) {
	send(t, s, "p", "a", "b")
	s = reopen()
	box := &mailbox{}
	stop := receive(t, s, "p", box.receive)
	send(t, s, "p", "c")
	stop()
	same(t, "a receiver after reopening", box.got(), []string{"a", "b", "c"})
	send(t, s, "p", "d")
	s = reopen()
	same(t, "after reopening again", receives(t, s, "p"), []string{"a", "b", "c", "d"})
}
