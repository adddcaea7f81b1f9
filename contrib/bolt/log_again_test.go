package bolt_test

import (
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
