package bolt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// TestBackup copies a file while prompts are pushed. Each copy opens, and has what was
// pushed before Backup began.
func TestBackup(t *testing.T) {
	db := open(t, newPath(t), nil)
	push := func(id string) {
		require.NoError(t, db.Queue().Push(context.Background(), &nodebus.Prompt{ID: id, ClientID: "c"}, nil))
	}
	for i := range 20 {
		push("before" + strconv.Itoa(i))
	}
	var all sync.WaitGroup
	dir := t.TempDir()
	errs := make([]error, 3)
	for i := range errs {
		all.Go(func() {
			f, err := os.Create(filepath.Join(dir, strconv.Itoa(i)))
			if err == nil {
				err = errors.Join(db.Backup(f), f.Close())
			}
			errs[i] = err
		})
	}
	for i := range 20 {
		push("meanwhile" + strconv.Itoa(i))
	}
	all.Wait()
	for i, err := range errs {
		require.NoError(t, err)
		copied := open(t, filepath.Join(dir, strconv.Itoa(i)), &bolt.Options{Restored: true})
		var ids []string
		for q, err := range copied.Queue().List(context.Background()) {
			require.NoError(t, err)
			ids = append(ids, q.Prompt.ID)
		}
		for i := range 20 {
			require.Contains(t, ids, "before"+strconv.Itoa(i))
		}
	}
}

type badWriter struct{ panics bool }

var errBadWriter = errors.New("no room")

func (w badWriter) Write([]byte) (int, error) {
	if w.panics {
		panic("a bug")
	}
	return 0, errBadWriter
}

// TestBackupFails: the error says that the copy failed, and the file stays in use.
func TestBackupFails(t *testing.T) {
	db := open(t, newPath(t), nil)
	require.ErrorIs(t, db.Backup(badWriter{}), errBadWriter)
	err := db.Backup(badWriter{panics: true})
	require.ErrorContains(t, err, "a bug")
	require.NotErrorIs(t, err, bolt.ErrDamaged)
	requireAlone(t, db)
	require.NoError(t, db.Queue().Push(context.Background(), &nodebus.Prompt{ID: "p"}, nil))
	require.NoError(t, db.Close())
	require.ErrorIs(t, db.Backup(badWriter{}), nodebus.ErrClosed)
}

// busyWriter uses the DB before it takes anything.
type busyWriter struct {
	uses func() error
	size int
}

func (w *busyWriter) Write(b []byte) (int, error) {
	w.size += len(b)
	return len(b), w.uses()
}

// TestBackupToBusyWriter checks that the writer of Backup may use the DB, also if the file must
// grow, and that Backup leaves nothing behind.
func TestBackupToBusyWriter(t *testing.T) {
	db := open(t, newPath(t), nil)
	n := 0
	w := &busyWriter{uses: func() error {
		n++
		id := strconv.Itoa(n)
		large := map[string]any{"x": strings.Repeat("x", 1<<20)}
		_, err := db.Store().Get(t.Context(), id)
		if errors.Is(err, flow.ErrNotFound) {
			err = nil
		}
		return errors.Join(err, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: id, Extra: large}, nil))
	}}
	done := make(chan error, 1)
	go func() { done <- db.Backup(w) }()
	select {
	case err := <-done:
		require.NoError(t, err)
	case <-time.After(time.Minute):
		require.FailNow(t, "the writer waits for Backup")
	}
	require.NotZero(t, w.size)
	requireAlone(t, db)

	w.uses = db.Close
	require.NoError(t, db.Backup(w), "the copy is made before")
	requireAlone(t, db)
}

// requireAlone checks that nothing is beside a file.
func requireAlone(t *testing.T, db *bolt.DB) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Dir(db.Path()))
	require.NoError(t, err)
	require.Len(t, entries, 1)
}

func ExampleDB_Backup() {
	dir, err := os.MkdirTemp("", "backup")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	db, err := bolt.Open(filepath.Join(dir, "nodebus.db"), nil)
	if err != nil {
		panic(err)
	}
	defer db.Close()
	f, err := os.Create(filepath.Join(dir, "nodebus.backup"))
	if err != nil {
		panic(err)
	}
	if err := errors.Join(db.Backup(f), f.Sync(), f.Close()); err != nil {
		panic(err) // the copy is not whole
	}
}
