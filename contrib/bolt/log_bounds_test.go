package bolt_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

func fileSize(t *testing.T, db *bolt.DB) int {
	info, err := os.Stat(db.Path())
	require.NoError(t, err)
	return int(info.Size())
}

// settle waits until everything that was published is in the file.
func settle(t testing.TB, db *bolt.DB) {
	require.NoError(t, db.Log().Drop("no prompt has this id"))
}

// TestLogFileOfOnePromptStaysSmall publishes a million states of one prompt. Only the newest
// of each node is kept.
func TestLogFileOfOnePromptStaysSmall(t *testing.T) {
	events := 1_000_000
	if testing.Short() {
		events = 50_000
	}
	db := open(t, newPath(t), nil)
	publishTo := db.Log().Append
	require.NoError(t, publishTo(starting("1")))
	for n := range events {
		require.NoError(t, publishTo(about("1", nodebus.Progress{PromptID: "1", UniqueID: fmt.Sprint(n % 10), Value: float64(n), Max: float64(events)})))
	}
	settle(t, db)
	kept, _, err := db.KeptInFile()
	require.NoError(t, err)
	require.Equal(t, 1+10, kept)
	require.Less(t, fileSize(t, db), 1<<20)
}

// TestLogFileIsBounded publishes more than the log may keep.
func TestLogFileIsBounded(t *testing.T) {
	const keepLen, keepBytes = 1000, 1 << 20
	pad := strings.Repeat("x", 1000)
	for name, next := range map[string]func(n int) []nodebus.Event{
		"one prompt that never ends": func(n int) []nodebus.Event { return []nodebus.Event{about("1", word("w"))} },
		"large events": func(n int) []nodebus.Event {
			return []nodebus.Event{about("1", nodebus.Custom{Type: "large", Data: pad})}
		},
		"many prompts that end":       func(n int) []nodebus.Event { return []nodebus.Event{starting(fmt.Sprint(n)), ending(fmt.Sprint(n))} },
		"many prompts that never end": func(n int) []nodebus.Event { return []nodebus.Event{starting(fmt.Sprint(n))} },
		"events of no prompt":         func(n int) []nodebus.Event { return []nodebus.Event{{To: fmt.Sprint(n), Payload: word("w")}} },
	} {
		t.Run(name, func(t *testing.T) {
			path, opts := newPath(t), &bolt.Options{Log: &nodebus.HubOptions{KeepLen: keepLen, KeepBytes: keepBytes}}
			db := open(t, path, opts)
			for n := range 6000 {
				for _, ev := range next(n) {
					require.NoError(t, db.Log().Append(ev))
				}
				if n%500 == 0 { // the file must make room, not only what waits
					settle(t, db)
				}
			}
			settle(t, db)
			kept, bytes, err := db.KeptInFile()
			require.NoError(t, err)
			require.LessOrEqual(t, kept, keepLen)
			require.Greater(t, kept, keepLen/2)
			require.LessOrEqual(t, bytes, keepBytes)
			require.Less(t, fileSize(t, db), 6*keepBytes)
			require.NoError(t, db.Close())
			opts.Log.KeepLen = 10
			db = open(t, path, opts)
			settle(t, db)
			kept, _, err = db.KeptInFile()
			require.NoError(t, err)
			require.LessOrEqual(t, kept, 10, "the log was opened with a lower limit")
		})
	}
}

// TestLogForgetsAfterRetain: events of prompts that have ended, and events of no prompt, leave
// the file, also if nothing is published, and if the file was closed meanwhile.
func TestLogForgetsAfterRetain(t *testing.T) {
	for name, reopens := range map[string]bool{"while it is open": false, "while it is closed": true} {
		t.Run(name, func(t *testing.T) {
			bubble.Test(t, func(t *testing.T) {
				path, opts := newPath(t), &bolt.Options{Log: &nodebus.HubOptions{Retain: time.Minute}}
				db := open(t, path, opts)
				h := newHub(t, db)
				for n := range 3 {
					publish(t, h, starting(fmt.Sprint(n)), ending(fmt.Sprint(n)), nodebus.Event{Broadcast: true, Payload: word("w")})
				}
				publish(t, h, starting("runs"))
				if reopens {
					require.NoError(t, h.Close())
					require.NoError(t, db.Close())
				}
				time.Sleep(2 * time.Minute)
				if reopens {
					db = open(t, path, opts)
				}
				synctest.Wait()
				kept, _, err := db.KeptInFile()
				require.NoError(t, err)
				require.Equal(t, 1, kept, "the prompt that runs")
				require.ErrorIs(t, db.Log().Append(about("1", word("late"))), nodebus.ErrClosed, "the log remembers the end")
				_, closed, err := newHub(t, db).Ended("1")
				require.NoError(t, err)
				require.True(t, closed, "an engine must not tell the end again")
			})
		})
	}
}

// sent is an event that a log has accepted.
type sent struct {
	id  uint64
	key string
	ev  nodebus.Event
}

