package diskcache_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/conform"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/flow/diskcache"
	"github.com/stretchr/testify/require"
)

func open(t testing.TB, dir string, opts *diskcache.Options) *diskcache.Cache {
	t.Helper()
	c, err := diskcache.Open(dir, opts)
	require.NoError(t, err)
	return c
}

func result(outputs ...any) flow.Result { return flow.Result{Outputs: outputs} }

// files returns the paths of all files below a folder.
func files(t testing.TB, dir string) (paths []string) {
	t.Helper()
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	}))
	return paths
}

func TestConform(t *testing.T) {
	for name, opts := range map[string]*diskcache.Options{
		"defaults": nil,
		"entries":  {Entries: 3},
		"bytes":    {Bytes: 3 * 4096},
		"tiny":     {Bytes: 1},
		"version":  {Version: "2"},
	} {
		t.Run(name, func(t *testing.T) {
			conform.Cache(t, func(t *testing.T) flow.Cache { return open(t, t.TempDir(), opts) })
		})
	}
}

func TestResultsSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	want := flow.Result{Outputs: []any{1, 1.0, "héllo", []any{nil, true}}, UI: nodebus.UI{"text": {"a", json.Number("1.0")}}}
	open(t, dir, nil).Put("key", want)
	got, ok := open(t, dir, nil).Get("key")
	require.True(t, ok)
	require.Equal(t, want, got)
	_, ok = open(t, dir, &diskcache.Options{Version: "new"}).Get("key")
	require.False(t, ok, "another version of the program")
	_, ok = open(t, dir, nil).Get("other")
	require.False(t, ok)
}

func TestOpenNeedsAFolder(t *testing.T) {
	_, err := diskcache.Open("", nil)
	require.EqualError(t, err, "diskcache: no folder; give Open the path of a folder")
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	_, err = diskcache.Open(file, nil)
	require.Error(t, err)
}

// TestDamagedFiles cuts a file at every length and changes each byte of it.
func TestDamagedFiles(t *testing.T) {
	var log strings.Builder
	dir := t.TempDir()
	c := open(t, dir, &diskcache.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c.Put("key", result("value"))
	path := files(t, dir)[0]
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	damaged := map[string][]byte{"longer": append(whole[:len(whole):len(whole)], 0), "empty": nil}
	for k := range whole {
		other := append([]byte(nil), whole...)
		other[k] ^= 1
		damaged[fmt.Sprint("byte ", k)] = other
		damaged[fmt.Sprint("cut at ", k)] = whole[:k]
	}
	for name, data := range damaged {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		log.Reset()
		_, ok := c.Get("key")
		require.False(t, ok, name)
		require.NoFileExists(t, path, name)
		require.Contains(t, log.String(), "damaged result removed", name)
	}
	c.Put("key", result("again"))
	got, ok := c.Get("key")
	require.True(t, ok)
	require.Equal(t, result("again"), got)
}

// TestFileOfAnotherKey checks that a file under the wrong name is not used.
func TestFileOfAnotherKey(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, nil)
	c.Put("a", result(1))
	path := files(t, dir)[0]
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	c.Retain(func(string) bool { return false })
	c.Put("b", result(2))
	require.NoError(t, os.WriteFile(files(t, dir)[0], data, 0o600))
	_, ok := c.Get("b")
	require.False(t, ok)
}

func TestLimits(t *testing.T) {
	for name, c := range map[string]struct {
		opts   diskcache.Options
		value  any
		most   int // files
		atMost int64
	}{
		"bytes":       {diskcache.Options{Bytes: 20 * 4096}, strings.Repeat("x", 100), 20, 20 * 4096},
		"large files": {diskcache.Options{Bytes: 1 << 20}, strings.Repeat("x", 100_000), 10, 1 << 20},
		"entries":     {diskcache.Options{Entries: 10}, 1, 10, 10 * 4096},
		"too large":   {diskcache.Options{Bytes: 8192}, strings.Repeat("x", 10_000), 0, 0},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			cache := open(t, dir, &c.opts)
			cache.Put("often", result(c.value))
			for i := range 100 {
				cache.Put(fmt.Sprint(i), result(c.value))
				_, ok := cache.Get("often")
				require.Equal(t, c.most > 0, ok, "what is used stays, number %d", i)
			}
			paths := files(t, dir)
			require.LessOrEqual(t, len(paths), c.most)
			require.GreaterOrEqual(t, len(paths), c.most/2)
			var bytes int64
			for _, path := range paths {
				info, err := os.Stat(path)
				require.NoError(t, err)
				bytes += info.Size()
			}
			require.LessOrEqual(t, bytes, c.atMost)
			if c.most > 0 {
				_, ok := cache.Get("99")
				require.True(t, ok, "the latest stays")
			}
			_, ok := cache.Get("0")
			require.False(t, ok, "the oldest goes")
		})
	}
}

