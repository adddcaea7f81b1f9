package bolt_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// The tests in this file stop the disk: no write ends until they say so. Whatever must not
// wait for the disk must go on.

// tape is a transport that keeps what it is given.
type tape struct {
	said []string

	mu     sync.Mutex
	closed error
}

func (p *tape) Write(_ context.Context, frames []nodebus.Frame) error {
	for _, f := range frames {
		p.said = append(p.said, f.Type)
	}
	return nil
}

func (p *tape) Close(err error) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = err
	return nil
}

func (p *tape) hungUp() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.closed
}

// join serves a session until the hub closes or the test ends.
func join(t *testing.T, h *nodebus.Hub, client string, opts *nodebus.SessionOptions) *tape {
	p := &tape{}
	s := h.Join(client, opts)
	go func() { _ = s.Serve(t.Context(), p) }()
	return p
}

func newHub(t *testing.T, db *bolt.DB) *nodebus.Hub {
	h := nodebus.NewHub(&nodebus.HubOptions{Log: db.Log()})
	t.Cleanup(func() { require.NoError(t, h.Close()) })
	return h
}

// word is an event that is its own type.
type word string

func (w word) EventType() string { return string(w) }

func about(id string, p nodebus.Payload) nodebus.Event {
	return nodebus.Event{PromptID: id, To: "ann", Payload: p}
}

func starting(id string) nodebus.Event { return about(id, nodebus.ExecutionStart{PromptID: id}) }
func ending(id string) nodebus.Event   { return about(id, nodebus.Executing{PromptID: id}) }

func publish(t testing.TB, h nodebus.Publisher, events ...nodebus.Event) {
	t.Helper()
	for _, ev := range events {
		require.NoError(t, h.Publish(ev))
	}
}

func TestLogWritesBeforeAnyoneReceives(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		db := open(t, newPath(t), nil)
		h := newHub(t, db)
		ann := join(t, h, "ann", nil)
		resume := db.SlowDisk()
		publish(t, h, starting("1"), about("1", word("a")))
		synctest.Wait()
		require.Empty(t, ann.said, "the events are not in the file yet")
		resume()
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "a"}, ann.said)
	})
}

// TestLogDoesNotWaitForTheDisk: reading, joining, and the refusal of late events do not
// wait.
func TestLogDoesNotWaitForTheDisk(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		db := open(t, newPath(t), nil)
		h := newHub(t, db)
		publish(t, h, starting("1"), about("1", word("a")))
		synctest.Wait()
		resume := db.SlowDisk()
		defer resume()
		publish(t, h, about("1", word("b")), ending("1"), nodebus.Event{Broadcast: true, Payload: nodebus.Status{QueueRemaining: 7}})
		require.ErrorIs(t, h.Publish(about("1", word("late"))), nodebus.ErrClosed, "the end of the prompt waits for the disk")
		page, err := db.Log().Read(nodebus.LogQuery{All: true, Own: true, UpTo: 1 << 62})
		require.NoError(t, err)
		require.Len(t, page.Events, 2)
		ann := join(t, h, "ann", nil)
		since := join(t, h, "ann", &nodebus.SessionOptions{Since: page.Events[0].Cursor()})
		ahead := join(t, h, "ann", &nodebus.SessionOptions{Since: nodebus.Cursor{Epoch: h.Epoch(), ID: 4}})
		_, closed, err := h.Ended("1")
		require.NoError(t, err)
		require.True(t, closed, "the end waits for the disk: no engine must tell it again")
		_, told := h.LastStatus()
		require.False(t, told)
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "a"}, ann.said)
		require.Equal(t, []string{"a"}, since.said)
		require.Empty(t, ahead.said)
		resume()
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "a", "b", "executing", "status"}, ann.said)
		require.Equal(t, []string{"a", "b", "executing", "status"}, since.said)
		require.Equal(t, []string{"status"}, ahead.said)
		_, closed, err = h.Ended("1")
		require.NoError(t, err)
		require.True(t, closed)
		s, _ := h.LastStatus()
		require.Equal(t, 7, s.QueueRemaining)
	})
}

// TestLogHubThatBeginsWhileTheDiskIsSlow: a hub must know the prompts that run, so it waits.
func TestLogHubThatBeginsWhileTheDiskIsSlow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		db := open(t, newPath(t), nil)
		first := newHub(t, db)
		resume := db.SlowDisk()
		publish(t, first, starting("1"), about("1", word("a")))
		made := make(chan *nodebus.Hub, 1)
		go func() { made <- nodebus.NewHub(&nodebus.HubOptions{Log: db.Log()}) }()
		synctest.Wait()
		require.Empty(t, made)
		resume()
		second := <-made
		defer second.Close()
		ann := join(t, second, "ann", nil)
		publish(t, first, about("1", word("b")))
		synctest.Wait()
		require.Equal(t, []string{"execution_start", "a", "b"}, ann.said)
	})
}

