package nodebus_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// numbered returns an event as a log that stores bytes reads it.
func numbered(id uint64, ev nodebus.Event) nodebus.Event {
	ev.ID, ev.Time = id, time.Now()
	return ev
}

func TestLogCacheIgnoresWhatItHasRead(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := nodebus.NewLogCache(nodebus.Cursor{Epoch: "file"}, nil)
		var heard []uint64
		_, stop, err := c.Follow(func(ev nodebus.Event) { heard = append(heard, ev.ID) })
		require.NoError(t, err)
		defer stop()
		for _, id := range []uint64{3, 3, 2, 7, 5, 8} {
			require.NoError(t, c.Add(numbered(id, about("1", word("a")))))
		}
		require.Equal(t, []uint64{3, 7, 8}, heard)
		require.NoError(t, c.Add(numbered(9, ending("1"))))
		require.True(t, c.Closed("1"))
		require.ErrorIs(t, c.Add(numbered(10, about("1", word("late")))), nodebus.ErrClosed)
		require.NoError(t, c.Add(numbered(10, start("2"))), "the log has read this place before")
		again, stop, err := c.Follow(func(nodebus.Event) {})
		require.NoError(t, err)
		defer stop()
		require.EqualValues(t, 9, again.ID, "the newest event; a hub that closes waits for it")
		require.Equal(t, []uint64{3, 7, 8, 9}, heard)
		var bad *nodebus.EncodeError
		require.ErrorAs(t, c.Add(numbered(11, about("2", nodebus.Custom{Type: "x", Data: func() {}}))), &bad)
	})
}

// TestLogCacheKnowsWhatItHasNot checks the losses of a log that was opened again.
func TestLogCacheKnowsWhatItHasNot(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := nodebus.NewLogCache(nodebus.Cursor{Epoch: "file", ID: 10}, nil)
		for _, ev := range []nodebus.Event{
			numbered(4, start("whole")), numbered(6, about("part", word("b"))), numbered(7, about("whole", word("c"))),
		} {
			require.NoError(t, c.Add(ev))
		}
		at, stop, err := c.Follow(func(nodebus.Event) {})
		require.NoError(t, err)
		defer stop()
		require.Equal(t, nodebus.Cursor{Epoch: "file", ID: 10}, at)
		lost := func(q nodebus.LogQuery) uint64 {
			q.UpTo = 20
			page, err := c.Read(q)
			require.NoError(t, err)
			return page.Lost
		}
		require.Zero(t, lost(nodebus.LogQuery{Prompts: []string{"whole"}}), "its start is there")
		for _, q := range []nodebus.LogQuery{
			{Prompts: []string{"part"}}, {Prompts: []string{"gone"}}, {All: true}, {Own: true, Client: "alice"}, {Own: true, Client: "new"}, {Own: true},
		} {
			require.EqualValues(t, 10, lost(q), "%+v", q)
			q.After = 10
			require.Zero(t, lost(q), "%+v", q)
		}
	})
}

// TestLogCacheExpires checks that events of an earlier process expire by the time at which
// they were sent, also if nothing is added.
func TestLogCacheExpires(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		c := nodebus.NewLogCache(nodebus.Cursor{Epoch: "file"}, &nodebus.HubOptions{Retain: time.Minute})
		require.NoError(t, c.Add(numbered(1, start("1"))))
		require.NoError(t, c.Add(numbered(2, ending("1"))))
		require.NoError(t, c.Add(numbered(3, start("runs"))))
		_, stop, err := c.Follow(func(nodebus.Event) {})
		require.NoError(t, err)
		defer stop()
		kept := func() int {
			page, err := c.Read(nodebus.LogQuery{All: true, UpTo: 3})
			require.NoError(t, err)
			return len(page.Events)
		}
		require.Equal(t, 3, kept())
		time.Sleep(2 * time.Minute)
		require.Equal(t, 1, kept())
	})
}

