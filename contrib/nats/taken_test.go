package nats_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// TestNoteThatComesLate: a process gives a prompt back that it has taken. Its note comes after the
// note of the process that takes the prompt next, which tells the end of the first attempt.
func TestNoteThatComesLate(t *testing.T) {
	opts := nats.Options{Name: newName()}
	first, back, last := open(t, shared, opts), open(t, shared, opts), open(t, shared, opts)
	all := attemptOf("p", 1, 1, true)
	appendAll(t, first.Log(), all[:2])
	flush(t, first.Log())
	nats.Taken(last, "p", 2, 8)
	flush(t, last.Log())
	nats.Taken(back, "p", 2, 7)
	flush(t, back.Log())
	appendAll(t, last.Log(), all[2:])
	flush(t, last.Log())
	require.Equal(t, []string{"1 execution_start", "1 said 1", "1 execution_success", "1 executing"}, shortsOf(t, last.Log()))
}

// TestEndThatWaitsForRoom: Append waits with the end of a prompt, because too much waits for NATS.
// Another process takes the prompt meanwhile, and tells the end again.
func TestEndThatWaitsForRoom(t *testing.T) {
	opts := nats.Options{Name: newName(), Logger: quiet}
	gate, late := openAt(t, opts)
	other := open(t, shared, opts)
	next := follow(t, other.Log())
	all := attemptOf("p", 1, 1, true)
	appendAll(t, late.Log(), all[:2])
	flush(t, late.Log())
	gate.set(true)
	appendAll(t, late.Log(), []nodebus.Event{about("q", nodebus.Custom{Type: "large", Data: strings.Repeat("x", 9<<20)})}) // it takes all room
	appended := make(chan error, 1)
	go func() {
		for _, ev := range all[2:] {
			if err := late.Log().Append(ev); err != nil {
				appended <- err
				return
			}
		}
		appended <- nil
	}()
	nats.AwaitQueued(late)
	nats.Taken(other, "p", 2, 7)
	appendAll(t, other.Log(), all[2:])
	flush(t, other.Log())
	gate.set(false)
	require.NoError(t, <-appended)
	appendAll(t, late.Log(), []nodebus.Event{about("r", said(9))})
	for _, want := range []string{"1 execution_start", "1 said 1", "1 execution_success", "1 executing"} {
		require.Equal(t, want, short(next()))
	}
	require.Equal(t, "large", next().Payload.EventType())
	require.Equal(t, "0 said 9", short(next()))
}

// TestLateAttemptOfAForgottenPrompt: the events of a prompt that runs have no room any more, so that
// the memory of the processes does not know its attempt. The events of an earlier attempt are left
// out all the same.
func TestLateAttemptOfAForgottenPrompt(t *testing.T) {
	opts := nats.Options{Name: newName(), Log: &nodebus.HubOptions{KeepLen: 20}}
	late, other := open(t, shared, opts), open(t, shared, opts)
	next := follow(t, other.Log())
	nats.StopReading(late, "LOG")
	t.Cleanup(func() { nats.EndLog(late, nodebus.ErrClosed) }) // so that Close does not wait
	nats.Taken(other, "p", 2, 7)
	appendAll(t, other.Log(), attemptOf("p", 2, 2, false))
	require.Equal(t, "2 execution_start", short(next()))
	require.Equal(t, "2 said 2", short(next()))
	for n := range 40 {
		appendAll(t, other.Log(), []nodebus.Event{about(fmt.Sprint("q", n), said(n))})
		next()
	}
	appendAll(t, late.Log(), attemptOf("p", 1, 1, true))
	nats.AwaitSending(late)
	appendAll(t, late.Log(), []nodebus.Event{about("r", said(9))}) // it is stored after the batch before
	require.Equal(t, "0 said 9", short(next()))
}

