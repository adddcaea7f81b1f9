package nodebus_test

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// replayed returns the events that a session receives if it joins now.
func replayed(t *testing.T, h *nodebus.Hub, client string, opts *nodebus.SessionOptions) []string {
	t.Helper()
	p := &tape{}
	s := h.Join(client, opts)
	over := serveOn(t, s, p)
	synctest.Wait()
	s.Close(nil)
	require.ErrorIs(t, over(), nodebus.ErrClosed)
	return p.said(t)
}

func since(h *nodebus.Hub, id uint64) *nodebus.SessionOptions {
	return &nodebus.SessionOptions{Since: nodebus.Cursor{Epoch: h.Epoch(), ID: id}}
}

func at(h *nodebus.Hub, id uint64) nodebus.Cursor { return nodebus.Cursor{Epoch: h.Epoch(), ID: id} }

// fresh is for a client that asks for cursors and has none yet.
var fresh = &nodebus.SessionOptions{Codec: nodebus.JSONCodec{Envelope: true}}

// newestID publishes an event for no client and returns its ID.
func newestID(t *testing.T, h *nodebus.Hub) uint64 {
	t.Helper()
	p := &tape{}
	s := h.Join("newest", nil)
	over := serveOn(t, s, p)
	require.NoError(t, h.SendSync(word("newest"), "newest"))
	synctest.Wait()
	s.Close(nil)
	require.ErrorIs(t, over(), nodebus.ErrClosed)
	return p.frames[0].ID
}

func TestContract5CursorGetsExactlyWhatWasMissed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		begin := newestID(t, h)
		publish(t, h, start("1"), about("1", word("a")))
		cursor := newestID(t, h)
		publish(t, h,
			about("1", gauge{"g", 1}),
			nodebus.Event{PromptID: "2", To: "bob", Payload: word("of bob")},
			about("1", gauge{"g", 2}),
			nodebus.Event{Broadcast: true, Payload: word("for everyone")},
			nodebus.Event{To: "bob", Payload: word("for bob")},
			nodebus.Event{To: "alice", Payload: word("for alice")},
			about("1", word("b")),
			about("1", gauge{"g", 3}),
			ending("1"))
		missed := []string{"for everyone", "for alice", "b", "g=3", "executing"}
		require.Equal(t, missed, replayed(t, h, "alice", since(h, cursor)))
		require.Equal(t, append([]string{"execution_start", "a"}, missed...), replayed(t, h, "alice", since(h, begin)))
		require.Equal(t, []string{"for everyone"}, replayed(t, h, "carol", since(h, cursor)))
		require.Empty(t, replayed(t, h, "alice", since(h, newestID(t, h))))

		watchBob := &nodebus.SessionOptions{Since: at(h, cursor), Watch: []string{"2"}}
		require.Equal(t, []string{"of bob", "for everyone"}, replayed(t, h, "carol", watchBob))
		watchAll := &nodebus.SessionOptions{Since: at(h, cursor), WatchAll: true}
		require.Equal(t, []string{"of bob", "for everyone", "b", "g=3", "executing"}, replayed(t, h, "carol", watchAll))
	})
}

func TestContract5WithoutACursorRunningPromptsAreReplayed(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		publish(t, h,
			start("ended"), about("ended", word("e")), ending("ended"),
			start("1"),
			nodebus.Event{Broadcast: true, Payload: word("for everyone")},
			nodebus.Event{To: "alice", Payload: word("for alice")},
			about("1", gauge{"x", 1}), about("1", gauge{"y", 1}),
			about("2", word("interleaved")),
			about("1", gauge{"x", 2}), about("1", word("a")),
			nodebus.Event{PromptID: "3", To: "bob", Payload: word("of bob")},
			nodebus.Event{PromptID: "4", Payload: word("of nobody")},
			nodebus.Event{PromptID: "4", To: "alice", Payload: word("of nobody, for alice")})
		running := []string{"execution_start", "y=1", "interleaved", "x=2", "a"}
		require.Equal(t, append(running, "of nobody, for alice"), replayed(t, h, "alice", nil))
		require.Equal(t, []string{"of bob"}, replayed(t, h, "bob", nil))
		require.Empty(t, replayed(t, h, "carol", nil))
		require.Empty(t, replayed(t, h, "", nil))

		ended := []string{"execution_start", "e", "executing"}
		require.Equal(t, ended, replayed(t, h, "carol", &nodebus.SessionOptions{Watch: []string{"ended", "unknown"}}))
		all := append(append([]string{}, running...), "of bob", "of nobody", "of nobody, for alice")
		require.Equal(t, all, replayed(t, h, "carol", &nodebus.SessionOptions{WatchAll: true}))
	})
}

