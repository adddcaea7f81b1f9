package files_test

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/iotest"

	"github.com/nodebus/nodebus/internal/files"
	"github.com/stretchr/testify/require"
)

// stores runs a test on a Folder and on a Memory.
func stores(t *testing.T, test func(t *testing.T, s files.Store)) {
	t.Run("folder", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "made", "when needed")
		test(t, files.Folder(dir))
		_ = filepath.WalkDir(dir, func(name string, _ fs.DirEntry, _ error) error {
			require.False(t, files.Staged(name), "left behind: %s", name)
			return nil
		})
	})
	t.Run("memory", func(t *testing.T) { test(t, files.NewMemory(1<<20, 100)) })
}

func put(t *testing.T, s files.Store, name, content string) {
	t.Helper()
	require.NoError(t, s.Write(name, strings.NewReader(content), true))
}

func content(t *testing.T, s fs.FS, name string) string {
	t.Helper()
	data, err := fs.ReadFile(s, name)
	require.NoError(t, err)
	return string(data)
}

func TestStoreIsAnFS(t *testing.T) {
	stores(t, func(t *testing.T, s files.Store) {
		_, err := fs.ReadDir(s, "a")
		require.ErrorIs(t, err, fs.ErrNotExist)
		put(t, s, "a/b/c.txt", "c")
		put(t, s, "a/d.txt", "dd")
		put(t, s, "e", "")
		require.NoError(t, fstest.TestFS(s, "a/b/c.txt", "a/d.txt", "e"))
		f, err := s.Open("a/d.txt")
		require.NoError(t, err)
		require.Implements(t, (*io.Seeker)(nil), f)
		require.NoError(t, f.Close())
		for _, name := range []string{"a/d.txt/x", "a/d.txt/x/y", "a/none", "none/a"} {
			_, err := s.Open(name)
			require.ErrorIs(t, err, fs.ErrNotExist, name)
			_, err = fs.Stat(s, name)
			require.ErrorIs(t, err, fs.ErrNotExist, name)
		}
	})
}

func TestWrite(t *testing.T) {
	stores(t, func(t *testing.T, s files.Store) {
		put(t, s, "a/b", "one")
		require.ErrorIs(t, s.Write("a/b", strings.NewReader("two"), false), fs.ErrExist)
		require.Equal(t, "one", content(t, s, "a/b"))
		put(t, s, "a/b", "three")
		require.Equal(t, "three", content(t, s, "a/b"))

		require.ErrorIs(t, s.Write("a/b/c", strings.NewReader("x"), true), fs.ErrExist, "a file is in the way")
		require.ErrorIs(t, s.Write("a/b/c/d", strings.NewReader("x"), true), fs.ErrExist, "a file is in the way")
		require.ErrorIs(t, s.Write("a", strings.NewReader("x"), true), fs.ErrExist, "a folder is in the way")
		require.ErrorIs(t, s.Write("a", strings.NewReader("x"), false), fs.ErrExist, "a folder is in the way")

		broken := errors.New("the line is broken")
		err := s.Write("a/b", io.MultiReader(strings.NewReader("begun"), iotest.ErrReader(broken)), true)
		require.ErrorIs(t, err, broken)
		require.Equal(t, "three", content(t, s, "a/b"))
	})
}

func TestRename(t *testing.T) {
	stores(t, func(t *testing.T, s files.Store) {
		put(t, s, "a", "a")
		put(t, s, "b", "b")
		require.ErrorIs(t, s.Rename("none", "c", true), fs.ErrNotExist)
		require.ErrorIs(t, s.Rename("a", "b", false), fs.ErrExist)
		require.Equal(t, "b", content(t, s, "b"))
		require.ErrorIs(t, s.Rename("a", "b/c", true), fs.ErrExist)
		require.NoError(t, s.Rename("a", "d/e", false))
		require.Equal(t, "a", content(t, s, "d/e"))
		_, err := fs.Stat(s, "a")
		require.ErrorIs(t, err, fs.ErrNotExist)
		require.ErrorIs(t, s.Rename("d", "f", false), fs.ErrNotExist, "a folder is no file")
		require.NoError(t, s.Rename("d/e", "b", true))
		require.Equal(t, "a", content(t, s, "b"))
		require.NoError(t, s.Rename("b", "b", true))
		require.ErrorIs(t, s.Rename("b", "b", false), fs.ErrExist)
		require.Equal(t, "a", content(t, s, "b"))
	})
}

func TestRemove(t *testing.T) {
	stores(t, func(t *testing.T, s files.Store) {
		put(t, s, "a/b", "b")
		require.ErrorIs(t, s.Remove("a"), fs.ErrNotExist)
		require.ErrorIs(t, s.Remove("c"), fs.ErrNotExist)
		require.NoError(t, s.Remove("a/b"))
		require.ErrorIs(t, s.Remove("a/b"), fs.ErrNotExist)
	})
}

// TestWriteAtOnce writes the same file from many goroutines. Each reader must see
// the complete content of one write.
func TestWriteAtOnce(t *testing.T) {
	stores(t, func(t *testing.T, s files.Store) {
		var wg sync.WaitGroup
		won := make(chan int, 8)
		for i := range 8 {
			wg.Go(func() {
				text := strings.Repeat(fmt.Sprint(i), 1<<15)
				if s.Write("once", strings.NewReader(text), false) == nil {
					won <- i
				}
				if err := s.Write("often", strings.NewReader(text), true); err != nil {
					t.Error(err)
				}
				data, err := fs.ReadFile(s, "often")
				if err != nil || len(data) != 1<<15 || strings.Trim(string(data), string(data[:1])) != "" {
					t.Error("a file that is not whole", len(data), err)
				}
			})
		}
		wg.Wait()
		require.Len(t, won, 1)
		require.Equal(t, fmt.Sprint(<-won), content(t, s, "once")[:1])
	})
}

func TestMemoryIsBounded(t *testing.T) {
	m := files.NewMemory(10, 2)
	put(t, m, "a", "12345")
	require.ErrorIs(t, m.Write("b", strings.NewReader("123456"), true), files.ErrFull)
	require.ErrorIs(t, m.Write("a", strings.NewReader(strings.Repeat("x", 1000)), true), files.ErrFull)
	put(t, m, "b", "12345")
	require.ErrorIs(t, m.Write("c", strings.NewReader(""), true), files.ErrFull)
	put(t, m, "a", "54321")
	require.NoError(t, m.Rename("a", "b", true))
	put(t, m, "c", "12345")
	require.NoError(t, m.Remove("b"))
	require.NoError(t, m.Remove("c"))
	put(t, m, "d", "1234567890")
}
