package nodebus_test

import (
	"errors"
	"fmt"
	"math"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// trackerTape records the events of a tracker as short lines.
type trackerTape struct {
	mu    sync.Mutex
	lines []string
	bad   []nodebus.Event // events with a wrong address, or a wrong Frozen
	block chan struct{}   // if not nil, Publish waits until it is closed
	err   error
}

func (p *trackerTape) Publish(ev nodebus.Event) error {
	p.mu.Lock()
	block := p.block
	p.mu.Unlock()
	if block != nil {
		<-block
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	_, shown := ev.Payload.(nodebus.Executed)
	if ev.PromptID != "p" || ev.To != "me" || ev.Attempt != 3 || ev.Frozen == shown {
		p.bad = append(p.bad, ev)
	}
	switch e := ev.Payload.(type) {
	case nodebus.ExecutionCached:
		p.lines = append(p.lines, fmt.Sprint("cached ", e.Nodes))
	case nodebus.Executing:
		p.lines = append(p.lines, "executing "+e.UniqueID+" on "+e.DisplayID)
	case nodebus.Executed:
		p.lines = append(p.lines, "executed "+e.UniqueID)
	case nodebus.Progress:
		p.lines = append(p.lines, fmt.Sprint("progress ", e.UniqueID, " ", e.Value, "/", e.Max))
	case nodebus.Overall:
		p.lines = append(p.lines, fmt.Sprintf("overall %.3g", e.Value))
	case nodebus.ProgressState:
		line := "state"
		for _, n := range e.Nodes() {
			line += fmt.Sprint(" ", n.UniqueID, ":", n.State, " ", n.Value, "/", n.Max)
		}
		p.lines = append(p.lines, line)
	}
	return p.err
}

// hold makes Publish wait until the function that it returns is called.
func (p *trackerTape) hold() (release func()) {
	block := make(chan struct{})
	p.mu.Lock()
	defer p.mu.Unlock()
	p.block = block
	return func() { close(block) }
}

// take returns the events since the last call of take.
func (p *trackerTape) take() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	lines := p.lines
	p.lines = nil
	return lines
}

func (p *trackerTape) count(prefix string) (n int) {
	for _, l := range p.take() {
		if len(l) >= len(prefix) && l[:len(prefix)] == prefix {
			n++
		}
	}
	return n
}

// tracked returns a tracker of a prompt with nodes 0, 1, 2, …
func tracked(nodes int) (*nodebus.Tracker, *trackerTape) {
	p := &nodebus.Prompt{ID: "p", ClientID: "me"}
	for i := range nodes {
		p.Nodes = append(p.Nodes, nodebus.NodeSpec{ID: fmt.Sprint(i)})
	}
	tape := &trackerTape{}
	return nodebus.NewTracker(&nodebus.Job{Prompt: p, Attempt: 3}, tape), tape
}

func TestTrackerOfASmallPrompt(t *testing.T) {
	tr, tape := tracked(3)
	tr.Cached(nil)
	tr.Begin(0)
	require.NoError(t, tr.Progress(0, math.NaN(), 1))
	require.NoError(t, tr.Progress(0, 1, 4))
	made := tr.Add(nodebus.Place{UniqueID: "0.1", DisplayID: "0", ParentID: "0"})
	require.Equal(t, 3, made)
	tr.Begin(made)
	tr.Finish(made)
	require.True(t, tr.Resume(0))
	require.NoError(t, tr.Executed(0, nodebus.Text("x")))
	require.ErrorIs(t, tr.Progress(0, 2, 4), nodebus.ErrClosed)
	require.False(t, tr.Resume(0), "it has shown what it shows")
	tr.Finish(0)
	require.NoError(t, tr.Executed(1, nil))
	tr.Finish(1) // cached
	tr.Close(nil)
	require.Equal(t, []string{
		"cached []",
		"state 0:running 0/1", "executing 0 on 0",
		"state 0:running 1/4", "progress 0 1/4",
		"state 0:running 1/4 0.1:running 0/1", "executing 0.1 on 0",
		"state 0:running 1/4 0.1:finished 1/1",
		"state 0:running 1/4 0.1:finished 1/1", "executing 0 on 0",
		"executed 0",
		"state 0:finished 4/4 0.1:finished 1/1",
		"executed 1",
		"state 0:finished 4/4 0.1:finished 1/1 1:finished 1/1",
	}, tape.take())
	require.Empty(t, tape.bad)
	tr.Cached([]string{"0"})
	tr.Begin(2)
	tr.Finish(2)
	tr.Close(nil)
	require.ErrorIs(t, tr.Executed(2, nil), nodebus.ErrClosed)
	require.ErrorIs(t, tr.Progress(2, 1, 2), nodebus.ErrClosed)
	require.Empty(t, tape.take(), "nothing comes after Close")
}

func TestTrackerOfAPromptThatEndsEarly(t *testing.T) {
	for _, c := range []struct {
		err  error
		want []string
	}{
		{&nodebus.NodeError{Place: nodebus.Place{UniqueID: "1"}, Err: errors.New("boom")}, []string{"state 0:finished 1/1 1:error 0/1"}},
		{&nodebus.NodeError{Place: nodebus.Place{UniqueID: "1"}, Err: nodebus.ErrInterrupted}, []string{"state 0:finished 1/1"}},
		{errors.New("the executor has failed"), []string{"state 0:finished 1/1"}},
		{hostileError{}, []string{"state 0:finished 1/1"}},
	} {
		tr, tape := tracked(3)
		for n := range 3 {
			tr.Begin(n)
		}
		tr.Finish(0)
		tape.take()
		tr.Close(c.err)
		require.Equal(t, c.want, tape.take())
	}
}

// hostileError is an error of a node whose methods panic.
type hostileError struct{}

func (hostileError) Error() string { panic("no text") }
func (hostileError) Is(error) bool { panic("no answer") }
func (hostileError) As(any) bool   { panic("no answer") }

// TestTrackerHoldsBackWhatIsTooMuch checks a flood of progress: the number of events is
// limited, the last state is sent, and after a pause every change is sent again.
func TestTrackerHoldsBackWhatIsTooMuch(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		tr, tape := tracked(2)
		tr.Begin(0)
		for i := range 100_000 {
			require.NoError(t, tr.Progress(0, float64(i+1), 100_000))
		}
		lines := tape.take()
		require.Greater(t, len(lines), 1000)
		require.Less(t, len(lines), 4000)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"progress 0 100000/100000", "state 0:running 100000/100000"}, tape.take())
		time.Sleep(time.Minute)
		for i := range 500 {
			require.NoError(t, tr.Progress(0, float64(i), 500))
		}
		require.Equal(t, 500, tape.count("progress"), "after a pause every step is sent")
		for i := range 2000 {
			require.NoError(t, tr.Progress(0, float64(i), 2000))
		}
		tape.take()
		tr.Quiet(0)
		require.Equal(t, []string{"progress 0 1999/2000"}, tape.take(), "the step that was held back comes before the end of the node")
		tr.Close(nil)
		require.Equal(t, []string{"state 0:running 1999/2000"}, tape.take())
		time.Sleep(time.Minute)
		require.Empty(t, tape.take())
	})
}

