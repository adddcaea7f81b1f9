//go:build unix

package bolt_test

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/stretchr/testify/require"
)

// TestBackupInTempDir checks that a copy is made elsewhere if it cannot be made beside the file,
// and that nothing is left there.
func TestBackupInTempDir(t *testing.T) {
	db := open(t, newPath(t), nil)
	require.NoError(t, os.RemoveAll(filepath.Dir(db.Path())))
	elsewhere := t.TempDir()
	t.Setenv("TMPDIR", elsewhere)
	require.NoError(t, db.Backup(io.Discard))
	entries, err := os.ReadDir(elsewhere)
	require.NoError(t, err)
	require.Empty(t, entries)
	t.Setenv("TMPDIR", filepath.Join(elsewhere, "missing"))
	err = db.Backup(io.Discard)
	require.ErrorIs(t, err, bolt.ErrWrite)
	require.ErrorContains(t, err, "look for room on the disk")
}
