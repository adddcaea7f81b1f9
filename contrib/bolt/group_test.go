package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

func has(t *testing.T, db *bolt.DB, key string) bool {
	t.Helper()
	found, err := db.Has(key)
	require.NoError(t, err)
	return found
}

// holds makes the writer wait inside a change until release is called, so that the changes
// after it come together.
func holds(d *bolt.DB) (release func()) {
	inside, goOn := make(chan struct{}), make(chan struct{})
	var once sync.Once
	d.Begin(func(*bbolt.Tx) error {
		once.Do(func() { close(inside) })
		<-goOn
		return nil
	})
	<-inside
	return func() { close(goOn) }
}

// TestChangesAreIndependent checks that a change that fails or panics spoils no other
// change of the same transaction.
func TestChangesAreIndependent(t *testing.T) {
	d := open(t, newPath(t), nil)
	wrong := errors.New("wrong")
	release := holds(d)
	var changes []bolt.Change
	for i := range 20 {
		key := fmt.Sprint("key", i)
		changes = append(changes, d.Begin(func(tx *bbolt.Tx) error {
			if err := bolt.Puts(key)(tx); err != nil || i%3 != 0 {
				return err
			}
			return wrong
		}))
	}
	release()
	for i, c := range changes {
		err := c.Wait(t.Context())
		if i%3 == 0 {
			require.Equal(t, wrong, err)
		} else {
			require.NoError(t, err)
		}
		require.Equal(t, i%3 != 0, has(t, d, fmt.Sprint("key", i)))
	}
}

// TestChangesAreOneTransaction checks that what waits together is committed together, and
// in order.
func TestChangesAreOneTransaction(t *testing.T) {
	d := open(t, newPath(t), nil)
	release := holds(d)
	var changes []bolt.Change
	ids := map[int]int{}
	var order []int
	for i := range 50 {
		changes = append(changes, d.Begin(func(tx *bbolt.Tx) error {
			ids[tx.ID()]++
			order = append(order, i)
			return nil
		}))
	}
	release()
	for _, c := range changes {
		require.NoError(t, c.Wait(t.Context()))
	}
	require.Len(t, ids, 1)
	for i, n := range order {
		require.Equal(t, i, n)
	}
}

// TestWithdrawnChange checks that a caller whose context ends does not wait for changes
// before its own, and that its change then has no effect.
func TestWithdrawnChange(t *testing.T) {
	d := open(t, newPath(t), nil)
	release := holds(d)
	why := errors.New("why")
	ctx, cancel := context.WithCancelCause(t.Context())
	c := d.Begin(bolt.Puts("withdrawn"))
	last := d.Begin(bolt.Puts("last"))
	cancel(why)
	require.Equal(t, why, c.Wait(ctx))
	release()
	require.NoError(t, last.Wait(t.Context()))
	require.False(t, has(t, d, "withdrawn"))
}

// TestPanicInBolt checks that the file is not changed any more after bbolt has panicked.
func TestPanicInBolt(t *testing.T) {
	d := open(t, newPath(t), nil)
	require.NoError(t, d.Begin(bolt.Puts("before")).Wait(t.Context()))
	err := d.Begin(func(*bbolt.Tx) error { panic("page 7 already freed") }).Wait(t.Context())
	require.ErrorIs(t, err, bolt.ErrDamaged)
	require.ErrorContains(t, err, "page 7 already freed")
	require.ErrorContains(t, err, d.Path())
	require.ErrorIs(t, d.Begin(bolt.Puts("after")).Wait(t.Context()), bolt.ErrDamaged)
	require.True(t, has(t, d, "before"))
	require.False(t, has(t, d, "after"))
}

// TestCloseWaits checks that Close waits for what has begun.
func TestCloseWaits(t *testing.T) {
	d := open(t, newPath(t), nil)
	release := holds(d)
	c := d.Begin(bolt.Puts("key"))
	closed := make(chan error)
	go func() { closed <- d.Close() }()
	<-d.Closing()
	release()
	require.NoError(t, <-closed)
	require.NoError(t, c.Wait(t.Context()))
	require.ErrorIs(t, d.Begin(bolt.Puts("late")).Wait(t.Context()), nodebus.ErrClosed)
	_, err := d.Has("key")
	require.ErrorIs(t, err, nodebus.ErrClosed)
	again, err := bolt.Open(d.Path(), nil)
	require.NoError(t, err)
	require.True(t, has(t, again, "key"))
	require.NoError(t, again.Close())
}

// TestGrowsWhileRead checks that a call that reads the file while the file grows does not take it
// for one that has become shorter.
func TestGrowsWhileRead(t *testing.T) {
	db := open(t, newPath(t), nil)
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a"}, nil))
	read := make(chan error)
	db.Grows(func() {
		go func() {
			_, err := db.Has("key")
			read <- err
		}()
		time.Sleep(20 * time.Millisecond) // the call looks at the file now, if it does not wait
		info, err := os.Stat(db.Path())
		require.NoError(t, err)
		require.NoError(t, os.Truncate(db.Path(), 2*info.Size()))
	})
	require.NoError(t, <-read)
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "b"}, nil))
}
