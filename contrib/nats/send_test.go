package nats_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	natsgo "github.com/nats-io/nats.go"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// largeText is more than a connection gathers before it writes: who publishes it writes.
var largeText = strings.Repeat("x", 100_000)

// large are calls that publish large messages, and where.
var large = map[string]struct {
	subject string
	call    func(ctx context.Context, bus *nats.Bus) error
}{
	"log": {"_LOG.events", func(ctx context.Context, bus *nats.Bus) error {
		if err := bus.Log().Append(about("p", nodebus.Custom{Type: "large", Data: largeText})); err != nil {
			return err
		}
		return nats.Flush(ctx, bus.Log())
	}},
	"queue": {"_QUEUE.ip.p", func(ctx context.Context, bus *nats.Bus) error {
		return bus.Queue().Push(ctx, &nodebus.Prompt{ID: "p", Extra: map[string]any{"text": largeText}}, nil)
	}},
	"store": {"_STORE.ip.r", func(ctx context.Context, bus *nats.Bus) error {
		return bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "p", Extra: map[string]any{"text": largeText}}, State: nodebus.Succeeded})
	}},
	"parts": {"_STORE.ip.c.", func(ctx context.Context, bus *nats.Bus) error {
		return bus.Store().Put(ctx, flow.Record{Prompt: &nodebus.Prompt{ID: "p", Extra: map[string]any{"text": strings.Repeat(largeText, 10)}}, State: nodebus.Succeeded})
	}},
	"signals": {"_SIGNALS.kept.ip", func(ctx context.Context, bus *nats.Bus) error {
		answer, _ := json.Marshal(largeText)
		return bus.Signals().Send(ctx, flow.Signal{PromptID: "p", Node: "1", Answer: answer})
	}},
}

// TestBrokenPipe breaks the connection while a large message is written: it is sent again.
func TestBrokenPipe(t *testing.T) {
	for name, c := range large {
		t.Run(name, func(t *testing.T) {
			opts := nats.Options{Name: newName()}
			s, bus := scripted(t, opts)
			met := s.at(breaks, opts.Name+c.subject)
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			require.NoError(t, c.call(ctx, bus))
			come(t, met, "the fault")
		})
	}
}

// TestStalledServer lets a server take nothing while a large message is written. The default
// of a connection is to wait a minute.
func TestStalledServer(t *testing.T) {
	t.Parallel()
	for name, c := range large {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			opts := nats.Options{Name: newName()}
			s, bus := scripted(t, opts)
			met := s.at(stalls, opts.Name+c.subject)
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			require.NoError(t, c.call(ctx, bus), "on another connection")
			come(t, met, "the fault")
		})
	}
}

// TestPreviewsDoNotWait appends previews while the connection takes nothing: a node that
// shows previews does not wait for NATS, whatever there is room for.
func TestPreviewsDoNotWait(t *testing.T) {
	opts := nats.Options{Name: newName()}
	s, bus := scripted(t, opts, natsgo.FlusherTimeout(time.Hour))
	l := bus.Log()
	next := follow(t, l)
	met := s.at(stalls, opts.Name+"_LOG.previews")
	preview := about("p", nodebus.Preview{PromptID: "p", ImageType: "image/png", Image: make([]byte, 100_000)})
	appended := make(chan error, 1)
	go func() {
		var err error
		for range 200 {
			if err == nil {
				err = l.Append(preview)
			}
		}
		appended <- err
	}()
	require.NoError(t, come(t, appended, "Append"))
	come(t, met, "the fault")
	require.NoError(t, l.Append(ending("p")), "a small event has room")
	require.ErrorIs(t, l.Append(preview), nodebus.ErrClosed, "the prompt has ended")
	s.mend()
	shown := 0
	for ev := next(); ; ev = next() {
		if _, ok := ev.Payload.(nodebus.Preview); !ok {
			break
		}
		shown++
	}
	require.Equal(t, 8<<20/100_060, shown, "those for which there is no room are left out")
}

// TestLatePreview waits for previews whose names were read. All events wait with them.
func TestLatePreview(t *testing.T) {
	bubble.Test(t, func(t *testing.T) {
		p := nats.NewPreviews()
		waits := func(name string, wait time.Duration, comes bool) {
			t.Helper()
			took, ok := p.Take(name)
			require.Equal(t, comes, ok, name)
			require.Equal(t, wait, took, name)
		}
		keep := func(name string) {
			p.Keep(&natsgo.Msg{Header: natsgo.Header{nats.PreviewName: {name}}, Data: []byte("image")})
		}
		keep("early")
		waits("early", 0, true)
		time.AfterFunc(15*time.Millisecond, func() { keep("late") })
		waits("late", 15*time.Millisecond, true)
		waits("lost", 20*time.Millisecond, false)
		waits("lost, too", 0, false)
		time.Sleep(time.Second)
		waits("lost later", 20*time.Millisecond, false)
	})
}

