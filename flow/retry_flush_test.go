package flow_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// later calls functions some time after it was told to, in their order.
type later struct {
	delay time.Duration

	mu   sync.Mutex
	last chan struct{} // closed when the newest function has returned
}

func (l *later) call(f func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	before, done := l.last, make(chan struct{})
	l.last = done
	go func() {
		defer close(done)
		time.Sleep(l.delay)
		if before != nil {
			<-before
		}
		f()
	}()
}

// Flush waits until all functions have returned.
func (l *later) Flush(context.Context) error {
	l.mu.Lock()
	last := l.last
	l.mu.Unlock()
	if last != nil {
		<-last
	}
	return nil
}

// delayedLog passes events on to a log that others share, some time after it has accepted them.
type delayedLog struct {
	nodebus.Log
	later
}

func (l *delayedLog) Append(ev nodebus.Event) error {
	l.call(func() { _ = l.Log.Append(ev) })
	return nil
}

// TestNextAttemptComesLater: the log of a process is slow. An attempt there fails, or is handed
// over, and another process runs the next attempt at once. The log has the events of the first
// attempt before the events of the second.
func TestNextAttemptComesLater(t *testing.T) {
	for name, handOver := range map[string]bool{"failed": false, "handed over": true} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				shared := nodebus.NewMemoryLog(nil)
				var seen []nodebus.Event // the log calls one follower at a time
				_, stop, err := shared.Follow(func(ev nodebus.Event) {
					if ev.PromptID == "p" {
						seen = append(seen, ev)
					}
				})
				require.NoError(t, err)
				defer stop()
				slow, fast := &delayedLog{Log: shared, later: later{delay: 5 * time.Second}}, shared
				first, fails := true, make(chan struct{})
				f.fn("Try", func(ctx *nodebus.Context, _, _ any) (any, error) {
					if !first {
						return 1, nil
					}
					first = false
					select {
					case <-ctx.Done():
					case <-fails:
					}
					return nil, errors.New("the first attempt fails")
				})
				engineOn := func(log nodebus.Log) *flow.Engine {
					f.hub = nodebus.NewHub(&nodebus.HubOptions{Log: log})
					hub := f.hub
					f.stops = append(f.stops, func() { _ = hub.Close() })
					return f.engine(&flow.EngineOptions{HandOver: true})
				}
				a := engineOn(slow)
				leave := f.run(a)
				f.submit(a, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Try"), Policy: nodebus.Policy{Retries: 1}})
				time.Sleep(time.Second)
				f.run(engineOn(fast))
				if handOver {
					leave()
				} else {
					a.Pause()
					close(fails)
				}
				time.Sleep(time.Minute)
				synctest.Wait()
				attempt, ended := 0, 0
				for _, ev := range seen {
					require.GreaterOrEqual(t, ev.Attempt, attempt, "%T comes too late", ev.Payload)
					if attempt = ev.Attempt; ended > 0 {
						t.Errorf("%T of attempt %d comes after the end", ev.Payload, ev.Attempt)
					}
					if x, ok := ev.Payload.(nodebus.Executing); ok && x.UniqueID == "" {
						ended++
					}
				}
				require.Equal(t, 1, seen[0].Attempt, "the events of the first attempt are there")
				require.Equal(t, 2, attempt)
				require.Equal(t, 1, ended)
			})
		})
	}
}

// awayLog is a log that does not tell whether it has stored its events.
type awayLog struct {
	nodebus.Log
	flushes chan struct{} // gets a value when Flush begins
}

func (l *awayLog) Flush(ctx context.Context) error {
	l.flushes <- struct{}{}
	<-ctx.Done()
	return context.Cause(ctx)
}

// TestRetryWhileTheLogIsAway: the log does not answer when an attempt has failed. The next attempt
// begins after 10 seconds, and an interrupt ends the prompt at once.
func TestRetryWhileTheLogIsAway(t *testing.T) {
	for name, interrupt := range map[string]bool{"waits": false, "interrupt": true} {
		t.Run(name, func(t *testing.T) {
			inFleet(t, func(f *fleet) {
				log := &awayLog{nodebus.NewMemoryLog(nil), make(chan struct{}, 10)}
				hub := nodebus.NewHub(&nodebus.HubOptions{Log: log})
				f.stops = append(f.stops, func() { _ = hub.Close() })
				f.hub = hub
				var begun []time.Time
				f.fn("Try", func(*nodebus.Context, any, any) (any, error) {
					if begun = append(begun, time.Now()); len(begun) > 1 {
						return 1, nil
					}
					return nil, errors.New("the first attempt fails")
				})
				e := f.engine(nil)
				f.run(e)
				at := time.Now()
				s := f.submit(e, &nodebus.Prompt{ID: "p", ClientID: "me", Nodes: two("Try"), Policy: nodebus.Policy{Retries: 1}})
				<-log.flushes
				if interrupt {
					_, err := e.Interrupt(f.ctx, "p")
					require.NoError(t, err)
				}
				o, err := s.Wait(f.ctx)
				require.NoError(t, err)
				if interrupt {
					require.Equal(t, nodebus.Interrupted, o.State)
					require.Equal(t, []time.Time{at}, begun)
					return
				}
				require.Equal(t, nodebus.Succeeded, o.State)
				require.Equal(t, []time.Time{at, at.Add(10 * time.Second)}, begun)
			})
		})
	}
}
