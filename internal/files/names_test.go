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

// The errors in the tables of names.
var outside, invalid = files.ErrOutside, files.ErrName

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
		"":                         invalid,
		".":                        invalid,
		"./":                       invalid,
		"/":                        outside,
		"/etc/passwd":              outside,
		"//host/share":             outside,
		"..":                       outside,
		"../a":                     outside,
		"a/../b":                   outside,
		"a/b/../../../c":           outside,
		"a/..":                     outside,
		"..\\a":                    invalid,
		"a\\b":                     invalid,
		"c:\\windows":              invalid,
		"a\x00.png":                invalid,
		"a\n":                      invalid,
		"a\x7f":                    invalid,
		". ./b":                    invalid,
		".. /b":                    invalid,
		"...":                      invalid,
		" ":                        invalid,
		"\xff\xfe":                 invalid,
		strings.Repeat("x", 256):   invalid,
		strings.Repeat("x/", 1000): invalid,
	} {
		for _, system := range []string{"linux", "darwin", "windows"} {
			got, err := files.CleanOn(system, name)
			if refusal, is := want.(error); is {
				require.ErrorIs(t, err, refusal, "%s: %q", system, name)
				continue
			}
			require.NoError(t, err, "%s: %q", system, name)
			require.Equal(t, want, got, system)
		}
	}
	for name, want := range map[string]string{"": ".", ".": ".", "a/": "a"} {
		got, err := files.CleanDir(name)
		require.NoError(t, err)
		require.Equal(t, want, got)
	}
}

// windowsOnly has names that only Windows refuses, and what the text of the refusal says.
var windowsOnly = map[string]string{
	"C:":             "':'",
	"C:/a":           "':'",
	"a.txt:stream":   "':'",
	"a.txt::$DATA":   "':'",
	"12:30:00.png":   "':'",
	"blake3:00":      "':'",
	"why?.png":       "'?'",
	"a*b":            "'*'",
	`say "x"`:        `'"'`,
	"<b>":            "'<'",
	"a>b":            "'>'",
	"a|b":            "'|'",
	"a.":             "'.' at the end",
	"a ":             "' ' at the end",
	"a./b":           "'.' at the end",
	"a.txt . .":      "'.' at the end",
	"con":            "device",
	"Con.txt":        "device",
	"aux .tar.gz":    "device",
	"a/NUL/b":        "device",
	"prn.png":        "device",
	"COM1":           "device",
	"lpt9.x":         "device",
	"COM²":           "device",
	"conin$":         "device",
	"sub/CONOUT$.js": "device",
}

// TestCleanOnWindows: names that Windows takes for something else are refused there, with a
// text that says why. The other systems have files of these names.
func TestCleanOnWindows(t *testing.T) {
	for name, text := range windowsOnly {
		_, err := files.CleanOn("windows", name)
		require.ErrorIs(t, err, files.ErrName, name)
		require.ErrorContains(t, err, "Windows", name)
		require.ErrorContains(t, err, text, name)
		for _, system := range []string{"linux", "darwin", "freebsd"} {
			got, err := files.CleanOn(system, name)
			require.NoError(t, err, "%s: %q", system, name)
			require.Equal(t, name, got)
		}
	}
}

// TestNamesOfThisSystem: a name that the system has is stored and read again, under exactly
// this name.
func TestNamesOfThisSystem(t *testing.T) {
	stores(t, func(t *testing.T, s files.Store) {
		stored := map[string]string{}
		for name := range windowsOnly {
			if _, err := files.Clean(name); err == nil && !strings.Contains(name, "/") {
				put(t, s, name, name)
				stored[name] = content(t, s, name)
			}
		}
		entries, err := fs.ReadDir(s, ".")
		require.NoError(t, err)
		require.Len(t, entries, len(stored))
		for _, e := range entries {
			require.Equal(t, e.Name(), stored[e.Name()])
		}
	})
}

// FuzzClean checks the properties of every name that Clean accepts.
func FuzzClean(f *testing.F) {
	for _, name := range []string{"a/b", "../a", "a\\..\\b", "C:a", "aux.x", "a. /b", "", "\x00", "a//./b", "COM¹.txt", "a:b", "x?"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		for _, system := range []string{"windows", "linux"} {
			got, err := files.CleanOn(system, name)
			if err != nil {
				require.Empty(t, got)
				continue
			}
			require.True(t, fs.ValidPath(got), "%q", got)
			require.True(t, filepath.IsLocal(got), "%q", got)
			require.NotEqual(t, ".", got)
			require.NotContains(t, got, "\\")
			for part := range strings.SplitSeq(got, "/") {
				require.NotEmpty(t, strings.Trim(part, ". "))
				if system == "windows" {
					require.Equal(t, part, strings.TrimRight(part, ". "), "Windows would open another file")
					require.NotContains(t, part, ":", "Windows would open another drive or stream")
				}
			}
			again, err := files.CleanOn(system, got)
			require.NoError(t, err)
			require.Equal(t, got, again)
		}
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
