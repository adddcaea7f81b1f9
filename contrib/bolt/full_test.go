//go:build unix

package bolt_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// room lets no file of this process grow beyond n bytes.
func room(n uint64) {
	var limit syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	limit.Cur = min(n, limit.Max)
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
}

// fillDisk writes until the disk is full, and again when there is room. It says what was
// accepted.
func fillDisk(path string, say func(...any)) {
	told := make(lines, 100)
	db, err := bolt.Open(path, &bolt.Options{Logger: slog.New(slog.NewTextHandler(told, nil))})
	must(err)
	ctx, q, large := context.Background(), db.Queue(), strings.Repeat("x", 50_000)
	never := func(string) bool { return false }
	push := func(id string) error {
		err := q.Push(ctx, &nodebus.Prompt{ID: id, Extra: map[string]any{"x": large}}, nil)
		if err == nil {
			say("pushed", id)
		}
		return err
	}
	must(push("first"))
	l, err := q.Take(ctx, never)
	must(err)
	info, err := os.Stat(path)
	must(err)
	room(uint64(info.Size()) + 1<<20)
	put := func(id string) error {
		return db.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: id, Extra: map[string]any{"x": large}}})
	}
	send := func(id string) error { return db.Signals().Send(ctx, flow.Signal{PromptID: id, Node: large}) }
	// Pushes fill the disk; records and signals fill what is left between the pages.
	accepted := map[string]int{}
	for _, c := range []struct {
		name string
		call func(id string) error
	}{{"push", push}, {"put", put}, {"send", send}} {
		for err = nil; err == nil; accepted[c.name]++ {
			err = c.call(fmt.Sprint(c.name, accepted[c.name]))
		}
		accepted[c.name]--
		var known *bolt.FileError
		if !errors.Is(err, bolt.ErrWrite) || !errors.As(err, &known) || !strings.Contains(err.Error(), "look for room on the disk") {
			must(fmt.Errorf("%s on a full disk returns: %w", c.name, err))
		}
	}
	refused := fmt.Sprint("put", accepted["put"])
	if _, err := db.Store().Get(ctx, refused); !errors.Is(err, flow.ErrNotFound) {
		must(fmt.Errorf("a record that was not accepted: %w", err))
	}
	waiting, leased, err := q.Len(ctx)
	must(err)
	say("full", waiting, leased)
	must(takeFull(q, told))
	must(push("again"))
	must(l.Done(ctx))
	must(put(refused))
	must(send("send99"))
	must(db.Close())
	say("closed", accepted["put"], accepted["send"])
}

// lines receives the lines of a logger.
type lines chan string

func (l lines) Write(line []byte) (int, error) {
	l <- string(line)
	return len(line), nil
}

// taken is what a Take has returned.
type taken struct {
	lease flow.Lease
	err   error
}

// waits returns an error if a Take returns while the disk takes nothing.
func waits(done chan taken, told lines) error {
	select {
	case line := <-told:
		if !strings.Contains(line, "no attempt can be written") || !strings.Contains(line, "look for room on the disk") {
			return fmt.Errorf("the logger was told: %s", line)
		}
		return nil
	case x := <-done:
		return fmt.Errorf("take on a full disk returns: %w", x.err)
	}
}

// takeFull takes prompts while the disk takes nothing, and leaves the disk with room.
func takeFull(q flow.Queue, told lines) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	take := func() chan taken {
		done := make(chan taken, 1)
		go func() {
			l, err := q.Take(ctx, func(string) bool { return false })
			done <- taken{l, err}
		}()
		return done
	}
	room(0)
	if _, err := q.TakeOne(ctx, "push0"); !errors.Is(err, bolt.ErrWrite) {
		return fmt.Errorf("TakeOne on a full disk returns: %w", err)
	}
	done := take()
	if err := waits(done, told); err != nil {
		return err
	}
	room(1 << 62)
	x := <-done
	if x.err != nil {
		return x.err
	}
	if j := x.lease.Job(); j.Prompt.ID != "push0" || j.Attempt != 1 {
		return fmt.Errorf("take has prompt %s with attempt %d", j.Prompt.ID, j.Attempt)
	}
	if line := <-told; !strings.Contains(line, "takes attempts again") {
		return fmt.Errorf("the logger was told at the end: %s", line)
	}
	if err := x.lease.Release(ctx); err != nil {
		return err
	}
	room(0)
	done = take()
	if err := waits(done, told); err != nil {
		return err
	}
	cancel()
	if x = <-done; !errors.Is(x.err, context.Canceled) {
		return fmt.Errorf("take whose context ends returns: %w", x.err)
	}
	room(1 << 62)
	return nil
}

// TestDiskFull fills a disk in another process: a real limit of the operating system lets
// its file not grow.
func TestDiskFull(t *testing.T) {
	path := newPath(t)
	p := start(t, "full", path)
	var want []string
	var end []string
	for words := p.line(t); words != nil; words = p.line(t) {
		switch end = words; words[0] {
		case "pushed":
			want = append(want, words[1])
		case "full":
			require.Equal(t, []string{"full", fmt.Sprint(len(want) - 1), "1"}, words, "what was refused is in the queue")
		}
	}
	require.Equal(t, "closed", end[0])
	require.Greater(t, len(want), 5)
	db := open(t, path, nil)
	var got []string
	for x, err := range db.Queue().List(t.Context()) {
		require.NoError(t, err)
		require.Len(t, x.Prompt.Extra["x"], 50_000)
		got = append(got, x.Prompt.ID)
	}
	require.Equal(t, want[1:], got)
	records := 0
	for r, err := range db.Store().List(t.Context()) {
		require.NoError(t, err)
		require.Len(t, r.Prompt.Extra["x"], 50_000)
		records++
	}
	signals := 0
	for i := range 100 {
		stop, err := db.Signals().Receive(fmt.Sprint("send", i), func(flow.Signal) error { signals++; return nil })
		require.NoError(t, err)
		stop()
	}
	require.Equal(t, []string{fmt.Sprint(records - 1), fmt.Sprint(signals - 1)}, end[1:])
}