// hidden has a field that JSON does not see.
type hidden struct{ n int }

func TestWhatCannotBeEncodedIsNotKept(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, nil)
	for name, v := range map[string]any{
		"unexported": hidden{1}, "a channel": make(chan int), "inside a list": []any{hidden{1}},
		"not UTF-8": "\xff", "a panic": panics{},
	} {
		c.Put("key", result("old"))
		c.Put("key", result(v))
		_, ok := c.Get("key")
		require.False(t, ok, name)
		require.Empty(t, files(t, dir), name)
	}
}

type panics struct{}

func (panics) MarshalJSON() ([]byte, error) { panic("no JSON") }

func TestOwnEncoding(t *testing.T) {
	dir := t.TempDir()
	opts := &diskcache.Options{
		Encode: func(r flow.Result) ([]byte, error) {
			h, ok := r.Outputs[0].(hidden)
			if !ok {
				return nil, errors.New("another type")
			}
			return []byte{byte(h.n)}, nil
		},
		Decode: func(data []byte) (flow.Result, error) {
			if data[0] == 0 {
				panic("zero")
			}
			return result(hidden{int(data[0])}), nil
		},
	}
	c := open(t, dir, opts)
	c.Put("key", result(hidden{7}))
	got, ok := open(t, dir, opts).Get("key")
	require.True(t, ok)
	require.Equal(t, result(hidden{7}), got)
	c.Put("key", result(1))
	_, ok = c.Get("key")
	require.False(t, ok)
	c.Put("key", result(hidden{0}))
	_, ok = c.Get("key")
	require.False(t, ok, "Decode panics")
	require.Empty(t, files(t, dir))
}

// TestOtherFilesStay checks that the cache removes only its own files, and files that a
// process left incomplete long ago.
func TestOtherFilesStay(t *testing.T) {
	dir := t.TempDir()
	c := open(t, dir, nil)
	c.Put("key", result(1))
	folder := filepath.Dir(files(t, dir)[0])
	long := time.Now().Add(-2 * time.Hour)
	for name, stays := range map[string]bool{"readme": true, ".new-1": false, ".new-2": true} {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte("x"), 0o600))
		if !stays || name == "readme" {
			require.NoError(t, os.Chtimes(filepath.Join(folder, name), long, long))
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "top"), nil, 0o600))
	open(t, dir, nil).Retain(func(string) bool { return false })
	require.ElementsMatch(t, []string{filepath.Join(folder, "readme"), filepath.Join(folder, ".new-2"), filepath.Join(dir, "top")}, files(t, dir))
}

// TestSeveralProcesses uses one folder through several caches at the same time, as several
// processes do.
func TestSeveralProcesses(t *testing.T) {
	dir := t.TempDir()
	opts := &diskcache.Options{Bytes: 64 * 4096}
	var all sync.WaitGroup
	for w := range 4 {
		c := open(t, dir, opts)
		all.Go(func() {
			for i := range 200 {
				key := fmt.Sprint((i * (w + 1)) % 90)
				if r, ok := c.Get(key); ok && r.Outputs[0] != key {
					t.Errorf("Get of key %s returns %v", key, r.Outputs)
				}
				c.Put(key, result(key))
				if i%70 == 0 {
					c.Retain(func(key string) bool { return key < "5" })
				}
			}
		})
	}
	all.Wait()
	require.LessOrEqual(t, len(files(t, dir)), 64+4*8)
	open(t, dir, opts)
	require.LessOrEqual(t, len(files(t, dir)), 64)
}

// FuzzDamagedFile writes any bytes over a file. Get must return the result that was put, or
// nothing.
func FuzzDamagedFile(f *testing.F) {
	dir := f.TempDir()
	c := open(f, dir, nil)
	want := result("value", 1)
	c.Put("key", want)
	path := files(f, dir)[0]
	whole, err := os.ReadFile(path)
	require.NoError(f, err)
	f.Add(whole)
	f.Add(whole[:20])
	f.Fuzz(func(t *testing.T, data []byte) {
		require.NoError(t, os.WriteFile(path, data, 0o600))
		if got, ok := c.Get("key"); ok {
			require.Equal(t, want, got)
		}
		c.Retain(func(key string) bool { return key == "key" })
	})
}