// A client leaves and reconnects many times while its prompts publish events. Together,
// its sessions must receive the same events as a session that stayed.
func TestContract5NothingIsLostOrDoubledOnTheWayToLiveEvents(t *testing.T) {
	const publishers, each = 4, 400
	for _, try := range []bool{false, true} {
		t.Run(fmt.Sprintf("try=%t", try), func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, nil)
				cursor := newestID(t, h)
				stayed := &tape{}
				serveOn(t, h.Join("alice", nil), asTransport(stayed, try))
				var all sync.WaitGroup
				for p := range publishers {
					all.Go(func() {
						id := fmt.Sprint(p)
						for n := range each {
							publish(t, h, about(id, word(fmt.Sprint(p, "/", n))))
							if n%50 == 0 {
								say(t, h, "for everyone")
							}
						}
						publish(t, h, ending(id))
					})
				}
				var seen []nodebus.Frame
				for n := range 60 {
					got := visit(t, h, cursor, 1+n%7, try)
					cursor = got[len(got)-1].ID
					seen = append(seen, got...)
				}
				all.Wait()
				last := &tape{}
				serveOn(t, h.Join("alice", since(h, cursor)), asTransport(last, try))
				synctest.Wait()
				seen = append(seen, last.frames...)
				require.Greater(t, len(seen), publishers*each)
				require.Equal(t, bare(stayed.frames), bare(seen))
			})
		})
	}
}

// visit joins alice with the ID cursor and leaves after some frames. It sends alice
// that many events, so that the frames arrive.
func visit(t *testing.T, h *nodebus.Hub, cursor uint64, frames int, try bool) []nodebus.Frame {
	p := &tape{enough: frames, full: make(chan struct{})}
	s := h.Join("alice", since(h, cursor))
	over := serveOn(t, s, asTransport(p, try))
	for range frames {
		require.NoError(t, h.SendSync(word("visit"), "alice"))
	}
	<-p.full
	s.Close(nil)
	require.ErrorIs(t, over(), nodebus.ErrClosed)
	return p.frames
}

func TestContract5EndedPromptsAreKeptUntilRetain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{Retain: time.Minute})
		cursor := newestID(t, h)
		publish(t, h, start("1"), about("1", word("a")))
		time.Sleep(time.Hour) // events of a running prompt do not expire
		running := newestID(t, h)
		publish(t, h, about("1", word("b")), ending("1"))
		end := newestID(t, h)
		time.Sleep(time.Minute - time.Nanosecond)
		require.Equal(t, []string{"b", "executing"}, replayed(t, h, "alice", since(h, running)))
		require.Equal(t, []string{"execution_start", "a", "b", "executing"}, replayed(t, h, "alice", since(h, cursor)))

		time.Sleep(2 * time.Second)
		synctest.Wait()
		gap := func(from uint64) []string { return []string{fmt.Sprintf("gap %d-%d", from, end)} }
		require.Equal(t, gap(running), replayed(t, h, "alice", since(h, running)))
		require.Equal(t, gap(running), replayed(t, h, "bob", &nodebus.SessionOptions{Since: at(h, running), Watch: []string{"1"}}))
		require.Equal(t, gap(running), replayed(t, h, "bob", &nodebus.SessionOptions{Since: at(h, running), WatchAll: true}))
		require.Empty(t, replayed(t, h, "alice", since(h, end-1)), "alice has seen the last event")
		require.Empty(t, replayed(t, h, "bob", since(h, running)), "the events were not for bob")
		require.Empty(t, replayed(t, h, "bob", &nodebus.SessionOptions{Since: at(h, running), Watch: []string{"2"}}))
		require.Empty(t, replayed(t, h, "alice", nil))
	})
}

func TestContract5EventsOutsidePromptsAreKeptUntilRetain(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, &nodebus.HubOptions{Retain: time.Minute})
		begin := newestID(t, h)
		require.NoError(t, h.SendSync(word("for alice"), "alice"))
		time.Sleep(40 * time.Second)
		say(t, h, "for everyone")
		cursor := newestID(t, h)
		time.Sleep(25 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{fmt.Sprintf("gap %d-%d", begin, begin+2), "for everyone"}, replayed(t, h, "alice", since(h, begin)))
		require.Equal(t, []string{"for everyone"}, replayed(t, h, "bob", since(h, begin)))
		time.Sleep(40 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{fmt.Sprintf("gap %d-%d", begin, begin+3)}, replayed(t, h, "bob", since(h, begin)))
		require.Empty(t, replayed(t, h, "bob", since(h, cursor)))
	})
}