// TestLogCacheExpiresByAnotherClock adds events with the times of another machine.
func TestLogCacheExpiresByAnotherClock(t *testing.T) {
	for _, ahead := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		bubble.Test(t, func(t *testing.T) {
			there := func() time.Time { return time.Now().Add(ahead) }
			c := nodebus.NewLogCache(nodebus.Cursor{Epoch: "far"}, &nodebus.HubOptions{Retain: time.Minute})
			_, stop, err := c.Follow(func(nodebus.Event) {})
			require.NoError(t, err)
			defer stop()
			for id, ev := range []nodebus.Event{start("1"), ending("1"), start("runs")} {
				ev.ID, ev.Time = uint64(id+1), there()
				c.SetTime(ev.Time)
				require.NoError(t, c.Add(ev))
			}
			kept := func() int {
				page, err := c.Read(nodebus.LogQuery{All: true, UpTo: 3})
				require.NoError(t, err)
				return len(page.Events)
			}
			time.Sleep(50 * time.Second)
			require.Equal(t, 3, kept())
			time.Sleep(70 * time.Second)
			require.Equal(t, 1, kept())
		})
	}
}

// TestLogCacheWhoseClockJumps adds events whose times jump back, or forward, by a day in the
// middle, as they do if the clock of the machine is set. Nobody misses an event in silence.
func TestLogCacheWhoseClockJumps(t *testing.T) {
	for _, jump := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		for _, far := range []bool{false, true} {
			bubble.Test(t, func(t *testing.T) {
				c := nodebus.NewLogCache(nodebus.Cursor{Epoch: "e"}, &nodebus.HubOptions{Retain: time.Minute})
				var heard []uint64
				_, stop, err := c.Follow(func(ev nodebus.Event) { heard = append(heard, ev.ID) })
				require.NoError(t, err)
				defer stop()
				for i, ev := range []nodebus.Event{start("1"), ending("1"), start("2"), start("3"), ending("3"), ending("2")} {
					ev.ID, ev.Time = uint64(i+1), time.Now()
					if i >= 3 {
						ev.Time = ev.Time.Add(jump)
					}
					if far {
						c.SetTime(ev.Time)
					}
					require.NoError(t, c.Add(ev))
				}
				require.Equal(t, []uint64{1, 2, 3, 4, 5, 6}, heard, "the order is that of the log")
				page, err := c.Read(nodebus.LogQuery{All: true, UpTo: 6})
				require.NoError(t, err)
				if len(page.Events) < 6 {
					require.NotZero(t, page.Lost, "what has expired early is told")
				}
				require.True(t, c.Closed("2"))
				again := start("4")
				again.ID, again.Time = 7, time.Now().Add(jump)
				require.NoError(t, c.Add(again))
				page, err = c.Read(nodebus.LogQuery{Prompts: []string{"4"}, UpTo: 7})
				require.NoError(t, err)
				require.Len(t, page.Events, 1)
			})
		}
	}
}

// TestLogCacheTellsWhatMayFollow compares Check with Add, and Oldest with Read.
func TestLogCacheTellsWhatMayFollow(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		rnd := rand.New(rand.NewPCG(1, 2))
		c := nodebus.NewLogCache(nodebus.Cursor{Epoch: "file", ID: 5}, &nodebus.HubOptions{KeepLen: 20})
		require.EqualValues(t, 6, c.Oldest())
		refused := 0
		for n := range uint64(2000) {
			id := fmt.Sprint(rnd.IntN(4))
			ev := nodebus.Event{PromptID: id, To: "alice", Attempt: rnd.IntN(3)}
			switch rnd.IntN(8) {
			case 0:
				ev.Payload = nodebus.Executing{PromptID: id}
			case 1:
				ev.Payload = nodebus.ExecutionStart{PromptID: id}
			case 2:
				ev.Payload = nodebus.Executing{UniqueID: "5", PromptID: id}
			case 3:
				ev = nodebus.Event{Broadcast: true, Payload: word("all")}
			case 4:
				ev.Payload = gauge{"g", int(n)}
			default:
				ev.Payload = word("a")
			}
			want := c.Check(ev)
			require.Equal(t, want, c.Add(numbered(n+6, ev)))
			if want != nil {
				refused++
			}
			page, err := c.Read(nodebus.LogQuery{All: true, Own: true, Client: "alice", UpTo: 1 << 62, Limit: 1})
			require.NoError(t, err)
			require.Equal(t, page.Events[0].ID, c.Oldest())
		}
		require.Greater(t, refused, 100)
		require.Less(t, refused, 1900)
		var bad *nodebus.EncodeError
		require.ErrorAs(t, c.Check(about("2", nodebus.Custom{Type: "x", Data: func() {}})), &bad)
	})
}