// fills is how often fillUp appends.
const fills = 120

// fillUp appends 100 kB again and again. It returns when Append waits for room, and returns
// how often it did not wait. appended tells in the end how often Append has not failed.
func fillUp(t *testing.T, l nodebus.Log) (accepted int, appended <-chan int) {
	t.Helper()
	before, counts, ended := waiting("nats.(*eventLog).add(", "chan receive"), make(chan int, 1000), make(chan int, 1)
	go func() {
		n := 0
		for ; n < fills && l.Append(about("1", nodebus.Custom{Type: "large", Data: largeText})) == nil; n++ {
			counts <- n
		}
		ended <- n
	}()
	for began := time.Now(); waiting("nats.(*eventLog).add(", "chan receive") == before; time.Sleep(time.Millisecond) {
		require.Less(t, len(counts), 100, "8 MiB have no room for so many")
		require.Less(t, time.Since(began), patience)
	}
	return len(counts), ended
}

// TestAppendWaitsForTheReader appends more than may wait while events are stored, and not
// read.
func TestAppendWaitsForTheReader(t *testing.T) {
	opts := nats.Options{Name: newName()}
	bus, other := open(t, shared, opts), open(t, shared, opts)
	next := follow(t, other.Log())
	nats.StopReading(bus, "LOG")
	accepted, appended := fillUp(t, bus.Log())
	for range accepted {
		next()
	}
	require.Equal(t, 8<<20/100_060, accepted)
	require.Empty(t, appended, "what is stored needs memory until it is read")
	nats.EndLog(bus, nodebus.ErrClosed)
	require.Equal(t, accepted, come(t, appended, "the end of Append"))
}

// TestCloseRefusesEventsFirst closes a log while others append: each event that Append has
// accepted is stored.
func TestCloseRefusesEventsFirst(t *testing.T) {
	for range 8 {
		opts := nats.Options{Name: newName()}
		bus := open(t, shared, opts)
		const appenders = 4
		counts := make(chan int, appenders)
		for i := range appenders {
			go func() {
				n := 0
				for ; bus.Log().Append(about(fmt.Sprint(i), nodebus.Custom{Type: "long", Data: largeText[:4000]})) == nil; n++ {
				}
				counts <- n
			}()
		}
		flush(t, bus.Log())
		require.NoError(t, bus.Close())
		accepted := 0
		for range appenders {
			accepted += come(t, counts, "ErrClosed")
		}
		page := everything(t, open(t, shared, opts).Log())
		require.Zero(t, page.Lost)
		kept := len(page.Events) // Len would print them
		require.Equal(t, accepted, kept)
	}
}

// TestBarriersAreShared lets many clients come at the same time with cursors that the hub
// does not know: they share one message.
func TestBarriersAreShared(t *testing.T) {
	opts := nats.Options{Name: newName()}
	s, bus := scripted(t, opts, natsgo.FlusherTimeout(time.Hour))
	before := streamOf(t, opts.Name).CachedInfo().State.LastSeq
	ended := make(chan error, 51)
	ask := func() {
		ctx, stop := context.WithTimeout(context.Background(), patience)
		defer stop()
		ended <- nats.CatchUpLog(ctx, bus.Log())
	}
	met := s.at(stalls, opts.Name+"_LOG.events")
	go ask()
	come(t, met, "the fault")
	for range 50 {
		go ask()
	}
	for began := time.Now(); waiting("nats.(*eventLog).until(", "select") < 51; time.Sleep(time.Millisecond) {
		require.Less(t, time.Since(began), patience)
	}
	s.mend()
	for range 51 {
		require.NoError(t, come(t, ended, "the barrier"))
	}
	require.Equal(t, before+2, streamOf(t, opts.Name).CachedInfo().State.LastSeq)
}

// TestAppendersShareTheRoom lets many goroutines append more than there is room for: each
// event that Append has accepted comes.
func TestAppendersShareTheRoom(t *testing.T) {
	const appenders, each = 8, 20_000
	bus := open(t, shared, nats.Options{Name: newName()})
	ended := make(chan error, appenders)
	came, all := 0, make(chan struct{})
	_, stop, err := bus.Log().Follow(func(nodebus.Event) {
		if came++; came == appenders*each {
			close(all)
		}
	})
	require.NoError(t, err)
	defer stop()
	for i := range appenders {
		go func() {
			var err error
			for n := 0; n < each && err == nil; n++ {
				err = bus.Log().Append(about(fmt.Sprint(i), nodebus.Custom{Type: "long", Data: largeText[:500]}))
			}
			ended <- err
		}()
	}
	for range appenders {
		require.NoError(t, <-ended)
	}
	flush(t, bus.Log())
	come(t, all, "all events")
}
