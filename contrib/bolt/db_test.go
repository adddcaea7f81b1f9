package bolt_test

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// open opens a file, and closes it at the end of the test.
func open(t *testing.T, path string, opts *bolt.Options) *bolt.DB {
	t.Helper()
	db, err := bolt.Open(path, opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, db.Close()) })
	return db
}

func newPath(t *testing.T) string { return filepath.Join(t.TempDir(), "nodebus.db") }

// TestOpen checks that a file is made, and that one DB at a time can open it.
func TestOpen(t *testing.T) {
	path := newPath(t)
	db := open(t, path, nil)
	require.Equal(t, path, db.Path())
	_, err := bolt.Open(path, &bolt.Options{LockTimeout: -1})
	require.ErrorIs(t, err, bolt.ErrInUse)
	require.ErrorContains(t, err, path)
	require.NoError(t, db.Close())
	open(t, path, nil)
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1, "nothing but the file is left in its directory")
}

// TestOpenTellsThatItWaits checks that the logger learns once that another process has the file,
// and nothing if Open does not wait for long.
func TestOpenTellsThatItWaits(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		path := newPath(t)
		db := open(t, path, nil)
		var told bytes.Buffer
		opts := &bolt.Options{LockTimeout: time.Minute, Logger: slog.New(slog.NewTextHandler(&told, nil))}
		opened := starts(func() error {
			again, err := bolt.Open(path, opts)
			if err == nil {
				err = again.Close()
			}
			return err
		})
		time.Sleep(30 * time.Second)
		synctest.Wait()
		require.Equal(t, 1, strings.Count(told.String(), "\n"), told.String())
		for _, part := range []string{"level=INFO", "another process has the file", path, "longest=1m0s"} {
			require.Contains(t, told.String(), part)
		}
		require.NoError(t, db.Close())
		require.NoError(t, <-opened)

		db = open(t, path, nil)
		opts.LockTimeout = 2 * time.Second
		told.Reset()
		began := time.Now()
		_, err := bolt.Open(path, opts)
		require.ErrorIs(t, err, bolt.ErrInUse)
		require.InDelta(t, 2, time.Since(began).Seconds(), 0.2)
		require.Equal(t, 1, strings.Count(told.String(), "\n"), told.String())
		told.Reset()
		for _, timeout := range []time.Duration{0, -1} {
			opts.LockTimeout = timeout
			_, err := bolt.Open(path, opts)
			require.ErrorIs(t, err, bolt.ErrInUse)
		}
		require.NoError(t, db.Close())
		again := open(t, path, opts)
		require.NoError(t, again.Close())
		require.Empty(t, told.String())
	})
}
