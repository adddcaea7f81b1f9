//go:build unix

package files_test

import (
	"io/fs"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/nodebus/nodebus/internal/files"
	"github.com/stretchr/testify/require"
)

func TestFolderAndPipes(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o600))
	_, err := fs.ReadFile(files.Folder(dir), "pipe")
	require.ErrorIs(t, err, fs.ErrNotExist)
}
