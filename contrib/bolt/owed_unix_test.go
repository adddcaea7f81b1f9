//go:build unix

package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// endOnFullDisk ends interrupted prompts while the disk takes nothing, and refuses a signal. Then
// there is room, and the id of one of the prompts is used again. The file at path is closed; beside
// it is a copy that is as after a crash.
func endOnFullDisk(path string, say func(...any)) {
	db, err := bolt.Open(path, nil)
	must(err)
	ctx, q := context.Background(), db.Queue()
	push := func(id string) error { return q.Push(ctx, &nodebus.Prompt{ID: id}, nil) }
	end := func(id string) {
		must(push(id))
		l, err := q.TakeOne(ctx, id)
		must(err)
		must(db.Signals().Send(ctx, flow.Signal{PromptID: id, Interrupt: true}))
		room(0)
		done, dropped := l.Done(ctx), db.Signals().Drop(ctx, id)
		room(1 << 62)
		if !errors.Is(done, bolt.ErrWrite) || !errors.Is(dropped, bolt.ErrWrite) {
			must(fmt.Errorf("on a full disk: Done returns %w, Drop returns %w", done, dropped))
		}
	}
	end("again")
	stop, err := db.Signals().Receive("refused", func(flow.Signal) error { room(0); return errRefused })
	must(err)
	if err := db.Signals().Send(ctx, flow.Signal{PromptID: "refused", Interrupt: true}); !errors.Is(err, errRefused) {
		must(fmt.Errorf("a signal that is refused: %w", err))
	}
	stop()
	room(1 << 62)
	must(push("again"))
	n, err := interrupts(db, "again")
	must(err)
	text, err := os.ReadFile(path)
	must(err)
	must(os.WriteFile(path+".crash", text, 0o600))
	end("last")
	must(db.Close())
	say("received", n)
}

// TestEndOnFullDisk checks that a prompt does not receive an interrupt of an earlier prompt with
// its id, that prompts stay done, and that a refused signal does not come back, although the disk
// was full then.
func TestEndOnFullDisk(t *testing.T) {
	path := newPath(t)
	p := start(t, "ends", path)
	require.Equal(t, []string{"received", "0"}, p.line(t))
	for _, path := range []string{path, path + ".crash"} {
		db := open(t, path, nil)
		requireLen(t, db, 1, 0)
		for _, id := range []string{"again", "last", "refused"} {
			n, err := interrupts(db, id)
			require.NoError(t, err)
			require.Zero(t, n, id)
		}
		require.NoError(t, db.Queue().Move(t.Context(), "again", 1))
	}
}
