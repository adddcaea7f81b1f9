package bolt_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// sample makes a file with something in each part, and returns its bytes.
func sample(t *testing.T) []byte {
	t.Helper()
	path := newPath(t)
	db := open(t, path, withKey())
	large := strings.Repeat("x", 20_000)
	for i := range 40 {
		p := &nodebus.Prompt{ID: fmt.Sprint("p", i), Extra: map[string]any{"x": large[:i*100]}}
		require.NoError(t, db.Queue().Push(t.Context(), p, map[string]string{"KEY": "s3cret"}))
		r := flow.Record{Prompt: &nodebus.Prompt{ID: fmt.Sprint("r", i), Extra: map[string]any{"x": large[:i*500]}}, State: nodebus.Succeeded}
		require.NoError(t, db.Store().Put(t.Context(), r))
		require.NoError(t, db.Signals().Send(t.Context(), flow.Signal{PromptID: p.ID, Node: "1", Answer: json.RawMessage(`1`)}))
	}
	require.NoError(t, db.Queue().Move(t.Context(), "p7", -1))
	_, err := db.Queue().Take(t.Context(), func(string) bool { return false })
	require.NoError(t, err)
	require.NoError(t, db.Close())
	text, err := os.ReadFile(path)
	require.NoError(t, err)
	return text
}

// refuses checks that a file is not opened, and that it does not change.
func refuses(t *testing.T, path string, opts *bolt.Options, reasons ...error) {
	t.Helper()
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	_, err = bolt.Open(path, opts)
	var known *bolt.FileError
	require.ErrorAs(t, err, &known)
	require.Equal(t, path, known.Path)
	require.ErrorContains(t, err, path)
	require.Contains(t, reasons, known.Reason, "%v", err)
	require.Contains(t, err.Error(), "; ", "the error says what to do")
	after, err := os.ReadFile(path)
	require.NoError(t, err)
	require.True(t, bytes.Equal(before, after), "Open has changed the file")
	entries, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

// whole checks that a file has all of sample.
func whole(t *testing.T, path string) {
	t.Helper()
	db := open(t, path, withKey())
	waiting, leased, err := db.Queue().Len(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{40, 0}, []int{waiting, leased})
	n := 0
	for _, err := range db.Store().List(t.Context()) {
		require.NoError(t, err)
		n++
	}
	require.Equal(t, 40, n)
}

func write(t *testing.T, text []byte) (path string) {
	t.Helper()
	path = newPath(t)
	require.NoError(t, os.WriteFile(path, text, 0o600))
	return path
}

// used returns the length that the pages of a file need, as its newer head says.
func used(text []byte) int {
	size := int(binary.NativeEndian.Uint32(text[24:]))
	pages := func(at int) (txid, n uint64) {
		return binary.NativeEndian.Uint64(text[at+64:]), binary.NativeEndian.Uint64(text[at+56:])
	}
	first, n := pages(0)
	if second, m := pages(size); second > first {
		n = m
	}
	return int(n) * size
}

func TestTruncated(t *testing.T) {
	text := sample(t)
	need := used(text)
	require.Less(t, need, len(text)+1)
	lengths := []int{0, 1, 15, 16, 79, 80, 100, 4095, 4096, 4097, 8191, 8192, need - 1, need, len(text) - 1}
	for n := 0; n < len(text); n += 7919 {
		lengths = append(lengths, n)
	}
	for _, n := range lengths {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			path := write(t, text[:n])
			if n >= need {
				whole(t, path)
				return
			}
			refuses(t, path, withKey(), bolt.ErrDamaged, bolt.ErrForeign)
		})
	}
}

func TestOtherFiles(t *testing.T) {
	text := sample(t)
	random := func(n int) []byte {
		r, b := rand.New(rand.NewPCG(1, uint64(n))), make([]byte, n)
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return b
	}
	bbolts := func(t *testing.T, change func(*bbolt.Tx) error) string {
		path := write(t, text)
		if change == nil {
			path = newPath(t)
			change = func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucket([]byte("theirs"))
				return errors.Join(err, b.Put([]byte("a"), []byte("b")))
			}
		}
		db, err := bbolt.Open(path, 0o600, nil)
		require.NoError(t, err)
		require.NoError(t, db.Update(change))
		require.NoError(t, db.Close())
		return path
	}
	for name, c := range map[string]struct {
		file   func(t *testing.T) string
		opts   *bolt.Options
		reason error
		says   string
	}{
		"text":            {func(t *testing.T) string { return write(t, []byte("not a database")) }, nil, bolt.ErrForeign, "another path"},
		"random":          {func(t *testing.T) string { return write(t, random(100_000)) }, nil, bolt.ErrForeign, "another path"},
		"a few bytes":     {func(t *testing.T) string { return write(t, random(100)) }, nil, bolt.ErrForeign, "another path"},
		"zeros":           {func(t *testing.T) string { return write(t, make([]byte, 100_000)) }, nil, bolt.ErrForeign, "another path"},
		"of another user": {func(t *testing.T) string { return bbolts(t, nil) }, nil, bolt.ErrForeign, "another program"},
		"of a newer":      {func(t *testing.T) string { return bbolts(t, setVersion(7)) }, withKey(), bolt.ErrNewer, "version 7, and this program knows versions up to 1"},
		"without a bucket": {func(t *testing.T) string {
			return bbolts(t, func(tx *bbolt.Tx) error { return tx.DeleteBucket([]byte("places")) })
		}, withKey(), bolt.ErrDamaged, "places"},
		"without a key":    {func(t *testing.T) string { return write(t, text) }, nil, bolt.ErrKey, "there is no key"},
		"with a wrong key": {func(t *testing.T) string { return write(t, text) }, &bolt.Options{SecretKey: bytes.Repeat([]byte{1}, 32)}, bolt.ErrKey, "the key does not open them"},
	} {
		t.Run(name, func(t *testing.T) {
			path := c.file(t)
			refuses(t, path, c.opts, c.reason)
			_, err := bolt.Open(path, c.opts)
			require.ErrorContains(t, err, c.says)
		})
	}
	t.Run("a directory", func(t *testing.T) {
		path := t.TempDir()
		_, err := bolt.Open(path, nil)
		require.ErrorIs(t, err, bolt.ErrForeign)
		require.ErrorContains(t, err, path+": the file is no file of nodebus: it is a directory")
	})
	t.Run("in no directory", func(t *testing.T) {
		_, err := bolt.Open(filepath.Join(t.TempDir(), "a", "b"), nil)
		require.ErrorIs(t, err, bolt.ErrWrite)
		require.ErrorIs(t, err, os.ErrNotExist)
	})
	t.Run("a read-only file", func(t *testing.T) {
		path := write(t, text)
		require.NoError(t, os.Chmod(path, 0o400))
		refuses(t, path, withKey(), bolt.ErrWrite)
	})
}

