package bolt_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"runtime"
	"strings"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
	"go.etcd.io/bbolt"
)

// TestIDs checks that each id is refused, or is the same in each part of the file after it
// was opened again. JSON cannot hold bytes that are not UTF-8, and keys have a length.
func TestIDs(t *testing.T) {
	for name, ids := range map[string][]string{
		"empty":       {""},
		"zero bytes":  {"a", "a\x00", "a\x00b", "\x00"},
		"separators":  {"a/b", "a:b", "i", "ia", "\x00\x01a"},
		"not UTF-8":   {"a\xff", "a\xfe", "a\ufffd", "\xed\xa0\x80"},
		"long":        {strings.Repeat("x", 4096), strings.Repeat("x", 4097), strings.Repeat("x", 40_000)},
		"other texts": {"ä", "日本", "<&>", "\u2028", "\\", "\""},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			db := open(t, path, withKey())
			var accepted []string
			for _, id := range ids {
				p := &nodebus.Prompt{ID: id, ClientID: "ann"}
				err := db.Queue().Push(t.Context(), p, map[string]string{"KEY": id})
				errs := []error{
					db.Store().Put(t.Context(), flow.Record{Prompt: p, State: nodebus.Succeeded}),
					db.Signals().Send(t.Context(), flow.Signal{PromptID: id, Node: "1"}),
				}
				if err == nil {
					accepted = append(accepted, id)
					require.NoError(t, errors.Join(errs...))
					continue
				}
				var invalid *nodebus.ValidationError
				require.ErrorAs(t, err, &invalid)
				require.Error(t, errs[0])
				require.Error(t, errs[1])
				_, err = db.Store().Get(t.Context(), id)
				require.ErrorIs(t, err, flow.ErrNotFound)
			}
			require.NotEmpty(t, accepted)
			require.NoError(t, db.Close())

			db = open(t, path, withKey())
			for _, id := range accepted {
				l, err := db.Queue().TakeOne(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, id, l.Job().Secrets["KEY"])
				r, err := db.Store().Get(t.Context(), id)
				require.NoError(t, err)
				require.Equal(t, id, r.Prompt.ID)
				got := 0
				stop, err := db.Signals().Receive(id, func(flow.Signal) error { got++; return nil })
				require.NoError(t, err)
				stop()
				require.Equal(t, 1, got)
				require.NoError(t, db.Store().Delete(t.Context(), id))
				require.NoError(t, db.Signals().Drop(t.Context(), id))
			}
			n := 0
			for _, err := range db.Store().List(t.Context()) {
				require.NoError(t, err)
				n++
			}
			require.Zero(t, n)
		})
	}
	t.Run("of a client", func(t *testing.T) {
		db := open(t, newPath(t), nil)
		var invalid *nodebus.ValidationError
		require.ErrorAs(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a", ClientID: "\xff"}, nil), &invalid)
	})
}

// TestSecretBytes checks that a secret may have any bytes.
func TestSecretBytes(t *testing.T) {
	path := newPath(t)
	secrets := map[string]string{"\xff": "\xff\xfe\x00", "": "", "a": "\u2028"}
	db := open(t, path, withKey())
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a"}, secrets))
	require.NoError(t, db.Close())
	db = open(t, path, withKey())
	l, err := db.Queue().TakeOne(t.Context(), "a")
	require.NoError(t, err)
	require.Equal(t, secrets, l.Job().Secrets)
}

// TestPushWithoutProblems checks that a rejected node without problems does no harm.
func TestPushWithoutProblems(t *testing.T) {
	db := open(t, newPath(t), nil)
	p := &nodebus.Prompt{ID: "a", Rejected: &nodebus.ValidationError{Nodes: map[string]*nodebus.NodeProblems{"1": nil}}}
	require.NoError(t, db.Queue().Push(t.Context(), p, nil))
	require.NoError(t, flow.NewQueue(nil).Push(t.Context(), p, nil))
}

// TestMoveOfFailedPush checks that Move does not find a prompt whose Push fails.
func TestMoveOfFailedPush(t *testing.T) {
	db := open(t, newPath(t), nil)
	resume := db.SlowDisk()
	defer resume()
	ctx, cancel := context.WithCancel(t.Context())
	pushed, moved := make(chan error), make(chan error)
	go func() { pushed <- db.Queue().Push(ctx, &nodebus.Prompt{ID: "a"}, nil) }()
	waits := func() (waiting int) {
		waiting, _, err := db.Queue().Len(t.Context())
		require.NoError(t, err)
		return waiting
	}
	for waits() == 0 {
		runtime.Gosched()
	}
	go func() { moved <- db.Queue().Move(t.Context(), "a", 1) }()
	for priority := 0.0; priority == 0; {
		for q, err := range db.Queue().List(t.Context()) {
			require.NoError(t, err)
			priority = q.Prompt.Priority
		}
	}
	cancel()
	require.ErrorIs(t, <-pushed, context.Canceled)
	resume()
	require.ErrorIs(t, <-moved, flow.ErrNotFound)
}

