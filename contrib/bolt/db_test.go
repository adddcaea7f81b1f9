package bolt_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/nodebus/nodebus/contrib/bolt"
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
