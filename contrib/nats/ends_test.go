package nats_test

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/stretchr/testify/require"
)

// attemptOf returns the events of an attempt that says n: its start, and its end if it has one.
func attemptOf(promptID string, attempt, n int, ends bool) []nodebus.Event {
	all := []nodebus.Event{about(promptID, nodebus.ExecutionStart{PromptID: promptID}), about(promptID, said(n))}
	if ends {
		all = append(all, about(promptID, nodebus.ExecutionSuccess{PromptID: promptID}), ending(promptID))
	}
	for i := range all {
		all[i].Attempt = attempt
	}
	return all
}

func appendAll(t *testing.T, l nodebus.Log, events []nodebus.Event) {
	t.Helper()
	for _, ev := range events {
		require.NoError(t, l.Append(ev))
	}
}

// shortsOf returns what a log has of all prompts, in short.
func shortsOf(t *testing.T, l nodebus.Log) (all []string) {
	t.Helper()
	for _, ev := range everything(t, l).Events {
		all = append(all, short(ev))
	}
	return all
}

func short(ev nodebus.Event) string {
	text := fmt.Sprint(ev.Attempt, " ", ev.Payload.EventType())
	if c, ok := ev.Payload.(nodebus.Custom); ok {
		data, _ := json.Marshal(c.Data) // of an event of another process, it is JSON already
		text += " " + string(data)
	}
	return text
}

// TestLateAttempt: a process that has not read that a newer attempt has ended the prompt stores
// the events of its own attempt. No process tells them.
func TestLateAttempt(t *testing.T) {
	opts := nats.Options{Name: newName()}
	late, other := open(t, shared, opts), open(t, shared, opts)
	next := follow(t, other.Log())
	nats.StopReading(late, "LOG")
	t.Cleanup(func() { nats.EndLog(late, nodebus.ErrClosed) }) // so that Close does not wait
	appendAll(t, other.Log(), attemptOf("p", 2, 2, true))
	flush(t, other.Log())
	appendAll(t, late.Log(), attemptOf("p", 1, 1, false))
	nats.AwaitSending(late)
	appendAll(t, late.Log(), []nodebus.Event{about("q", said(9))}) // it is stored after the batch before
	for _, want := range []string{"2 execution_start", "2 said 2", "2 execution_success", "2 executing", "0 said 9"} {
		require.Equal(t, want, short(next()))
	}
	want := []string{"2 execution_start", "2 said 2", "2 execution_success", "2 executing", "0 said 9"}
	require.Equal(t, want, shortsOf(t, other.Log()))
	require.Equal(t, want, shortsOf(t, open(t, shared, opts).Log()), "a process that comes later")
}

// TestNewPromptAfterMoreAttempts: a prompt has ended with its second attempt, and its record is
// deleted. A new prompt with the id begins with attempt 1, and every process tells it.
func TestNewPromptAfterMoreAttempts(t *testing.T) {
	for name, read := range map[string]bool{"the end is read": true, "the end is not read": false} {
		t.Run(name, func(t *testing.T) {
			opts := nats.Options{Name: newName()}
			l, other := open(t, shared, opts).Log(), open(t, shared, opts).Log()
			next := follow(t, other)
			for n := range 3 {
				appendAll(t, l, attemptOf("p", 2, n, true))
				if read {
					flush(t, l)
				}
				appendAll(t, l, attemptOf("p", 1, n, true))
				if read {
					flush(t, l)
				}
				for attempt := 2; attempt > 0; attempt-- {
					for _, want := range []string{"execution_start", fmt.Sprint("said ", n), "execution_success", "executing"} {
						require.Equal(t, fmt.Sprint(attempt, " ", want), short(next()))
					}
				}
			}
			flush(t, l)
			want := []string{"1 execution_start", "1 said 2", "1 execution_success", "1 executing"}
			require.Equal(t, want, shortsOf(t, l))
			require.NoError(t, nats.CatchUpLog(t.Context(), other))
			require.Equal(t, want, shortsOf(t, other))
			require.Equal(t, want, shortsOf(t, open(t, shared, opts).Log()))
		})
	}
}

// TestNewPromptAfterAForgottenEnd: the end of the old prompt is not in the memory of the process that
// begins the new prompt, because others have ended since, or because the stream had it no more when
// the process came. The other process still knows that end, and tells the new prompt.
func TestNewPromptAfterAForgottenEnd(t *testing.T) {
	for name, begin := range map[string]func(opts nats.Options, l nodebus.Log) nodebus.Log{
		"many prompts since": func(_ nats.Options, l nodebus.Log) nodebus.Log {
			for n := range 10_000 {
				require.NoError(t, l.Append(ending(fmt.Sprint(n))))
			}
			flush(t, l)
			require.False(t, l.(nodebus.RememberingLog).Closed("p"))
			return l
		},
		"a process that comes later": func(opts nats.Options, _ nodebus.Log) nodebus.Log {
			stream := streamOf(t, opts.Name)
			require.NoError(t, stream.Purge(t.Context()))
			l := open(t, shared, opts).Log()
			require.False(t, l.(nodebus.RememberingLog).Closed("p"))
			return l
		},
	} {
		t.Run(name, func(t *testing.T) {
			opts := nats.Options{Name: newName(), Log: &nodebus.HubOptions{KeepLen: 50}}
			old := open(t, shared, opts).Log()
			appendAll(t, old, attemptOf("p", 2, 2, true))
			flush(t, old)
			l := begin(opts, old)
			require.NoError(t, nats.CatchUpLog(t.Context(), old))
			next := follow(t, old)
			appendAll(t, l, attemptOf("p", 1, 1, true))
			for _, want := range []string{"1 execution_start", "1 said 1", "1 execution_success", "1 executing"} {
				require.Equal(t, want, short(next()))
			}
		})
	}
}

