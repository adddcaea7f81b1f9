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

func TestClean(t *testing.T) {
	for name, want := range map[string]any{
		"a.png":                    "a.png",
		"a/b.png":                  "a/b.png",
		"a//b.png":                 "a/b.png",
		"./a/./b.png":              "a/b.png",
		"a/":                       "a",
		".index.json":              ".index.json",
		"a..b.png":                 "a..b.png",
		"...a":                     "...a",
		" a":                       " a",
		"console.log":              "console.log",
		"com.txt":                  "com.txt",
		"com10":                    "com10",
		"日本語 ✓.json":               "日本語 ✓.json",
		"%2e%2e%2fa":               "%2e%2e%2fa",
		strings.Repeat("x", 255):   strings.Repeat("x", 255),
		"":                         files.ErrName,
		".":                        files.ErrName,
		"./":                       files.ErrName,
		"/":                        files.ErrOutside,
		"/etc/passwd":              files.ErrOutside,
		"//host/share":             files.ErrOutside,
		"..":                       files.ErrOutside,
		"../a":                     files.ErrOutside,
		"a/../b":                   files.ErrOutside,
		"a/b/../../../c":           files.ErrOutside,
		"a/..":                     files.ErrOutside,
		"..\\a":                    files.ErrName,
		"a\\b":                     files.ErrName,
		"C:":                       files.ErrName,
		"C:/a":                     files.ErrName,
		"c:\\windows":              files.ErrName,
		"a.txt:stream":             files.ErrName,
		"a\x00.png":                files.ErrName,
		"a\n":                      files.ErrName,
		"a\x7f":                    files.ErrName,
		"a.":                       files.ErrName,
		"a ":                       files.ErrName,
		"a./b":                     files.ErrName,
		". ./b":                    files.ErrName,
		".. /b":                    files.ErrName,
		"...":                      files.ErrName,
		"con":                      files.ErrName,
		"Con.txt":                  files.ErrName,
		"aux .tar.gz":              files.ErrName,
		"a/NUL/b":                  files.ErrName,
		"prn.png":                  files.ErrName,
		"COM1":                     files.ErrName,
		"lpt9.x":                   files.ErrName,
		"COM²":                     files.ErrName,
		"conin$":                   files.ErrName,
		"\xff\xfe":                 files.ErrName,
		strings.Repeat("x", 256):   files.ErrName,
		strings.Repeat("x/", 1000): files.ErrName,
	} {
		t.Run(name, func(t *testing.T) {
			got, err := files.Clean(name)
			if refusal, is := want.(error); is {
				require.ErrorIs(t, err, refusal)
				return
			}
			require.NoError(t, err)
			require.Equal(t, want, got)
		})
	}
	for name, want := range map[string]string{"": ".", ".": ".", "a/": "a"} {
		got, err := files.CleanDir(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// FuzzClean checks the properties of every name that Clean accepts.
func FuzzClean(f *testing.F) {
	for _, name := range []string{"a/b", "../a", "a\\..\\b", "C:a", "aux.x", "a. /b", "", "\x00", "a//./b", "COM¹.txt"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		got, err := files.Clean(name)
		if err != nil {
			require.Empty(t, got)
			return
		}
		require.True(t, fs.ValidPath(got), "%q", got)
		require.True(t, filepath.IsLocal(got), "%q", got)
		require.NotEqual(t, ".", got)
		require.NotContains(t, got, "\\")
		require.NotContains(t, got, ":")
		for part := range strings.SplitSeq(got, "/") {
			require.Equal(t, part, strings.TrimRight(part, ". "), "Windows would open another file")
		}
		again, err := files.Clean(got)
		require.NoError(t, err)
		require.Equal(t, got, again)
	})
}

// FuzzFolder writes files under arbitrary names. Each written file must be readable,
// and no file may appear outside the folder.
func FuzzFolder(f *testing.F) {
	for _, name := range []string{"a/b", "link/x", "link", "file/x", "../a", "a/../../b", "/x"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		around := t.TempDir()
		inside := filepath.Join(around, "inside")
		folder := files.Folder(inside)
		require.NoError(t, folder.Write("file", strings.NewReader("x"), true))
		require.NoError(t, os.Symlink(around, filepath.Join(inside, "link")))
		clean, err := files.Clean(name)
		if err != nil {
			return
		}
		if err := folder.Write(clean, strings.NewReader("content"), true); err == nil {
			got, err := fs.ReadFile(folder, clean)
			require.NoError(t, err)
			require.Equal(t, "content", string(got))
		}
		left, err := os.ReadDir(around)
		require.NoError(t, err)
		require.Len(t, left, 1, "only the folder itself")
	})
}
