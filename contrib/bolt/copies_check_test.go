package bolt_test

import (
	"errors"
	"fmt"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// requireCopy checks a copy of the file against what was known.
func (w *world) requireCopy(c copied) {
	w.Helper()
	db, err := bolt.Open(write(w.T, c.text), nil)
	require.NoError(w, err)
	defer func() { require.NoError(w, db.Close()) }()
	at, stop, err := db.Log().Follow(func(nodebus.Event) {})
	require.NoError(w, err)
	stop()
	require.GreaterOrEqual(w, at.ID, c.delivered, "a follower has an event that the file does not have")
	w.requireFates(db, c.before, c.after)
}

// requireFates checks what a DB has of all prompts.
func (w *world) requireFates(db *bolt.DB, before, after map[string]fate) {
	w.Helper()
	there := map[string]flow.Queued{}
	for x, err := range db.Queue().List(w.Context()) {
		require.NoError(w, err)
		require.NotContains(w, there, x.Prompt.ID)
		there[x.Prompt.ID] = x
	}
	for id, b := range before {
		x, has := there[id]
		w.requireFate(db, id, b, after[id], x, has)
	}
}

func (w *world) requireFate(db *bolt.DB, id string, b, a fate, x flow.Queued, has bool) {
	w.Helper()
	about := fmt.Sprintf("%s: before %+v, after %+v, in the copy %+v", id, b, a, x)
	n := 0
	if has {
		n = int(x.Prompt.Extra["n"].(float64))
	}
	require.LessOrEqual(w, n, a.n, about)
	r, err := db.Store().Get(w.Context(), id)
	if !errors.Is(err, flow.ErrNotFound) {
		require.NoError(w, err)
	}
	require.GreaterOrEqual(w, r.Attempt, b.record, "a record is lost: "+about)
	require.LessOrEqual(w, r.Attempt, a.putting, about)
	var signals []string
	stop, err := db.Signals().Receive(id, func(s flow.Signal) error { signals = append(signals, s.Node); return nil })
	require.NoError(w, err)
	stop()
	for _, node := range signals {
		require.False(w, has && node != fmt.Sprint(n), "a signal is of an earlier prompt: "+about)
	}
	if b.n != a.n {
		return
	}
	if has && n == b.n {
		require.False(w, b.failed, "a prompt is there that was refused: "+about)
		require.Greater(w, x.Attempt, min(b.taken, a.taken), "an attempt goes back: "+about)
	}
	if b.pushed {
		require.True(w, !has || n == b.n, "an earlier prompt is back: "+about)
		require.True(w, has || a.ending, "a prompt is lost: "+about)
		require.False(w, has && b.ended, "a prompt has ended, and is there: "+about)
		require.True(w, a.ending || len(signals) >= b.sent, "a signal is lost: "+about)
	}
	if b.pushed && !has && !a.deleted {
		require.Equal(w, b.n, r.Attempt, "a prompt is gone before its record is there: "+about)
		require.True(w, db.Log().(nodebus.RememberingLog).Closed(id), "a prompt is gone before its last event is there: "+about)
	}
}