// TestNewPromptOfWhoHasEndedTheOld: a process has ended a prompt with its third attempt, and begins a
// new one with the id. It is cut off when the new one ends, and another process repeats this end.
func TestNewPromptOfWhoHasEndedTheOld(t *testing.T) {
	opts := nats.Options{Name: newName(), Logger: quiet}
	gate, late := openAt(t, opts)
	other := open(t, shared, opts)
	next := follow(t, other.Log())
	all := attemptOf("p", 1, 1, true)
	nats.Taken(late, "p", 3, 8)
	appendAll(t, late.Log(), attemptOf("p", 3, 3, true))
	appendAll(t, late.Log(), all[:2])
	flush(t, late.Log())
	gate.set(true)
	appendAll(t, late.Log(), all[2:])
	nats.Taken(other, "p", 2, 20)
	flush(t, other.Log())
	appendAll(t, other.Log(), all[2:])
	flush(t, other.Log())
	gate.set(false)
	flush(t, late.Log())
	appendAll(t, late.Log(), []nodebus.Event{about("q", said(9))})
	for _, want := range []string{
		"3 execution_start", "3 said 3", "3 execution_success", "3 executing",
		"1 execution_start", "1 said 1", "1 execution_success", "1 executing", "0 said 9",
	} {
		require.Equal(t, want, short(next()))
	}
}

// TestNewPromptThatAnotherProcessContinues: a process has ended a prompt with its second attempt, and
// begins a new one with the id. Whoever continues the new one is not late.
func TestNewPromptThatAnotherProcessContinues(t *testing.T) {
	for _, attempt := range []int{0, 1} {
		t.Run(fmt.Sprint("attempt ", attempt), func(t *testing.T) {
			opts := nats.Options{Name: newName()}
			first, second := open(t, shared, opts), open(t, shared, opts)
			next := follow(t, first.Log())
			appendAll(t, first.Log(), attemptOf("p", 2, 2, true))
			appendAll(t, first.Log(), attemptOf("p", attempt, 1, false)[:1])
			flush(t, first.Log())
			require.NoError(t, nats.CatchUpLog(t.Context(), second.Log()))
			appendAll(t, second.Log(), attemptOf("p", 1, 1, true)[1:])
			flush(t, second.Log())
			appendAll(t, second.Log(), []nodebus.Event{about("q", said(9))})
			for _, want := range []string{
				"2 execution_start", "2 said 2", "2 execution_success", "2 executing",
				fmt.Sprint(attempt, " execution_start"), "1 said 1", "1 execution_success", "1 executing", "0 said 9",
			} {
				require.Equal(t, want, short(next()))
			}
		})
	}
}

// TestNoteOfAnOldPrompt: a process is cut off when it has taken a prompt. Another one takes the prompt
// and ends it, and a third one begins a new prompt with the id. The note of the first comes only then.
func TestNoteOfAnOldPrompt(t *testing.T) {
	opts := nats.Options{Name: newName()}
	late, second, third := open(t, shared, opts), open(t, shared, opts), open(t, shared, opts)
	next := follow(t, second.Log())
	nats.Taken(second, "p", 3, 8)
	appendAll(t, second.Log(), attemptOf("p", 3, 3, true))
	flush(t, second.Log())
	require.NoError(t, nats.CatchUpLog(t.Context(), third.Log()))
	all := attemptOf("p", 1, 1, true)
	appendAll(t, third.Log(), all[:2])
	flush(t, third.Log())
	nats.StopReading(third, "LOG")
	t.Cleanup(func() { nats.EndLog(third, nodebus.ErrClosed) }) // so that Close does not wait
	nats.Taken(late, "p", 2, 7)
	flush(t, late.Log())
	appendAll(t, third.Log(), all[2:])
	nats.AwaitSending(third)
	appendAll(t, third.Log(), []nodebus.Event{about("q", said(9))}) // it is stored after the batch before
	for _, want := range []string{
		"3 execution_start", "3 said 3", "3 execution_success", "3 executing",
		"1 execution_start", "1 said 1", "1 execution_success", "1 executing", "0 said 9",
	} {
		require.Equal(t, want, short(next()))
	}
}