// TestLogIsBoundedWhileTheDiskIsSlow publishes more than may wait.
func TestLogIsBoundedWhileTheDiskIsSlow(t *testing.T) {
	const size, events = 1 << 20, 40
	for name, closes := range map[string]bool{"until the disk goes on": false, "until Close": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				db := open(t, newPath(t), nil)
				h := newHub(t, db)
				told := 0
				_, stop, err := db.Log().Follow(func(nodebus.Event) { told++ })
				require.NoError(t, err)
				defer stop()
				resume := db.SlowDisk()
				pad := strings.Repeat("x", size)
				n := 0
				var failed error
				go func() {
					for ; n < events && failed == nil; n++ {
						failed = h.Publish(about("1", nodebus.Custom{Type: fmt.Sprint("n", n), Data: pad}))
					}
				}()
				synctest.Wait()
				require.Equal(t, 16, n, "16 MiB wait")
				_, err = db.Log().Read(nodebus.LogQuery{All: true, UpTo: 1 << 62})
				require.NoError(t, err)
				if !closes {
					resume()
					synctest.Wait()
					require.NoError(t, failed)
					require.Equal(t, events, told)
					return
				}
				closed := make(chan error)
				go func() { closed <- db.Close() }()
				synctest.Wait()
				require.ErrorIs(t, failed, nodebus.ErrClosed)
				resume()
				require.NoError(t, <-closed)
				synctest.Wait()
				require.Equal(t, 16, told, "what was accepted is written and delivered")
				require.ErrorIs(t, h.Publish(about("1", word("late"))), nodebus.ErrClosed)
				require.ErrorIs(t, db.Log().Drop("1"), nodebus.ErrClosed)
				_, _, err = db.Log().Follow(func(nodebus.Event) {})
				require.ErrorIs(t, err, nodebus.ErrClosed)
				_, err = db.Log().Read(nodebus.LogQuery{})
				require.ErrorIs(t, err, nodebus.ErrClosed)
			})
		})
	}
}

// TestLogHubDeliversAtClose: a hub that closes delivers what was published, although the disk
// has not taken it yet; but it does not wait for a disk that never does.
func TestLogHubDeliversAtClose(t *testing.T) {
	for name, want := range map[string][]string{"the disk goes on": {"execution_start", "a", "executing"}, "the disk stands still": nil} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				db := open(t, newPath(t), nil)
				h := newHub(t, db)
				ann := join(t, h, "ann", nil)
				resume := db.SlowDisk()
				defer resume()
				publish(t, h, starting("1"), about("1", word("a")), ending("1"))
				closed := make(chan error)
				go func() { closed <- h.Close() }()
				synctest.Wait()
				require.NoError(t, ann.hungUp())
				if want != nil {
					resume()
				}
				require.NoError(t, <-closed)
				synctest.Wait()
				require.ErrorIs(t, ann.hungUp(), nodebus.ErrClosed)
				require.Equal(t, want, ann.said)
			})
		})
	}
}

// TestLogKeepsTheOrderOfChanges: what is changed in the file after an event was published is
// never in the file without the event, and followers have the event before the change is done.
func TestLogKeepsTheOrderOfChanges(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		db := open(t, newPath(t), nil)
		l := db.Log()
		resume := db.SlowDisk()
		require.NoError(t, l.Append(starting("1")))
		told := 0
		_, stop, err := l.Follow(func(nodebus.Event) { told++ })
		require.NoError(t, err)
		defer stop()
		require.NoError(t, l.Append(about("1", word("a"))))
		kept, changed := 0, make(chan int)
		go func() {
			if err := db.Change(func(events int) { kept = events }); err != nil {
				t.Error(err)
			}
			changed <- told
		}()
		synctest.Wait()
		resume()
		require.Equal(t, 1, <-changed, "who has changed the file after an event finds the event at the hub")
		require.Equal(t, 2, kept)
		resume = db.SlowDisk()
		dropped := make(chan error, 1)
		go func() { dropped <- l.Drop("1") }()
		synctest.Wait()
		require.Empty(t, dropped, "Drop waits for the disk")
		resume()
		require.NoError(t, <-dropped)
		events, _, err := db.KeptInFile()
		require.NoError(t, err)
		require.Zero(t, events)
	})
}