// TestTrackerCloseWaitsForItsTimer checks that no event is published after Close has
// returned.
func TestTrackerCloseWaitsForItsTimer(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		tr, tape := tracked(1)
		tr.Begin(0)
		for i := range 2000 {
			require.NoError(t, tr.Progress(0, float64(i), 2000))
		}
		release := tape.hold()
		time.Sleep(time.Minute) // the Publish of the timer waits
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			tr.Close(nil)
		}()
		for range 100 {
			runtime.Gosched()
		}
		select {
		case <-closed:
			require.Fail(t, "Close has not waited")
		default:
		}
		release()
		<-closed
		tape.take()
		time.Sleep(time.Minute)
		require.Empty(t, tape.take())
	})
}

// TestTrackerAddsWhilePublishWaits checks that Add and Expect do not wait for Publish,
// so that an executor may call them while it holds its own locks.
func TestTrackerAddsWhilePublishWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		tr, tape := tracked(1)
		release := tape.hold()
		go tr.Begin(0)
		synctest.Wait()
		tr.Expect(0, tr.Add(nodebus.Place{UniqueID: "made"}))
		release()
		synctest.Wait()
		tr.Close(nil)
	})
}

func TestTrackerOverall(t *testing.T) {
	tr, tape := tracked(4)
	tr.Expect(-1, 0, 1)
	tr.Begin(0)
	require.NoError(t, tr.Progress(0, 1, 2))
	require.NoError(t, tr.Progress(0, -1, 2))
	require.NoError(t, tr.Progress(0, 9, 0))
	tr.Expect(0, 2) // node 0 reports progress, so node 2 takes nothing from its share
	tr.Finish(2)
	tr.Finish(0)
	tr.Begin(1)
	tr.Expect(1, 3, tr.Add(nodebus.Place{UniqueID: "made"}))
	tr.Finish(3)
	tr.Finish(1)
	tr.Close(nil)
	var all []string
	for _, l := range tape.take() {
		if l[0] == 'o' {
			all = append(all, l)
		}
	}
	require.Equal(t, []string{"overall 0.25", "overall 0.5", "overall 0.667", "overall 0.833", "overall 1"}, all)
}

// TestTrackerPublisherThatFails checks that the error of Publish is returned by the
// methods that return an error.
func TestTrackerPublisherThatFails(t *testing.T) {
	tr, tape := tracked(1)
	tape.err = nodebus.ErrSlow
	tr.Begin(0)
	require.ErrorIs(t, tr.Progress(0, 1, 2), nodebus.ErrSlow)
	require.ErrorIs(t, tr.Executed(0, nil), nodebus.ErrSlow)
	tr.Close(nil)
}

// TestTrackerOfALargePrompt checks that memory and snapshots grow linearly with the
// number of nodes, and that the tracker makes no allocation for each node.
func TestTrackerOfALargePrompt(t *testing.T) {
	const n = 100_000
	p := &nodebus.Prompt{ID: "p", Nodes: make(nodebus.Nodes, n)}
	pub := &countingPublisher{}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	tr := nodebus.NewTracker(&nodebus.Job{Prompt: p}, pub)
	for i := range n {
		tr.Begin(i)
		tr.Finish(i)
	}
	runtime.ReadMemStats(&after)
	tr.Close(nil)
	require.Less(t, pub.states, 10*n)
	// Each Executing event costs one allocation, for the interface value in the test.
	require.Less(t, after.Mallocs-before.Mallocs, uint64(n+n/5))
}

type countingPublisher struct{ states int }

func (p *countingPublisher) Publish(ev nodebus.Event) error {
	if s, ok := ev.Payload.(nodebus.ProgressState); ok {
		p.states += len(s.Nodes())
	}
	return nil
}
