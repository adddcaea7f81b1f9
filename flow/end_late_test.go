package flow_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// lateReader is a log that others share. Its hub receives events some time after the others.
type lateReader struct {
	nodebus.Log
	later
}

func (l *lateReader) Follow(deliver func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	return l.Log.Follow(func(ev nodebus.Event) { l.call(func() { deliver(ev) }) })
}

// TestEndThatIsReadLate has a prompt whose end was told, and whose engine has died before it took
// the prompt out of the queue. The engine that takes the prompt again reads the log late: it waits
// until it has read the end, and does not tell it again.
func TestEndThatIsReadLate(t *testing.T) {
	inFleet(t, func(f *fleet) {
		log := nodebus.NewMemoryLog(nil)
		hubOn := func(log nodebus.Log) {
			f.hub = nodebus.NewHub(&nodebus.HubOptions{Log: log})
			f.stops = append(f.stops, func() { _ = f.hub.Close() })
		}
		var runs atomic.Int64
		hubOn(log)
		tape := f.record()
		q := &hookedQueue{Queue: f.queue, done: func(context.Context) error { return errNet }}
		dead := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Queue: q})
		stop := f.run(dead)
		s := f.submit(dead, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})
		hubOn(&lateReader{Log: log, later: later{delay: 33 * time.Second}}) // a lease lapses after 30 s
		require.Equal(t, nodebus.Succeeded, f.ended(s))
		stop()
		f.run(f.engine(&flow.EngineOptions{Executor: countingRuns(&runs)}))
		time.Sleep(longer)
		types, _ := tape.of("p")
		require.Equal(t, toldOnce, types)
		require.EqualValues(t, 1, runs.Load())
		require.Empty(t, queued(t, f.queue.List(f.ctx)))
	})
}

// TestEndThatTheLogDoesNotTell has a prompt with a record, whose process died before it took the
// prompt out of the queue. The log does not say whether the end was told: the prompt keeps its
// lease until the log answers, or goes back when Run ends.
func TestEndThatTheLogDoesNotTell(t *testing.T) {
	for name, answers := range map[string]bool{"it answers later": true, "Run ends": false} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				log := nodebus.NewMemoryLog(nil)
				hubOn := func(log nodebus.Log) {
					hub := nodebus.NewHub(&nodebus.HubOptions{Log: log})
					f.hub = hub
					f.stops = append(f.stops, func() { _ = hub.Close() })
				}
				var runs atomic.Int64
				hubOn(log)
				tape := f.record()
				q := &hookedQueue{Queue: f.queue, done: func(context.Context) error { return errNet }}
				dead := f.engine(&flow.EngineOptions{Executor: countingRuns(&runs), Queue: q})
				stop := f.run(dead)
				require.Equal(t, nodebus.Succeeded, f.ended(f.submit(dead, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: shown("x")})))
				stop()
				deaf := &deafLog{Log: log}
				deaf.deaf.Store(true)
				hubOn(deaf)
				stop = f.run(f.engine(&flow.EngineOptions{Executor: countingRuns(&runs)}))
				time.Sleep(time.Hour)
				require.Equal(t, []string{"+p"}, queued(t, f.queue.List(f.ctx)), "the prompt keeps its lease")
				if !answers {
					stop()
					require.Equal(t, []string{"p"}, queued(t, f.queue.List(f.ctx)))
					f.run(f.engine(&flow.EngineOptions{Executor: countingRuns(&runs)}))
				}
				deaf.deaf.Store(false)
				time.Sleep(longer)
				types, _ := tape.of("p")
				require.Equal(t, toldOnce, types)
				require.EqualValues(t, 1, runs.Load())
				require.Empty(t, queued(t, f.queue.List(f.ctx)))
			})
		})
	}
}

// deafLog is a log that may fail to say what it has stored.
type deafLog struct {
	nodebus.Log
	deaf atomic.Bool
}

func (l *deafLog) Flush(context.Context) error {
	if l.deaf.Load() {
		return errNet
	}
	return nil
}
