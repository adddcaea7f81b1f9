package picture_test

import (
	"errors"
	"fmt"
	"image"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/picture"
	"github.com/stretchr/testify/require"
)

func says(text string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, text)
		return err
	}
}

// TestCreate: numbers go up, for each prefix and extension.
func TestCreate(t *testing.T) {
	folder := picture.Folder{Path: filepath.Join(t.TempDir(), "output")}
	for _, c := range []struct {
		prefix, ext string
		want        nodebus.File
	}{
		{"a", ".png", nodebus.File{Filename: "a_00001_.png", Type: "output"}},
		{"a", ".png", nodebus.File{Filename: "a_00002_.png", Type: "output"}},
		{"a", ".jpg", nodebus.File{Filename: "a_00001_.jpg", Type: "output"}},
		{"a_00002", ".png", nodebus.File{Filename: "a_00002_00001_.png", Type: "output"}},
		{"x/y z/a", ".png", nodebus.File{Filename: "a_00001_.png", Subfolder: "x/y z", Type: "output"}},
		{"x/./y z/a", ".png", nodebus.File{Filename: "a_00002_.png", Subfolder: "x/y z", Type: "output"}},
	} {
		got, err := folder.Create(c.prefix, c.ext, says(c.prefix))
		require.NoError(t, err, c.prefix)
		require.Equal(t, c.want, got)
		text, err := os.ReadFile(filepath.Join(folder.Path, got.Subfolder, got.Filename))
		require.NoError(t, err)
		require.Equal(t, c.prefix, string(text))
	}
	for _, name := range []string{"a_00007_.png", "a_99999999999_.png", "a_x_.png", "b_00001_.png"} {
		require.NoError(t, os.WriteFile(filepath.Join(folder.Path, name), nil, 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(folder.Path, "a_00009_.png"), 0o700))
	got, err := picture.Folder{Path: folder.Path, Type: "temp"}.Create("a", ".png", says(""))
	require.NoError(t, err)
	require.Equal(t, nodebus.File{Filename: "a_00010_.png", Type: "temp"}, got)
}

// TestCreateAtOnce: two prompts that run side by side save different files.
func TestCreateAtOnce(t *testing.T) {
	path := t.TempDir()
	var mu sync.Mutex
	var names []string
	var all sync.WaitGroup
	for k := range 8 {
		all.Go(func() {
			for n := range 8 {
				file, err := picture.Folder{Path: path}.Create("a", ".txt", says(fmt.Sprint(k, n)))
				mu.Lock()
				if err == nil {
					names = append(names, file.Filename)
				}
				mu.Unlock()
			}
		})
	}
	all.Wait()
	slices.Sort(names)
	require.Len(t, slices.Compact(names), 64)
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Len(t, entries, 64)
}

func TestCreateRefuses(t *testing.T) {
	path := t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(path, "file"), nil, 0o600))
	require.NoError(t, os.Symlink(os.TempDir(), filepath.Join(path, "out")))
	folder := picture.Folder{Path: path}
	for _, prefix := range []string{"", "x/", "../a", "/a", "a/../../b", `a\b`, "a\x00", "a\nb", ".. /a", "blake3:cat", "x/blake3:cat", "file/a", "file/x/a", "out/a", "\xff", string(make([]byte, 300))} {
		_, err := folder.Create(prefix, ".png", says("x"))
		require.Error(t, err, "%q", prefix)
	}
	for _, ext := range []string{"/../b", "", "png", ".", ".png/b", `.png\b`, ".png\x00", "\xff"} {
		_, err := folder.Create("a", ext, says("x"))
		require.ErrorIs(t, err, fs.ErrInvalid, "%q", ext)
	}
	_, err := picture.Folder{}.Create("a", ".png", says("x"))
	require.ErrorContains(t, err, "set Folder.Path")
	left, err := filepath.Glob(filepath.Join(path, "*"))
	require.NoError(t, err)
	require.Len(t, left, 2, "only what the test has made")
}

// TestCreateNamesOfTheSystem: only on Windows, names that Windows does not allow are refused.
func TestCreateNamesOfTheSystem(t *testing.T) {
	folder := picture.Folder{Path: t.TempDir()}
	for _, name := range [][2]string{
		{"a:b", ".png"},
		{"ß*", ".png"},
		{"a?b", ".png"},
		{"<b>", ".png"},
		{`"a"`, ".png"},
		{"a|b", ".png"},
		{"x*/a", ".png"},
		{"NUL/a", ".png"},
		{"x./a", ".png"},
		{"a", ".p:g"},
		{"a", ".p*"},
		{"a", ".png "},
		{"a", ".png."},
	} {
		got, err := folder.Create(name[0], name[1], says("x"))
		if runtime.GOOS == "windows" {
			require.ErrorIs(t, err, fs.ErrInvalid, name)
			require.ErrorContains(t, err, "Windows")
			continue
		}
		require.NoError(t, err, name)
		content, err := os.ReadFile(filepath.Join(folder.Path, got.Subfolder, got.Filename))
		require.NoError(t, err)
		require.Equal(t, "x", string(content))
	}
	_, err := folder.Create("NUL", ".png", says("x")) // with the number, it is no device
	require.NoError(t, err)
}

// TestCreateFails: nothing is saved if write fails.
func TestCreateFails(t *testing.T) {
	path := t.TempDir()
	folder := picture.Folder{Path: path}
	broken := errors.New("broken")
	_, err := folder.Create("a", ".png", func(w io.Writer) error { _, _ = w.Write([]byte("half")); return broken })
	require.ErrorIs(t, err, broken)
	var panicked *nodebus.PanicError
	_, err = folder.Create("a", ".png", func(io.Writer) error { panic("dry") })
	require.ErrorAs(t, err, &panicked)
	var gone sync.WaitGroup
	gone.Go(func() {
		_, _ = folder.Create("a", ".png", func(io.Writer) error { runtime.Goexit(); return nil })
	})
	gone.Wait()
	entries, err := os.ReadDir(path)
	require.NoError(t, err)
	require.Empty(t, entries)
}

// TestExpand: ComfyUI's get_save_image_path makes the same of each prefix.
func TestExpand(t *testing.T) {
	at := time.Date(2027, time.March, 4, 5, 6, 7, 8, time.FixedZone("", 3600))
	for prefix, want := range map[string]string{
		"":                                  "",
		"a":                                 "a",
		"%year%-%month%-%day%/%width%":      "2027-03-04/640",
		"%hour%%minute%%second%_%height%":   "050607_480",
		"%width%x%width%":                   "640x640",
		"%Width% %day %week% 100%":          "%Width% %day %week% 100%",
		"%height%width%":                    "%height640",
		"%%year%%":                          "%2027%",
		"../%year%":                         "../2027",
		"%date:yyyy-MM-dd% %KSampler.seed%": "%date:yyyy-MM-dd% %KSampler.seed%",
	} {
		require.Equal(t, want, picture.Expand(prefix, image.Pt(640, 480), at), prefix)
	}
	require.Equal(t, "0x0 0012", picture.Expand("%width%x%height% 00%month%", image.Point{}, time.Date(1, 12, 1, 0, 0, 0, 0, time.UTC)))
}
