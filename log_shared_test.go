package nodebus_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/nodebus/nodebus/internal/bytelog"
	"github.com/stretchr/testify/require"
)

// lateLog is a log whose followers receive events late: while it is held, the events for
// the newest follower wait.
type lateLog struct {
	nodebus.Log
	mu      sync.Mutex
	held    bool
	waiting []nodebus.Event
	deliver func(nodebus.Event)
}

func (l *lateLog) Follow(deliver func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held { // it only asks for the place
		return l.Log.Follow(deliver)
	}
	l.deliver = deliver
	return l.Log.Follow(func(ev nodebus.Event) {
		l.mu.Lock()
		defer l.mu.Unlock()
		if l.held {
			l.waiting = append(l.waiting, ev)
			return
		}
		deliver(ev)
	})
}

func (l *lateLog) hold() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = true
}

func (l *lateLog) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.held = false
	for _, ev := range l.waiting {
		l.deliver(ev)
	}
}

// TestCloseWaitsForALateLog checks that a hub that closes delivers the events that it has
// published and that the log has not yet passed on.
func TestCloseWaitsForALateLog(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		late := &lateLog{Log: nodebus.NewMemoryLog(nil)}
		h := nodebus.NewHub(&nodebus.HubOptions{Log: late})
		p := &tape{}
		serveOn(t, h.Join("alice", nil), p)
		late.hold()
		publish(t, h, about("1", word("a")), about("1", word("b")))
		closed := make(chan struct{})
		go func() {
			defer close(closed)
			_ = h.Close()
		}()
		synctest.Wait()
		require.Empty(t, p.closed)
		late.release()
		<-closed
		require.Equal(t, []string{"a", "b"}, p.said(t))
	})
}

// TestContract5CursorThatIsAheadOfTheHub lets a client continue at a hub that has not yet
// received the events that the client has received at another hub.
func TestContract5CursorThatIsAheadOfTheHub(t *testing.T) {
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				log := nodebus.NewMemoryLog(nil)
				first := openHub(t, &nodebus.HubOptions{Log: log})
				late := &lateLog{Log: log}
				second := openHub(t, &nodebus.HubOptions{Log: late})
				late.hold()
				publish(t, first, about("1", word("a")), nodebus.Event{Broadcast: true, Payload: word("b")},
					nodebus.Event{PromptID: "2", To: "bob", Payload: word("of bob")})
				begin, end := newestID(t, first), uint64(0)
				publish(t, first, about("1", word("c")))
				end = newestID(t, first)

				middle, ahead, beyond, fromStart := &tape{}, &tape{}, &tape{}, &tape{}
				serveOn(t, second.Join("alice", since(second, begin)), asTransport(middle, try))
				s := second.Join("alice", &nodebus.SessionOptions{Since: at(second, end), May: func(string) bool { return true }})
				serveOn(t, s, asTransport(ahead, try))
				serveOn(t, second.Join("alice", since(second, end+1000)), asTransport(beyond, try))
				serveOn(t, second.Join("alice", since(second, 1)), asTransport(fromStart, try))
				require.NoError(t, s.Watch("2"))
				synctest.Wait()
				require.Equal(t, []string{"of bob", "nodebus.watching"}, ahead.said(t), "the log has the events of the prompt")
				late.release()
				publish(t, second, about("1", word("d")), nodebus.Event{Broadcast: true, Payload: word("e")},
					nodebus.Event{PromptID: "2", To: "bob", Payload: word("of bob again")})
				synctest.Wait()
				require.Equal(t, []string{"c", "d", "e"}, middle.said(t))
				require.Equal(t, []string{"of bob", "nodebus.watching", "d", "e", "of bob again"}, ahead.said(t))
				require.Equal(t, []string{"b", "c", "d", "e"}, fromStart.said(t))
				require.Regexp(t, "^gap 0-", beyond.said(t)[0], "no log has given this ID")
			})
		})
	}
}

// asItIs is a log that keeps events as they are.
type asItIs struct {
	mu        sync.Mutex
	events    []nodebus.Event
	followers []func(nodebus.Event)
}

func (l *asItIs) Append(ev nodebus.Event) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	ev.ID, ev.Epoch = uint64(len(l.events)+1), "asitis"
	l.events = append(l.events, ev)
	for _, deliver := range l.followers {
		deliver(ev)
	}
	return nil
}

func (l *asItIs) Read(q nodebus.LogQuery) (page nodebus.LogPage, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, ev := range l.events {
		if ev.ID > q.After && ev.ID <= q.UpTo {
			page.Events = append(page.Events, ev)
		}
	}
	return page, nil
}

func (l *asItIs) Follow(deliver func(nodebus.Event)) (nodebus.Cursor, func(), error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.followers = append(l.followers, deliver)
	return nodebus.Cursor{Epoch: "asitis", ID: uint64(len(l.events))}, func() {}, nil
}

func (*asItIs) Drop(string) error { return nil }

