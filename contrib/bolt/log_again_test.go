package bolt_test

import (
	"fmt"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// TestLogRemembersAfterFailure checks that the log knows after a restart what is lost, and which
// prompts have ended, although the disk did not take this at the first time.
func TestLogRemembersAfterFailure(t *testing.T) {
	path, opts := newPath(t), &bolt.Options{Log: &nodebus.HubOptions{KeepLen: 2}}
	db := open(t, path, opts)
	release := holds(db)
	events := []nodebus.Event{starting("1"), ending("1")} // no room for them is left
	for range 3 {
		events = append(events, nodebus.Event{PromptID: "2", To: "bob", Payload: nodebus.ExecutionStart{PromptID: "2"}})
	}
	for _, ev := range events {
		require.NoError(t, db.Log().Append(ev))
	}
	failed := db.Begin(func(tx *bbolt.Tx) error { return tx.Rollback() }) // so the transaction cannot be committed
	release()
	require.ErrorIs(t, failed.Wait(t.Context()), bolt.ErrWrite)
	for range 2 {
		settle(t, db)
		page, err := db.Log().Read(nodebus.LogQuery{Own: true, Client: "ann", UpTo: 1 << 62})
		require.NoError(t, err)
		require.EqualValues(t, 2, page.Lost)
		require.True(t, db.Log().(nodebus.RememberingLog).Closed("1"))
		require.NoError(t, db.Close())
		db = open(t, path, opts)
	}
}

// TestLossesOfAnyID checks that each client hears of its loss after a restart, whatever bytes
// the ids have.
func TestLossesOfAnyID(t *testing.T) {
	for _, ids := range [][2]string{{"p", "ann"}, {"p", "a\x00b"}, {"p\x00q", "ann"}, {"\x00", "\x00"}, {"\xff\x01", "\xff"}} {
		path, opts := newPath(t), &bolt.Options{Log: &nodebus.HubOptions{KeepLen: 2}}
		db := open(t, path, opts)
		for n := range 5 {
			require.NoError(t, db.Log().Append(nodebus.Event{PromptID: ids[0], To: ids[1], Payload: word(fmt.Sprint(n))}))
		}
		for range 2 {
			settle(t, db)
			page, err := db.Log().Read(nodebus.LogQuery{Own: true, Client: ids[1], UpTo: 1 << 62})
			require.NoError(t, err)
			require.EqualValues(t, 3, page.Lost, "%q", ids)
			page, err = db.Log().Read(nodebus.LogQuery{Own: true, Client: "other", UpTo: 1 << 62})
			require.NoError(t, err)
			require.Zero(t, page.Lost, "%q", ids)
			require.NoError(t, db.Close())
			db = open(t, path, opts)
		}
	}
}

// TestOldLosses checks that a loss has an effect that the file has under a name of the earlier
// format: a prompt, a zero byte and a client.
func TestOldLosses(t *testing.T) {
	path := newPath(t)
	db := open(t, path, nil)
	publishTo := db.Log().Append
	require.NoError(t, publishTo(starting("1")))
	require.NoError(t, publishTo(nodebus.Event{Payload: word("newest")}))
	settle(t, db)
	require.NoError(t, db.Begin(func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("log")).Bucket([]byte("losses")).Put([]byte("1\x00ann"), []byte{0, 0, 0, 0, 0, 0, 0, 1})
	}).Wait(t.Context()))
	require.NoError(t, db.Close())
	db = open(t, path, nil)
	page, err := db.Log().Read(nodebus.LogQuery{Own: true, Client: "ann", UpTo: 1 << 62})
	require.NoError(t, err)
	require.EqualValues(t, 1, page.Lost)
}
