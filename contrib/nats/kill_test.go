package nats_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strconv"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/stretchr/testify/require"
)

// openDir starts a server that synchronizes its files, and opens a bus on it.
func openDir(ctx context.Context, dir string) (*embed.Server, *nats.Bus, error) {
	s, err := embed.Start(ctx, &embed.Options{Dir: dir, Logger: quiet})
	if err != nil {
		return nil, nil, err
	}
	bus, err := nats.Open(ctx, s.Conn(), &nats.Options{Node: "one", LogBytes: 64 << 20, SecretKey: make([]byte, 32), Logger: quiet})
	return s, bus, err
}

// writeLog appends events until it is killed. It says "event N ID" for each event that its
// follower receives, and "stored N" for each event that is stored.
func writeLog(dir string, say func(...any)) {
	_, bus, err := openDir(context.Background(), dir)
	must(err)
	l := bus.Log()
	page, err := l.Read(nodebus.LogQuery{Prompts: []string{"1"}, UpTo: 1 << 62})
	must(err)
	_, _, err = l.Follow(func(ev nodebus.Event) {
		if c, ok := ev.Payload.(nodebus.Custom); ok {
			say("event", c.Data, ev.ID, ev.Epoch)
		}
	})
	must(err)
	for n := len(page.Events) + 1; ; n++ {
		must(l.Append(about("1", said(n))))
		if n%50 == 0 {
			must(nats.Flush(context.Background(), l))
			say("stored", n)
		}
	}
}

// TestKilled kills a process that appends, again and again. No event that somebody has
// received is lost, none is there twice, and cursors go on.
func TestKilled(t *testing.T) {
	dir, rounds := t.TempDir(), 4
	switch {
	case *long:
		rounds = 40
	case testing.Short():
		rounds = 2
	}
	ids := map[int]string{} // ID and epoch of each event, as a process received it
	for round := range rounds {
		p, stored := start(t, "log", dir), 0
		lines := 100 + rand.IntN(1000)
		for words := p.line(t); words != nil; words = p.line(t) {
			n, err := strconv.Atoi(words[1])
			require.NoError(t, err)
			if words[0] == "stored" {
				stored = n
			} else {
				text := fmt.Sprint(words[2:])
				require.Contains(t, []string{"", text}, ids[n], "event %d was received with another cursor", n)
				ids[n] = text
			}
			if lines--; lines == 0 {
				require.NoError(t, p.cmd.Process.Kill()) // and read what it has said before
			}
		}
		p.kill()

		s, bus, err := openDir(t.Context(), dir)
		require.NoError(t, err)
		page := everything(t, bus.Log())
		require.GreaterOrEqual(t, len(page.Events), stored, "round %d", round)
		has := map[int]string{}
		for i, ev := range page.Events {
			require.JSONEq(t, fmt.Sprintf(`{"type": "said", "data": %d}`, i+1), frame(t, ev), "in order, and once")
			has[i+1] = fmt.Sprint([]any{ev.ID, ev.Epoch})
		}
		for n, id := range ids {
			require.Equal(t, id, has[n], "event %d, which somebody has received", n)
		}
		require.Zero(t, page.Lost)
		require.NoError(t, bus.Close())
		require.NoError(t, s.Close())
	}
	require.NotEmpty(t, ids)
}
