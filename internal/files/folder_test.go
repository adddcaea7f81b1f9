package files_test

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/files"
	"github.com/stretchr/testify/require"
)

// TestFolderAndLinks tries every kind of symbolic link that leads out of the folder.
func TestFolderAndLinks(t *testing.T) {
	around := t.TempDir()
	folder := files.Folder(filepath.Join(around, "inside"))
	outside := files.Folder(filepath.Join(around, "outside"))
	put(t, outside, "secret", "secret")
	put(t, folder, "real/file", "real")
	for name, target := range map[string]string{
		"to file":     "../outside/secret",
		"to folder":   "../outside",
		"absolute":    filepath.Join(around, "outside", "secret"),
		"to nothing":  "../outside/new",
		"in/to up":    "../../outside",
		"to real":     "real/file",
		"loop":        "loop",
		"roundabout":  "real/../../outside/secret",
		"to real dir": "real",
	} {
		link := filepath.Join(string(folder), name)
		require.NoError(t, os.MkdirAll(filepath.Dir(link), 0o700))
		require.NoError(t, os.Symlink(target, link))
	}
	require.Equal(t, "real", content(t, folder, "to real"))
	require.Equal(t, "real", content(t, folder, "to real dir/file"))

	for _, name := range []string{"to file", "to folder/secret", "absolute", "to nothing", "in/to up/secret", "roundabout"} {
		_, err := fs.ReadFile(folder, name)
		require.ErrorIs(t, err, files.ErrOutside, name)
		_, err = fs.Stat(folder, name)
		require.ErrorIs(t, err, files.ErrOutside, name)
	}
	_, err := fs.ReadFile(folder, "loop")
	require.ErrorIs(t, err, fs.ErrNotExist)

	for _, name := range []string{"to folder/new", "to folder/deep/new", "in/to up/new"} {
		require.ErrorIs(t, folder.Write(name, strings.NewReader("x"), true), files.ErrOutside, name)
		require.ErrorIs(t, folder.Rename("real/file", name, true), files.ErrOutside, name)
		require.ErrorIs(t, folder.Remove(name), files.ErrOutside, name)
	}
	put(t, folder, "to file", "replaced the link, not what it leads to")
	require.NoError(t, folder.Remove("absolute"))
	require.ErrorIs(t, folder.Write("to nothing", strings.NewReader("x"), false), fs.ErrExist)

	require.Equal(t, "secret", content(t, outside, "secret"))
	left, err := fs.ReadDir(outside, ".")
	require.NoError(t, err)
	require.Len(t, left, 1)
}

func TestNoFolder(t *testing.T) {
	none := files.Folder("")
	_, err := none.Open("a")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, none.Write("a", strings.NewReader(""), true), fs.ErrPermission)
	require.ErrorIs(t, none.Remove("a"), fs.ErrPermission)
}

func TestPlace(t *testing.T) {
	folder := files.Folder(t.TempDir())
	long := strings.Repeat("x", 100_000)
	for _, c := range []struct {
		content string
		replace bool
		name    string
	}{
		{"one", false, "in/a.tar.png"},
		{"one", false, "in/a.tar.png"},
		{"two", false, "in/a.tar (1).png"},
		{long + "a", false, "in/a.tar (2).png"},
		{long + "b", false, "in/a.tar (3).png"},
		{long + "b", false, "in/a.tar (3).png"},
		{"two", false, "in/a.tar (1).png"},
		{"three", true, "in/a.tar.png"},
		{"one", false, "in/a.tar (4).png"},
	} {
		name, err := folder.Place("in/a.tar.png", strings.NewReader(c.content), c.replace)
		require.NoError(t, err)
		require.Equal(t, c.name, name)
		require.Equal(t, c.content, content(t, folder, name))
	}
	left, err := fs.ReadDir(folder, ".")
	require.NoError(t, err)
	require.Len(t, left, 1)
	_, err = folder.Place("in", strings.NewReader("x"), true)
	require.ErrorIs(t, err, fs.ErrExist)
	name, err := folder.Place("in", strings.NewReader("x"), false)
	require.NoError(t, err)
	require.Equal(t, "in (1)", name)

	longest := strings.Repeat("x", 255)
	_, err = folder.Place(longest, strings.NewReader("one"), false)
	require.NoError(t, err)
	_, err = folder.Place(longest, strings.NewReader("two"), false)
	require.ErrorIs(t, err, files.ErrName, "a number would make the name too long")
}
