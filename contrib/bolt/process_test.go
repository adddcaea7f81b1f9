package bolt_test

import (
	"context"
	"io"
	"os"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// holdFile opens a file, leases a prompt of it, and waits.
func holdFile(path string, say func(...any)) {
	db, err := bolt.Open(path, nil)
	must(err)
	must(db.Queue().Push(context.Background(), &nodebus.Prompt{ID: "a"}, nil))
	_, err = db.Queue().Take(context.Background(), func(string) bool { return false })
	must(err)
	say("open")
	_, _ = io.Copy(io.Discard, os.Stdin) // until it is killed
}

// TestSecondProcess checks that a file in use is refused, and that it is free as soon as
// its process is killed. The lease of that process has then lapsed.
func TestSecondProcess(t *testing.T) {
	path := newPath(t)
	other := start(t, "hold", path)
	require.Equal(t, []string{"open"}, other.line(t))
	_, err := bolt.Open(path, &bolt.Options{LockTimeout: -1})
	require.ErrorIs(t, err, bolt.ErrInUse)
	var known *bolt.FileError
	require.ErrorAs(t, err, &known)
	require.EqualError(t, err, "bolt: "+path+": the file is in use: one process at a time can open it; end the other process, or use another file")
	other.kill()
	db := open(t, path, nil)
	waiting, leased, err := db.Queue().Len(t.Context())
	require.NoError(t, err)
	require.Equal(t, []int{1, 0}, []int{waiting, leased})
	l, err := db.Queue().Take(t.Context(), func(string) bool { return false })
	require.NoError(t, err)
	require.Equal(t, 2, l.Job().Attempt)
}

// TestClosed checks that every call after Close returns ErrClosed, and that a Take that
// waits ends.
func TestClosed(t *testing.T) {
	db, err := bolt.Open(newPath(t), nil)
	require.NoError(t, err)
	ctx := t.Context()
	q, s, m := db.Queue(), db.Store(), db.Signals()
	require.NoError(t, q.Push(ctx, &nodebus.Prompt{ID: "a"}, nil))
	never := func(string) bool { return false }
	l, err := q.Take(ctx, never)
	require.NoError(t, err)
	waits := make(chan error)
	go func() {
		_, err := q.Take(ctx, never)
		waits <- err
	}()
	require.NoError(t, db.Close())
	require.NoError(t, db.Close())
	require.ErrorIs(t, <-waits, nodebus.ErrClosed)
	for name, call := range map[string]func() error{
		"push":    func() error { return q.Push(ctx, &nodebus.Prompt{ID: "b"}, nil) },
		"take":    func() error { _, err := q.Take(ctx, never); return err },
		"move":    func() error { return q.Move(ctx, "a", 1) },
		"delete":  func() error { _, err := q.Delete(ctx, "a"); return err },
		"len":     func() error { _, _, err := q.Len(ctx); return err },
		"extend":  func() error { return l.Extend(ctx, 1) },
		"done":    func() error { return l.Done(ctx) },
		"release": func() error { return l.Release(ctx) },
		"put":     func() error { return s.Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "a"}}) },
		"get":     func() error { _, err := s.Get(ctx, "a"); return err },
		"remove":  func() error { return s.Delete(ctx, "a") },
		"send":    func() error { return m.Send(ctx, flow.Signal{PromptID: "a"}) },
		"drop":    func() error { return m.Drop(ctx, "a") },
		"receive": func() error { _, err := m.Receive("a", func(flow.Signal) error { return nil }); return err },
		"list":    func() error { return firstError(q.List(ctx)) },
		"records": func() error { return firstError(s.List(ctx)) },
	} {
		require.ErrorIs(t, call(), nodebus.ErrClosed, name)
	}
}

func firstError[T any](list func(func(T, error) bool)) (first error) {
	for _, err := range list {
		return err
	}
	return nil
}