// TestPushWhileDoneFails checks that a file can be opened whose disk has taken a prompt, and
// has not taken that an earlier prompt with the same id is done.
func TestPushWhileDoneFails(t *testing.T) {
	path := newPath(t)
	db := open(t, path, nil)
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a", ClientID: "old"}, nil))
	require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "b"}, nil))
	l, err := db.Queue().TakeOne(t.Context(), "a")
	require.NoError(t, err)
	resume := db.SlowDisk()
	defer resume()
	ctx, cancel := context.WithCancel(t.Context())
	done, pushed := make(chan error), make(chan error)
	go func() { done <- l.Done(ctx) }()
	count := func() int {
		waiting, leased, err := db.Queue().Len(t.Context())
		require.NoError(t, err)
		return waiting + leased
	}
	for count() != 1 {
		runtime.Gosched()
	}
	go func() { pushed <- db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a", ClientID: "new"}, nil) }()
	for count() != 2 {
		runtime.Gosched()
	}
	cancel()
	require.ErrorIs(t, <-done, context.Canceled)
	resume()
	require.NoError(t, <-pushed)
	require.NoError(t, db.Close())

	requireKept := func(db *bolt.DB) {
		ids := ""
		for q, err := range db.Queue().List(t.Context()) {
			require.NoError(t, err)
			ids += q.Prompt.ID + q.Prompt.ClientID + " "
		}
		require.Equal(t, "b anew ", ids)
	}
	db = open(t, path, nil)
	requireKept(db)
	// Two prompts with one id: the older one is done.
	older, newer := []byte{7: 1}, []byte{7: 3}
	inFile := func(key []byte) (has bool) {
		require.NoError(t, db.Begin(func(tx *bbolt.Tx) error {
			has = tx.Bucket([]byte("prompts")).Get(key) != nil
			return nil
		}).Wait(t.Context()))
		return has
	}
	require.False(t, inFile(older))
	require.NoError(t, db.Begin(func(tx *bbolt.Tx) error {
		prompts := tx.Bucket([]byte("prompts"))
		return prompts.Put(older, bytes.Clone(prompts.Get(newer)))
	}).Wait(t.Context()))
	require.True(t, inFile(older))
	require.NoError(t, db.Close())
	for range 2 {
		db = open(t, path, nil)
		requireKept(db)
		require.NoError(t, db.Queue().Move(t.Context(), "a", 1))
		require.False(t, inFile(older))
		require.NoError(t, db.Close())
	}
}

// TestSignalsEndWithPrompt checks that the signals of a prompt leave memory and the file together
// with the prompt: a later prompt with its id must not receive them, also not after a crash.
func TestSignalsEndWithPrompt(t *testing.T) {
	for name, end := range map[string]func(flow.Lease, flow.Queue) error{
		"Done": func(l flow.Lease, _ flow.Queue) error { return l.Done(t.Context()) },
		"Delete": func(l flow.Lease, q flow.Queue) error {
			err := l.Release(t.Context())
			gone, deleting := q.Delete(t.Context(), "a")
			require.Len(t, gone, 1)
			return errors.Join(err, deleting)
		},
	} {
		t.Run(name, func(t *testing.T) {
			path := newPath(t)
			db := open(t, path, nil)
			require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a"}, nil))
			for _, id := range []string{"a", "ab"} {
				require.NoError(t, db.Signals().Send(t.Context(), flow.Signal{PromptID: id, Interrupt: true}))
				require.NoError(t, db.Signals().Send(t.Context(), flow.Signal{PromptID: id, Node: "1"}))
			}
			l, err := db.Queue().TakeOne(t.Context(), "a")
			require.NoError(t, err)
			require.NoError(t, end(l, db.Queue()))
			requireSignals := func(want map[string]int) { // before the engine calls Drop
				text, err := os.ReadFile(path) // what a crash leaves
				require.NoError(t, err)
				for _, db := range []*bolt.DB{db, open(t, write(t, text), nil)} {
					for id, n := range want {
						got, err := interrupts(db, id)
						require.NoError(t, err)
						require.Equal(t, n, got, id)
					}
				}
			}
			requireSignals(map[string]int{"a": 0, "ab": 2})
			require.NoError(t, db.Queue().Push(t.Context(), &nodebus.Prompt{ID: "a"}, nil))
			require.NoError(t, db.Signals().Send(t.Context(), flow.Signal{PromptID: "a", Interrupt: true}))
			requireSignals(map[string]int{"a": 1, "ab": 2})
			require.NoError(t, db.Signals().Drop(t.Context(), "a"))
			requireSignals(map[string]int{"a": 0, "ab": 2})
		})
	}
}