// TestLogLosesNothingSilently makes random calls to a log with little room, which is opened
// again now and then. Each event is kept, or a newer state has replaced it, or the log says
// that it is lost.
func TestLogLosesNothingSilently(t *testing.T) {
	for range 4 {
		seed := rand.Uint64()
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { losesNothing(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func losesNothing(t *testing.T, rnd *rand.Rand) {
	path, opts := newPath(t), &bolt.Options{Log: &nodebus.HubOptions{KeepLen: 5 + rnd.IntN(40), KeepBytes: 1000 + rnd.IntN(20_000)}}
	db := open(t, path, opts)
	var all []sent
	heard := make(chan uint64, 1000)
	follow := func() {
		_, _, err := db.Log().Follow(func(ev nodebus.Event) { heard <- ev.ID })
		require.NoError(t, err)
	}
	follow()
	for n := range 400 {
		id, to := fmt.Sprint(rnd.IntN(4)), []string{"", "ann", "bob"}[rnd.IntN(3)]
		ev := nodebus.Event{PromptID: id, To: to, Payload: word(fmt.Sprint("w", n))}
		key := ""
		switch rnd.IntN(12) {
		case 0:
			ev.Payload = nodebus.Executing{PromptID: id}
		case 1, 2, 3:
			ev.Payload = nodebus.Progress{PromptID: id, UniqueID: fmt.Sprint(rnd.IntN(3)), Value: float64(n)}
			key = fmt.Sprint(id, to, ev.Payload.(nodebus.Coalescer).CoalesceKey())
		case 4:
			ev = nodebus.Event{To: to, Broadcast: to == "", Payload: ev.Payload}
		case 5:
			ev.Payload = nodebus.Custom{Type: ev.Payload.EventType(), Data: strings.Repeat("x", rnd.IntN(900))}
		}
		if err := db.Log().Append(ev); err != nil {
			require.ErrorIs(t, err, nodebus.ErrClosed)
			require.NoError(t, db.Log().Append(starting(id)))
			ev, key = starting(id), ""
		}
		all = append(all, sent{<-heard, key, ev})
		if rnd.IntN(20) == 0 {
			require.NoError(t, db.Close())
			db = open(t, path, opts)
			follow()
		}
		checkLosses(t, db, all, rnd)
	}
}

// checkLosses reads events, and compares them with all that were sent.
func checkLosses(t *testing.T, db *bolt.DB, all []sent, rnd *rand.Rand) {
	q := nodebus.LogQuery{Own: rnd.IntN(2) == 0, Client: []string{"", "ann", "bob"}[rnd.IntN(3)], All: rnd.IntN(2) == 0, UpTo: all[len(all)-1].id}
	if q.After = all[rnd.IntN(len(all))].id; rnd.IntN(2) == 0 {
		q.After = 0
	}
	page, err := db.Log().Read(q)
	require.NoError(t, err)
	kept := map[uint64]nodebus.Event{}
	for _, ev := range page.Events {
		kept[ev.ID] = ev
	}
	newer := map[string]bool{}
	for i := len(all) - 1; i >= 0; i-- {
		s := all[i]
		own := q.Own && (s.ev.To == q.Client && s.ev.To != "" || s.ev.PromptID == "" && s.ev.To == "")
		if s.id <= q.After || !own && (!q.All || s.ev.PromptID == "") {
			continue
		}
		ev, found := kept[s.id]
		delete(kept, s.id)
		if found {
			require.Equal(t, s.ev.Payload.EventType(), ev.Payload.EventType())
		} else {
			require.True(t, newer[s.key] || page.Lost >= s.id, "event %d is missing; Lost is %d", s.id, page.Lost)
		}
		newer[s.key] = s.key != ""
	}
	require.Empty(t, kept)
}

// TestLogRestored: after a backup was restored, IDs are given again, so a client learns that
// its cursor is of another life.
func TestLogRestored(t *testing.T) {
	path := newPath(t)
	db := open(t, path, nil)
	require.NoError(t, db.Log().Append(starting("1")))
	require.NoError(t, db.Close())
	backup, err := os.ReadFile(path)
	require.NoError(t, err)
	db = open(t, path, nil)
	before, stop, err := db.Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	require.NoError(t, db.Log().Append(about("1", word("not in the backup"))))
	require.NoError(t, db.Close())
	require.NoError(t, os.WriteFile(path, backup, 0o600))

	epoch := before.Epoch
	for n, restored := range []bool{false, true, false} {
		db = open(t, path, &bolt.Options{Restored: restored})
		at, stop, err := db.Log().Follow(func(nodebus.Event) {})
		require.NoError(t, err)
		stop()
		require.Equal(t, uint64(1), at.ID)
		if restored {
			require.NotEqual(t, epoch, at.Epoch)
			epoch = at.Epoch
		}
		require.Equal(t, epoch, at.Epoch, "opened %d times", n+1)
		page, err := db.Log().Read(nodebus.LogQuery{All: true, UpTo: 1})
		require.NoError(t, err)
		require.Len(t, page.Events, 1)
		require.Equal(t, at, page.Events[0].Cursor())
		require.NoError(t, db.Close())
	}
}

// TestLogRestoredIsKept checks that the new epoch is in the file when Open returns.
func TestLogRestoredIsKept(t *testing.T) {
	path := newPath(t)
	db := open(t, path, nil)
	require.NoError(t, db.Log().Append(starting("p")))
	require.NoError(t, db.Close())
	db = open(t, path, &bolt.Options{Restored: true})
	resume := db.SlowDisk()
	defer resume()
	text, err := os.ReadFile(path) // what a crash leaves
	require.NoError(t, err)
	resume()
	at, stop, err := db.Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	crashed, stop, err := open(t, write(t, text), nil).Log().Follow(func(nodebus.Event) {})
	require.NoError(t, err)
	stop()
	require.Equal(t, at.Epoch, crashed.Epoch)
}
