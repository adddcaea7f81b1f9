package flow_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// deadStore is the store of a process that dies when it stores a record.
type deadStore struct {
	flow.Store
	dies  bool // before the record is stored
	death <-chan struct{}
}

func (s deadStore) Put(ctx context.Context, rec flow.Record) error {
	if s.dies {
		<-s.death
		return nodebus.ErrClosed
	}
	return s.Store.Put(ctx, rec)
}

// deadPublisher is the hub of a process that dies when it tells an end.
type deadPublisher struct {
	nodebus.Publisher
	death <-chan struct{}
}

func (p deadPublisher) Publish(ev nodebus.Event) error {
	switch ev.Payload.(type) {
	case nodebus.ExecutionInterrupted, nodebus.ExecutionError:
		<-p.death
		return context.Canceled
	}
	return p.Publisher.Publish(ev)
}

// TestEndOfAWaitingPromptWhoseProcessDies: a process that ends a waiting prompt, because of
// an interrupt or of the deadline, dies before it has stored the record, or before it has
// told the end. Another process goes on: the prompt has one record, and one end.
func TestEndOfAWaitingPromptWhoseProcessDies(t *testing.T) {
	end := func(e *flow.Engine) { _, _ = e.Interrupt(context.Background(), "p") }
	for name, c := range map[string]struct {
		end    func(*flow.Engine)
		late   bool // the deadline has passed
		stored bool // the process dies later
		began  bool // the process has run the prompt, and deletes it during its second wait
		want   nodebus.State
		told   []string
	}{
		"interrupt, no record":     {end: end, want: nodebus.Succeeded, told: []string{"start", "cached", "executing o", "executed o", "success", "executing "}},
		"interrupt, not told":      {end: end, stored: true, want: nodebus.Interrupted, told: []string{"interrupted ", "executing "}},
		"deadline, no record":      {late: true, want: nodebus.Failed, told: []string{"deadline ", "executing "}},
		"deadline, not told":       {late: true, stored: true, want: nodebus.Failed, told: []string{"deadline ", "executing "}},
		"deletion of a lapsed one": {end: func(e *flow.Engine) { _, _ = e.Delete(context.Background(), "p") }, began: true, stored: true, want: nodebus.Interrupted, told: []string{"interrupted ", "executing "}},
	} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				tape, death := f.record(), make(chan struct{})
				defer close(death)
				p := &nodebus.Prompt{ID: "p", Nodes: shown("x")}
				if c.late {
					p.Policy.Deadline = time.Now().Add(time.Millisecond)
				}
				dead := f.engine(&flow.EngineOptions{
					Queue: &oneLease{f.queue, errNet}, // a dead process extends no lease
					Store: deadStore{f.store, !c.stored, death},
					Wrap:  func(p nodebus.Publisher) nodebus.Publisher { return deadPublisher{p, death} },
				})
				f.submit(dead, p)
				time.Sleep(time.Second)
				if c.began { // and its lease has lapsed
					_, err := f.queue.Take(f.ctx, func(string) bool { return false })
					require.NoError(t, err)
					time.Sleep(31 * time.Second)
				}
				if c.end != nil {
					go c.end(dead)
				}
				synctest.Wait()
				heir := f.engine(nil)
				f.run(heir)
				o, err := heir.Wait(f.ctx, "p")
				require.NoError(t, err)
				require.Equal(t, c.want, o.State)
				time.Sleep(time.Minute)
				waiting, leased, err := f.queue.Len(f.ctx)
				require.NoError(t, err)
				require.Zero(t, waiting+leased)
				types, _ := tape.of("p")
				require.Equal(t, c.told, types)
			})
		})
	}
}

// closedPublisher is a hub that is closed before the end of a prompt.
type closedPublisher struct{ nodebus.Publisher }

func (p closedPublisher) Publish(ev nodebus.Event) error {
	switch e := ev.Payload.(type) {
	case nodebus.ExecutionSuccess, nodebus.ExecutionInterrupted:
		return nodebus.ErrClosed
	case nodebus.Executing:
		if e.UniqueID == "" {
			return nodebus.ErrClosed
		}
	}
	return p.Publisher.Publish(ev)
}

// TestEndThatTheHubDoesNotTake: a program has closed its hub, and its engine still ends
// prompts. The queue keeps them, and another engine tells their ends.
func TestEndThatTheHubDoesNotTake(t *testing.T) {
	inFleet(t, func(f *fleet) {
		tape := f.record()
		old := f.engine(&flow.EngineOptions{Wrap: func(p nodebus.Publisher) nodebus.Publisher { return closedPublisher{p} }})
		waited := f.submit(old, &nodebus.Prompt{ID: "waited", Nodes: shown("x")})
		found, err := old.Interrupt(f.ctx, "waited")
		require.NoError(t, err)
		require.True(t, found)
		ran := f.submit(old, &nodebus.Prompt{ID: "ran", Nodes: shown("x")})
		stop := f.run(old)
		require.Equal(t, nodebus.Interrupted, f.ended(waited))
		require.Equal(t, nodebus.Succeeded, f.ended(ran))
		stop()

		heir := f.engine(nil)
		f.run(heir)
		time.Sleep(time.Minute)
		for id, want := range map[string][]string{
			"waited": {"interrupted ", "executing "}, "ran": {"start", "cached", "executing o", "executed o", "success", "executing "},
		} {
			types, _ := tape.of(id)
			require.Equal(t, want, types, id)
		}
		require.Zero(t, heir.Remaining())
	})
}