// An event for one client does not replace an event for another client, or for everyone.
func TestContract5ReplacingIsAMatterOfEachClient(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		cursor := newestID(t, h)
		for n, to := range []string{"", "alice", "bob", "alice", "bob"} {
			publish(t, h,
				nodebus.Event{To: to, Broadcast: to == "", Payload: gauge{"g", n}},
				nodebus.Event{To: to, PromptID: "1", Payload: gauge{"p", n}})
		}
		require.Equal(t, []string{"g=0", "g=3", "p=3"}, replayed(t, h, "alice", since(h, cursor)))
		require.Equal(t, []string{"g=0", "g=4", "p=4"}, replayed(t, h, "bob", since(h, cursor)))
		require.Equal(t, []string{"g=0"}, replayed(t, h, "carol", since(h, cursor)))
	})
}

func TestContract5CursorOfAnotherProcess(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		old := openHub(t, nil)
		for range 5 {
			newestID(t, old)
		}
		h := openHub(t, nil) // in the same instant
		require.NotEqual(t, old.Epoch(), h.Epoch())
		first := newestID(t, h)
		publish(t, h, start("1"), ending("1"))
		say(t, h, "for everyone")
		kept := []string{"execution_start", "executing", "for everyone"}
		require.Equal(t, kept, replayed(t, h, "alice", since(h, first-1)))
		bare, err := nodebus.ParseCursor(fmt.Sprint(first))
		require.NoError(t, err)
		for _, cursor := range []nodebus.Cursor{at(old, first), at(old, 1), at(old, 0), at(h, first+1000), bare, {Epoch: "0"}} {
			got := replayed(t, h, "alice", &nodebus.SessionOptions{Since: cursor})
			require.Equal(t, append([]string{fmt.Sprintf("gap 0-%d", first+1)}, kept...), got, cursor)
		}
		require.Equal(t, []string{fmt.Sprintf("gap 0-%d", first+3), "for everyone"}, replayed(t, h, "bob", &nodebus.SessionOptions{Since: bare}))
	})
}

func TestContract5NothingFollowsTheEndOfAPrompt(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		h := openHub(t, nil)
		cursor := newestID(t, h)
		publish(t, h, start("1"), about("1", nodebus.Executing{UniqueID: "5", PromptID: "1"}), ending("1"))
		for _, p := range []nodebus.Payload{word("late"), gauge{"late", 1}, nodebus.Executing{PromptID: "1"}, nodebus.Executing{UniqueID: "5"}} {
			require.ErrorIs(t, h.Publish(about("1", p)), nodebus.ErrClosed)
		}
		publish(t, h, about("2", word("of another")), nodebus.Event{Broadcast: true, Payload: nodebus.Executing{}})
		require.Equal(t, []string{"execution_start", "executing 5", "executing", "of another", "executing"}, replayed(t, h, "alice", since(h, cursor)))

		again := newestID(t, h)
		publish(t, h, start("1"), about("1", word("again")))
		require.Equal(t, []string{"of another", "execution_start", "again"}, replayed(t, h, "alice", nil))
		require.Equal(t, []string{"execution_start", "again"}, replayed(t, h, "alice", since(h, again)))
		got := replayed(t, h, "alice", since(h, cursor))
		require.Equal(t, []string{fmt.Sprintf("gap %d-%d", cursor, cursor+4), "of another", "executing", "execution_start", "again"}, got)
		watched := replayed(t, h, "bob", &nodebus.SessionOptions{Since: at(h, cursor), Watch: []string{"1"}})
		require.True(t, slices.Contains(watched, got[0]), "%v", watched)
	})
}

// TestContract5NothingFollowsTheEndOfAPromptThatIsNotKept checks that a closed prompt
// stays closed when the log drops its events: to make room, or after Retain. Otherwise a
// late event would create the prompt again, and the new prompt would never end.
func TestContract5NothingFollowsTheEndOfAPromptThatIsNotKept(t *testing.T) {
	for name, drop := range map[string]func(t *testing.T, h *nodebus.Hub){
		"no room": func(t *testing.T, h *nodebus.Hub) { say(t, h, "a", "b", "c") },
		"expired": func(*testing.T, *nodebus.Hub) { time.Sleep(time.Hour) },
		"many prompts ended later": func(t *testing.T, h *nodebus.Hub) {
			for n := range 4095 {
				publish(t, h, ending(fmt.Sprint("later ", n)))
			}
			say(t, h, "a", "b", "c")
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				h := openHub(t, &nodebus.HubOptions{KeepLen: 2})
				publish(t, h, start("1"), ending("1"))
				drop(t, h)
				require.ErrorIs(t, h.Publish(about("1", word("late"))), nodebus.ErrClosed)
				require.ErrorIs(t, h.Publish(ending("1")), nodebus.ErrClosed)
				publish(t, h, start("1"), about("1", word("again")))
				require.Contains(t, replayed(t, h, "alice", nil), "again")
				publish(t, h, ending("1"))
				require.ErrorIs(t, h.Publish(about("1", word("late"))), nodebus.ErrClosed)
			})
		})
	}
}