func setVersion(n uint32) func(tx *bbolt.Tx) error {
	return func(tx *bbolt.Tx) error {
		return tx.Bucket([]byte("nodebus")).Put([]byte("version"), binary.BigEndian.AppendUint32(nil, n))
	}
}

// TestDamagedBytes damages a file at random. Nothing may panic, hang or fault: a call works,
// or returns an error that names the file.
func TestDamagedBytes(t *testing.T) {
	text := sample(t)
	need := used(text)
	opened, refused := 0, 0
	seeds := uint64(80)
	if *long {
		seeds = 3000
	}
	for seed := range seeds {
		r := rand.New(rand.NewPCG(seed, 0))
		damaged := bytes.Clone(text)
		for range 1 + r.IntN(4) {
			at := r.IntN(need)
			if r.IntN(3) == 0 { // the numbers of a page
				at = at/4096*4096 + r.IntN(64)
			}
			switch r.IntN(3) {
			case 0:
				damaged[at] ^= 1 << r.IntN(8)
			case 1:
				copy(damaged[at:], make([]byte, 1+r.IntN(5000)))
			case 2:
				for i := at; i < min(at+1+r.IntN(300), len(damaged)); i++ {
					damaged[i] = byte(r.Uint32())
				}
			}
		}
		path := write(t, damaged)
		db, err := bolt.Open(path, withKey())
		if err != nil {
			refuses(t, path, withKey(), bolt.ErrDamaged, bolt.ErrForeign, bolt.ErrNewer)
			refused++
			continue
		}
		opened++
		useAll(t, db, path)
		require.NoError(t, db.Close())
	}
	require.Greater(t, refused, 10)
	require.Greater(t, opened, 2)
}

// useAll makes calls of all parts of a file that may be damaged.
func useAll(t *testing.T, db *bolt.DB, path string) {
	t.Helper()
	check := func(err error) {
		t.Helper()
		if err != nil {
			require.ErrorIs(t, err, bolt.ErrDamaged)
			require.ErrorContains(t, err, path)
		}
	}
	for _, err := range db.Store().List(t.Context()) {
		check(err)
	}
	for i := range 40 {
		if _, err := db.Store().Get(t.Context(), fmt.Sprint("r", i)); !errors.Is(err, flow.ErrNotFound) {
			check(err)
		}
	}
	large := map[string]any{"x": strings.Repeat("y", 30_000)}
	check(db.Store().Put(t.Context(), flow.Record{Prompt: &nodebus.Prompt{ID: "r3", Extra: large}}))
	check(db.Store().Delete(t.Context(), "r5", "r6"))
	check(db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "new", Extra: large}, nil))
	for range 3 {
		l, err := db.Queue().Take(t.Context(), func(string) bool { return false })
		if check(err); err == nil {
			check(l.Done(t.Context()))
		}
	}
	check(db.Signals().Send(t.Context(), flow.Signal{PromptID: "p1", Interrupt: true}))
	check(db.Signals().Drop(t.Context(), "p2"))
}

// TestTruncatedInUse makes a file shorter while it is open, so that the memory that maps it
// faults. The calls return errors, none waits for ever, and the process lives.
func TestTruncatedInUse(t *testing.T) {
	for _, n := range []int64{0, 100, 4096, 8192, 12288, 20480} {
		for _, first := range []string{"List", "Push"} {
			t.Run(fmt.Sprint(first, " of ", n), func(t *testing.T) {
				path := write(t, sample(t))
				db, err := bolt.Open(path, withKey())
				require.NoError(t, err)
				require.NoError(t, os.Truncate(path, n))
				if first == "List" {
					last := error(nil)
					for _, err := range db.Store().List(t.Context()) {
						last = err
					}
					require.ErrorIs(t, last, bolt.ErrDamaged)
					require.ErrorContains(t, last, path)
				}
				require.NoError(t, db.Log().Append(starting("p")), "events wait")
				require.ErrorIs(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "new"}, nil), bolt.ErrDamaged)
				require.ErrorIs(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "new"}, nil), bolt.ErrDamaged)
				_, err = db.Store().Get(t.Context(), "r1")
				require.ErrorIs(t, err, bolt.ErrDamaged)
				require.ErrorIs(t, db.Backup(io.Discard), bolt.ErrDamaged)
				require.ErrorIs(t, db.Close(), bolt.ErrWrite)
				_, err = bolt.Open(path, &bolt.Options{LockTimeout: -1})
				require.NotErrorIs(t, err, bolt.ErrInUse, "Close has given the lock back")
				require.Error(t, err)
			})
		}
	}
}
