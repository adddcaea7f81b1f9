package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"testing"
	"testing/synctest"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// interrupts returns how many signals a prompt receives that begins now.
func interrupts(db *bolt.DB, id string) (n int, err error) {
	stop, err := db.Signals().Receive(id, func(flow.Signal) error { n++; return nil })
	if err == nil {
		stop()
	}
	return n, err
}

// TestDoneAfterFailedChange checks that a prompt has left the file when Done returns, also if the
// change before it has failed alone.
func TestDoneAfterFailedChange(t *testing.T) {
	path := newPath(t)
	d, ctx := open(t, path, nil), t.Context()
	require.NoError(t, d.Queue().Push(ctx, &nodebus.Prompt{ID: "p"}, nil))
	lease, err := d.Queue().TakeOne(ctx, "p")
	require.NoError(t, err)
	wrong := errors.New("wrong")
	require.Equal(t, wrong, d.Begin(func(*bbolt.Tx) error { return wrong }).Wait(ctx))
	require.NoError(t, lease.Done(ctx))
	text, err := os.ReadFile(path) // what a crash leaves
	require.NoError(t, err)
	requireLen(t, open(t, write(t, text), nil), 0, 0)
}

// TestDoneAfterSend checks that a signal that was being sent when its prompt was done leaves the
// file with the prompt, also if the disk takes the changes one by one.
func TestDoneAfterSend(t *testing.T) {
	path := newPath(t)
	d, ctx := open(t, path, nil), t.Context()
	require.NoError(t, d.Queue().Push(ctx, &nodebus.Prompt{ID: "p"}, nil))
	lease, err := d.Queue().TakeOne(ctx, "p")
	require.NoError(t, err)
	release := holds(d)
	d.Begin(bolt.Puts("first"))
	waiting := d.Waiting()
	sent, done := make(chan error, 1), make(chan error, 1)
	go func() { sent <- d.Signals().Send(ctx, flow.Signal{PromptID: "p", Interrupt: true}) }()
	for d.Waiting() == waiting {
		runtime.Gosched()
	}
	go func() { done <- lease.Done(ctx) }()
	for d.Waiting() == waiting+1 {
		runtime.Gosched()
	}
	failed := d.Begin(bolt.TooLarge)
	release()
	require.ErrorIs(t, failed.Wait(ctx), bolt.ErrWrite)
	require.NoError(t, <-sent)
	require.NoError(t, <-done)
	text, err := os.ReadFile(path) // what a crash leaves
	require.NoError(t, err)
	n, err := interrupts(open(t, write(t, text), nil), "p")
	require.NoError(t, err)
	require.Zero(t, n)
}

// TestDropBesideSend checks that Drop drops a signal that waits for the disk, in memory and in the
// file, also if the context of Drop ends: the next prompt with the id must not receive it.
func TestDropBesideSend(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		path := newPath(t)
		db := open(t, path, nil)
		resume := db.SlowDisk()
		defer resume()
		sent := starts(func() error {
			return db.Signals().Send(t.Context(), flow.Signal{PromptID: "p", Interrupt: true})
		})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		require.ErrorIs(t, db.Signals().Drop(ctx, "p"), context.Canceled)
		resume()
		require.NoError(t, <-sent)
		n, err := interrupts(db, "p")
		require.NoError(t, err)
		require.Zero(t, n)

		synctest.Wait()                // no other change is needed
		text, err := os.ReadFile(path) // what a crash leaves
		require.NoError(t, err)
		n, err = interrupts(open(t, write(t, text), nil), "p")
		require.NoError(t, err)
		require.Zero(t, n)
	})
}

// TestDropSecretsOfOlder checks that Open does not look for the secrets of a prompt that it has
// found to be done.
func TestDropSecretsOfOlder(t *testing.T) {
	path := newPath(t)
	db := open(t, path, withKey())
	secrets := map[string]string{"KEY": "x"}
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "first"}, nil))
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "p"}, secrets))
	_, err := db.Queue().Delete(t.Context(), "first")
	require.NoError(t, err)
	require.NoError(t, db.Begin(func(tx *bbolt.Tx) error {
		prompts := tx.Bucket([]byte("prompts"))
		return prompts.Put([]byte{7: 1}, bytes.Clone(prompts.Get([]byte{7: 2})))
	}).Wait(t.Context()))
	require.NoError(t, db.Close())
	requireLen(t, open(t, path, &bolt.Options{DropSecrets: true}), 1, 0)
}