// TestEndsAreBounded: attempts that are over since long, and too many, are forgotten.
func TestEndsAreBounded(t *testing.T) {
	e, at := &nats.Ends{}, time.Unix(1000, 0)
	late := func(id string, attempt int) bool { return e.IsLate(id, attempt, "other") }
	e.Add("old", 2, 0, "one", 7, at)
	e.Add("again", 2, 0, "one", 7, at)
	require.True(t, late("old", 1))
	require.False(t, late("old", 2))
	require.False(t, late("old", 0))
	require.False(t, late("other", 1))
	require.False(t, e.IsLate("old", 1, "one"), "who has taken a prompt tells how an earlier attempt has ended")
	e.Add("again", 3, 0, "one", 8, at.Add(9*time.Minute))
	e.Add("again", 2, 0, "two", 9, at.Add(9*time.Minute))
	e.Add("new", 2, 0, "one", 7, at.Add(11*time.Minute))
	require.False(t, late("old", 1))
	require.True(t, late("again", 2), "the newest attempt counts")
	for n := range 1 << 14 {
		e.Add(fmt.Sprint(n), 2, 5, "one", 7, at.Add(11*time.Minute))
	}
	require.False(t, late("new", 1))
	require.True(t, late("0", 1))
	require.Equal(t, 1<<14, e.Len())
	e.Begins("0", "two", 6)
	require.True(t, late("0", 1), "its process has not read the end")
	e.Begins("0", "one", 7)
	require.True(t, late("0", 1), "whoever has taken the prompt tells how an earlier attempt has ended")
	e.Begins("0", "two", 7)
	require.False(t, late("0", 1))
	e.Add("0", 2, 4, "one", 8, at.Add(11*time.Minute))
	require.False(t, late("0", 1), "the note of the old prompt comes late")
	e.Add("1", 2, 4, "two", 8, at.Add(11*time.Minute))
	require.False(t, e.IsLate("1", 1, "one"), "the note of an older lease comes late")
	e.Add("1", 2, 0, "one", 9, at.Add(11*time.Minute))
	e.Begins("1", "one", 9)
	require.False(t, late("1", 1), "the prompt has ended, and whoever has ended it begins a new one")
	e.Add("first attempts are not kept", 1, 0, "one", 7, at.Add(12*time.Minute))
	require.Equal(t, 1<<14-1, e.Len())
}

// TestNewPromptOfAProcessThatLags: a process that has not read the end of a prompt begins a new
// prompt with its id. The other processes tell it.
func TestNewPromptOfAProcessThatLags(t *testing.T) {
	opts := nats.Options{Name: newName()}
	lags, other := open(t, shared, opts), open(t, shared, opts)
	next := follow(t, other.Log())
	nats.StopReading(lags, "LOG")
	t.Cleanup(func() { nats.EndLog(lags, nodebus.ErrClosed) }) // so that Close does not wait
	appendAll(t, other.Log(), attemptOf("p", 1, 1, true))
	flush(t, other.Log())
	appendAll(t, lags.Log(), attemptOf("p", 1, 2, true))
	for n := range 2 {
		for _, want := range []string{"execution_start", fmt.Sprint("said ", n+1), "execution_success", "executing"} {
			require.Equal(t, "1 "+want, short(next()))
		}
	}
}

// TestEndThatWaits: a hub knows the end that its process has published, although the stream does not
// have it yet. Otherwise an engine that takes the prompt again would tell the end a second time.
func TestEndThatWaits(t *testing.T) {
	b := open(t, shared, nats.Options{Name: newName()})
	hub := nodebus.NewHub(&nodebus.HubOptions{Log: b.Log()})
	t.Cleanup(func() { _ = hub.Close() })
	all := attemptOf("p", 1, 1, true)
	for _, ev := range all[:2] {
		require.NoError(t, hub.Publish(ev))
	}
	require.NoError(t, hub.Flush(t.Context()))
	outcome, closed, err := hub.Ended("p")
	require.NoError(t, err)
	require.False(t, outcome || closed)
	nats.StopReading(b, "LOG")
	t.Cleanup(func() { nats.EndLog(b, nodebus.ErrClosed) }) // so that Close does not wait
	for _, ev := range all[2:] {
		require.NoError(t, hub.Publish(ev))
	}
	outcome, closed, err = hub.Ended("p")
	require.NoError(t, err)
	require.True(t, outcome && closed)
}
