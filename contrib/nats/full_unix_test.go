//go:build unix

package nats_test

import (
	"context"
	"errors"
	"fmt"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

func init() { children["full"] = fillDisk }

// room lets no file of this process grow beyond n bytes.
func room(n uint64) {
	var limit syscall.Rlimit
	must(syscall.Getrlimit(syscall.RLIMIT_FSIZE, &limit))
	limit.Cur = min(n, limit.Max)
	must(syscall.Setrlimit(syscall.RLIMIT_FSIZE, &limit))
}

// fillDisk stores what it can, and says what was accepted: "record N", "event N". It checks
// what the calls return when the disk is full.
func fillDisk(dir string, say func(...any)) {
	signal.Ignore(syscall.SIGXFSZ) // a write beyond the limit is an error then
	ctx, large := context.Background(), strings.Repeat("x", 50_000)
	s, bus, err := openDir(ctx, dir)
	must(err)
	must(s.Err())
	room(2 << 20)
	push := func(id string, patience time.Duration) error {
		ctx, stop := context.WithTimeout(ctx, patience)
		defer stop()
		return bus.Queue().Push(ctx, &nodebus.Prompt{ID: id, Extra: map[string]any{"x": large}}, nil)
	}
	n := 0
	for ; err == nil; n++ {
		if err = push(fmt.Sprint(n), 10*time.Second); err == nil {
			say("pushed", n)
		}
	}
	<-s.Done()
	for _, err := range []error{err, push("again", time.Second)} {
		if !errors.Is(err, nats.ErrAway) || !errors.Is(err, embed.ErrWrite) || !strings.Contains(err.Error(), "look for room on the disk") {
			must(fmt.Errorf("push on a full disk returns: %w", err))
		}
	}
	waiting, _, err := bus.Queue().Len(ctx)
	if must(err); waiting != n-1 {
		must(fmt.Errorf("%d prompts wait, want %d", waiting, n-1))
	}
	// The disk has room for the other streams, whose files are smaller.
	must(bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "r"}, State: nodebus.Succeeded}))
	must(bus.Log().Append(about("1", said(1))))
	must(nats.Flush(ctx, bus.Log()))
	room(0)
	must(bus.Log().Append(about("1", said(2))))
	if err := bus.Close(); !errors.Is(err, nats.ErrAway) || !errors.Is(err, embed.ErrWrite) {
		must(fmt.Errorf("closing with an event that is not stored returns: %w", err))
	}
	must(s.Close())
	if !errors.Is(s.Err(), embed.ErrWrite) {
		must(fmt.Errorf("the server has ended with: %w", s.Err()))
	}
	say("closed")
}

// TestDiskFull fills the disk of a server. Nothing that was accepted is lost; when there is
// room, everything goes on.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	dir, pushed, closed := t.TempDir(), 0, false
	p := start(t, "full", dir)
	for words := p.line(t); words != nil; words = p.line(t) {
		switch words[0] {
		case "pushed":
			pushed++
		case "closed":
			closed = true
		}
	}
	require.True(t, closed)
	require.NotZero(t, pushed)
	s, bus, err := openDir(t.Context(), dir)
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()
	defer func() { require.NoError(t, bus.Close()) }()
	list := []string{}
	for q, err := range bus.Queue().List(t.Context()) {
		require.NoError(t, err)
		list = append(list, q.Prompt.ID)
	}
	for n := range pushed {
		require.Contains(t, list, fmt.Sprint(n))
	}
	require.LessOrEqual(t, len(list), pushed+2, "what was not acknowledged may be stored")
	_, err = bus.Store().Get(t.Context(), "r")
	require.NoError(t, err)
	page, err := bus.Log().Read(nodebus.LogQuery{Prompts: []string{"1"}, UpTo: 1 << 62})
	require.NoError(t, err)
	require.NotEmpty(t, page.Events)
	require.NoError(t, bus.Queue().Push(t.Context(), &nodebus.Prompt{ID: "after"}, nil))
}