// TestLogThatKeepsEventsAsTheyAre checks that hubs do not depend on what the log in
// memory adds to an event.
func TestLogThatKeepsEventsAsTheyAre(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		log := &asItIs{}
		hubs := []*nodebus.Hub{openHub(t, &nodebus.HubOptions{Log: log}), openHub(t, &nodebus.HubOptions{Log: log})}
		var tapes []*tape
		for _, h := range hubs {
			for _, try := range []bool{false, true} {
				p := &tape{}
				tapes = append(tapes, p)
				serveOn(t, h.Join("alice", fresh), asTransport(p, try))
			}
		}
		data := map[string]any{"n": "before"}
		for i, p := range []nodebus.Payload{
			nodebus.ExecutionStart{PromptID: "1"},
			word("a"),
			gauge{"g", 1},
			nodebus.Custom{Type: "data", Data: data},
			nodebus.Custom{Type: "9", Data: []byte{1, 2}},
			nodebus.Progress{PromptID: "1", Value: 1, Max: 2},
		} {
			publish(t, hubs[i%2], about("1", p))
		}
		data["n"] = "changed"
		synctest.Wait()
		late := &tape{}
		serveOn(t, hubs[1].Join("alice", &nodebus.SessionOptions{Since: at(hubs[0], 0), Codec: nodebus.JSONCodec{Envelope: true}}), late)
		synctest.Wait()
		require.Len(t, late.frames, 6)
		require.Contains(t, string(late.frames[3].Data), `"before"`)
		require.Contains(t, string(late.frames[3].Data), `"cursor":"asitis-4","prompt_id":"1"`)
		for _, p := range tapes {
			require.Equal(t, bare(late.frames), bare(p.frames))
		}
	})
}

// TestStatesStayBeforeTheirStepBehindAnyLog checks that a state does not overtake a step
// of its prompt in the queue of a slow client, although the log is foreign.
func TestStatesStayBeforeTheirStepBehindAnyLog(t *testing.T) {
	for name, log := range map[string]nodebus.Log{"as it is": &asItIs{}, "in memory": nodebus.NewMemoryLog(nil)} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &nodebus.HubOptions{Log: log})
				slow := newPausedTape()
				serveOn(t, h.Join("alice", nil), slow)
				publish(t, h, start("1"))
				synctest.Wait()
				publish(t, h, about("1", gauge{"g", 1}), about("1", gauge{"g", 2}), about("1", nodebus.Executing{UniqueID: "5"}), about("1", gauge{"g", 3}))
				synctest.Wait()
				slow.play()
				synctest.Wait()
				require.Equal(t, []string{"execution_start", "g=2", "executing 5", "g=3"}, slow.said(t))
			})
		})
	}
}

// busyLog appends events while a hub begins to follow it: before and during the first
// Read.
type busyLog struct {
	nodebus.Log
	during func()
}

func (l *busyLog) Read(q nodebus.LogQuery) (nodebus.LogPage, error) {
	if l.during != nil {
		l.during()
		l.during = nil
	}
	return l.Log.Read(q)
}

// TestContract6HubThatBeginsLater makes a hub while prompts run. Clients without a
// cursor must receive the prompts there.
func TestContract6HubThatBeginsLater(t *testing.T) {
	for name, fresh := range map[string]func() nodebus.Log{
		"in memory": func() nodebus.Log { return nodebus.NewMemoryLog(nil) },
		"of bytes":  func() nodebus.Log { return bytelog.New() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				log := &busyLog{Log: fresh()}
				first := openHub(t, &nodebus.HubOptions{Log: log})
				publish(t, first, start("over"), ending("over"), start("1"), about("1", word("a")),
					about("1", nodebus.Executing{UniqueID: "5"}), start("ends"))
				for n := range 1500 { // more than a page
					publish(t, first, about("many", word(fmt.Sprint(n))))
				}
				synctest.Wait()
				log.during = func() {
					publish(t, first, about("1", word("b")), ending("ends"), start("begins"))
					synctest.Wait()
				}
				second := openHub(t, &nodebus.HubOptions{Log: log})
				got := replayed(t, second, "alice", nil)
				require.Equal(t, []string{"execution_start", "a", "executing 5", "0"}, got[:4])
				require.Equal(t, []string{"1499", "b", "execution_start"}, got[len(got)-3:])
				require.Len(t, got, 3+1500+2)

				current := &tape{}
				serveOn(t, second.Join("alice", &nodebus.SessionOptions{Current: true}), current)
				publish(t, first, about("1", word("c")))
				publish(t, second, ending("1"))
				synctest.Wait()
				said := current.said(t)
				require.Equal(t, "executing 5", said[0], "the node that runs")
				require.Equal(t, []string{"c", "executing"}, said[len(said)-2:])
			})
		})
	}
}

// TestHubOverALogThatCannotBeRead checks that a hub reports the error.
func TestHubOverALogThatCannotBeRead(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		log := &busyLog{Log: nodebus.NewMemoryLog(nil)}
		publish(t, openHub(t, &nodebus.HubOptions{Log: log}), start("1"))
		log.during = func() { panic("no disk") }
		h := openHub(t, &nodebus.HubOptions{Log: log})
		require.ErrorContains(t, h.Publish(about("1", word("a"))), "no disk")
	})
}
