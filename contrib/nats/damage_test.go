package nats_test

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

const damagedLen = 20 // prompts, records, signals and events

// fillDir makes the directory of a server that has stopped.
func fillDir(t *testing.T, dir string) {
	t.Helper()
	s, bus, err := openDir(t.Context(), dir)
	require.NoError(t, err)
	for n := range damagedLen {
		p := &nodebus.Prompt{ID: fmt.Sprint(n), Extra: map[string]any{"x": strings.Repeat("x", 1000)}}
		require.NoError(t, bus.Queue().Push(t.Context(), p, nil))
		require.NoError(t, bus.Store().Put(t.Context(), flow.Record{Prompt: p, State: nodebus.Succeeded}))
		require.NoError(t, bus.Signals().Send(t.Context(), flow.Signal{PromptID: p.ID, Interrupt: true}))
		require.NoError(t, bus.Log().Append(about("1", said(n+1))))
		require.NoError(t, nats.Flush(t.Context(), bus.Log()))
	}
	require.NoError(t, bus.Close())
	require.NoError(t, s.Close())
}

// damages are what may have happened to a file.
var damages = map[string]func([]byte) []byte{
	"truncated": func(b []byte) []byte { return b[:len(b)/2] },
	"empty":     func([]byte) []byte { return nil },
	"garbage":   func(b []byte) []byte { return bytes.Repeat([]byte{0x5a}, len(b)) },
	"overwritten": func(b []byte) []byte {
		copy(b[len(b)/2:], "what another program has written here")
		return b
	},
}

// TestDamagedFiles damages each file that a server has left. A server leaves out what it
// cannot read. The bus opens and works, and it says what the log misses.
func TestDamagedFiles(t *testing.T) {
	whole := t.TempDir()
	fillDir(t, whole)
	streams := filepath.Join(whole, "jetstream", "$G", "streams")
	files := 0
	require.NoError(t, filepath.WalkDir(streams, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		files++
		for name, damage := range damages {
			if name != "garbage" && filepath.Ext(path) != ".blk" { // of the others, the server has no need
				continue
			}
			at, err := filepath.Rel(streams, path)
			require.NoError(t, err)
			t.Run(name+"/"+at, func(t *testing.T) {
				dir := t.TempDir()
				require.NoError(t, os.CopyFS(dir, os.DirFS(whole)))
				data, err := os.ReadFile(path)
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(dir, "jetstream", "$G", "streams", at), damage(data), 0o600))
				checkDamaged(t, dir)
			})
		}
		return nil
	}))
	require.Greater(t, files, 8)
}

// checkDamaged checks what is left in a directory, and that a bus can use it.
func checkDamaged(t *testing.T, dir string) {
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	s, bus, err := openDir(ctx, dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	defer func() { require.NoError(t, bus.Close()) }()

	last := -1
	for q, err := range bus.Queue().List(ctx) {
		require.NoError(t, err)
		require.Less(t, last, number(t, q.Prompt.ID), "the order is kept")
		last = number(t, q.Prompt.ID)
	}
	seen := map[string]bool{}
	for r, err := range bus.Store().List(ctx) {
		require.NoError(t, err)
		require.Less(t, number(t, r.Prompt.ID), damagedLen)
		require.False(t, seen[r.Prompt.ID])
		seen[r.Prompt.ID] = true
	}
	page, err := bus.Log().Read(nodebus.LogQuery{Prompts: []string{"1"}, UpTo: 1 << 62})
	require.NoError(t, err)
	for i, ev := range page.Events {
		require.Equal(t, fmt.Sprint(damagedLen-len(page.Events)+i+1), fmt.Sprintf("%s", ev.Payload.(nodebus.Custom).Data), "the newest events are kept")
	}
	require.Equal(t, len(page.Events) < damagedLen, page.Lost > 0)

	require.NoError(t, bus.Queue().Push(ctx, &nodebus.Prompt{ID: "new"}, nil))
	require.NoError(t, bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "new"}, State: nodebus.Succeeded}))
	require.NoError(t, bus.Signals().Send(ctx, flow.Signal{PromptID: "new", Interrupt: true}))
	require.NoError(t, bus.Log().Append(about("1", said(damagedLen+1))))
	require.NoError(t, nats.Flush(ctx, bus.Log()))
}

// number returns the number in an id.
func number(t *testing.T, id string) (n int) {
	t.Helper()
	_, err := fmt.Sscan(id, &n)
	require.NoError(t, err)
	return n
}

// TestDamagedPromptHoldsUpNobody: a part of a large prompt is lost. The prompt waits until it is
// deleted, and the later prompts of its client do not wait for it.
func TestDamagedPromptHoldsUpNobody(t *testing.T) {
	opts := nats.Options{Name: newName(), Logger: quiet}
	q := open(t, shared, opts).Queue()
	require.NoError(t, q.Push(t.Context(), largeRecord("large").Prompt, nil))
	require.NoError(t, nats.CatchUp(t.Context(), q))
	require.NoError(t, nats.QueueStream(q).Purge(t.Context(), jetstream.WithPurgeSubject(opts.Name+"_QUEUE.*.c.>")))
	pushAll(t, q, "small")
	l, err := q.Take(t.Context(), func(string) bool { return false })
	require.NoError(t, err)
	require.Equal(t, "small", l.Job().Prompt.ID)
	require.NoError(t, l.Done(t.Context()))
	deleted, err := q.Delete(t.Context(), "large")
	require.NoError(t, err)
	require.Len(t, deleted, 1)
}
