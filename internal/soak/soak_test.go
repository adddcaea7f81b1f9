package soak_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"iter"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/sse"
	"github.com/nodebus/nodebus/ws"
	"github.com/stretchr/testify/require"
)

var (
	long = flag.Bool("long", false, "run the soak until there were 10 000 cuts, some minutes")
	seed = flag.Uint64("seed", uint64(time.Now().UnixNano()), "the seed of the faults and of the load")
)

// size is how much a run does. Nothing depends on time: a slow machine needs longer.
type size struct {
	seed       uint64
	clients    int
	libraries  int // clients that use package client, besides
	prompts    int
	atOnce     int
	steps      int // numbered events of a prompt, on average
	cuts       int // more prompts follow until there were so many cuts
	faultEvery int // bytes of a bad line between two faults, mostly
	noStock    bool
	hub        nodebus.HubOptions
}

func sizeOf() size {
	s := size{seed: *seed, clients: 200, libraries: 32, prompts: 3000, atOnce: 50, steps: 20, faultEvery: 4 << 10, cuts: 500}
	switch {
	case testing.Short():
		s.prompts, s.cuts = 150, 20
	case *long:
		s.prompts, s.cuts = 24_000, 10_000
	}
	s.hub = nodebus.HubOptions{QueueLen: 32, KeepLen: 1 << 19, KeepBytes: 512 << 20, Retain: time.Hour}
	s.hub.Log = nodebus.NewMemoryLog(&s.hub)
	return s
}

// deadline returns when a run that hangs ends, before go test ends it. It is much longer
// than a run takes.
func deadline() time.Duration {
	if *long {
		return 25 * time.Minute
	}
	return 4 * time.Minute
}

// TestSoak compares what 200 clients receive, a third of them over a bad line, with what
// was published. Clients with a cursor must receive each event once and in order. Stock
// clients must receive one outcome of each of their prompts. 32 more clients use package
// client, half of them over the bad line.
func TestSoak(t *testing.T) { soak(t, sizeOf()) }

// TestSoakGaps does the same with a log that keeps very little: a client with a cursor
// may miss only what a gap has announced.
func TestSoakGaps(t *testing.T) {
	s := sizeOf()
	s.prompts, s.cuts = s.prompts/6, s.cuts/10
	s.noStock, s.hub.Log = true, nodebus.NewMemoryLog(&nodebus.HubOptions{KeepLen: 300})
	gaps := soak(t, s)
	if !testing.Short() {
		require.Positive(t, gaps, "no gap was announced: the log keeps too much for this test")
	}
}

// fact is a published event.
type fact struct {
	note
	id     uint64
	to     string
	prompt string // the address, not the payload
}

func (f *fact) isFor(client string, watch map[string]bool) bool {
	return f.to == client || f.to == "" && f.prompt == "" || watch[f.prompt]
}

// record writes down all events of the hub.
func record(events iter.Seq2[nodebus.Event, error]) (truth []fact, err error) {
	for ev, err := range events {
		if err != nil {
			return truth, err
		}
		n, err := noteOf(ev.Payload)
		if err != nil {
			return truth, err
		}
		truth = append(truth, fact{n, ev.ID, ev.To, ev.PromptID})
	}
	return truth, nil
}

// crowd holds the clients of a run.
type crowd struct {
	load   *load
	cursor []*cursorClient
	stock  []*stockClient
	run    sync.WaitGroup
}

// newCrowd makes the clients. Every third one is behind the bad line.
func newCrowd(l *load, addr, bad string) *crowd {
	c := &crowd{load: l}
	for i := range l.size.clients {
		id, to, restless := fmt.Sprintf("c%d", i), addr, 0
		switch i % 3 {
		case 0:
			to = bad
		case 1:
			restless = 400
		}
		rnd := rand.New(rand.NewPCG(l.seed, uint64(i)<<32))
		l.clients = append(l.clients, id)
		if i/3%2 == 0 && !l.noStock {
			s := newStockClient(id, to)
			s.load, s.restless, s.busy, s.rnd = l, restless, i%5 == 0, rnd
			l.stock[id], c.stock = s, append(c.stock, s)
			continue
		}
		k := &cursorClient{id: id, addr: to, sse: i%2 == 0, restless: restless, rnd: rnd, ready: make(chan struct{})}
		k.watch = map[string]bool{}
		for range 5 {
			k.watch[promptName(rnd.IntN(l.prompts))] = true
		}
		c.cursor = append(c.cursor, k)
	}
	for i := range l.size.libraries {
		c.cursor = append(c.cursor, l.newLibraryClient(i, addr, bad))
	}
	return c
}

// newLibraryClient makes a client that uses package client: half of them are behind the bad
// line, and half of them follow prompts.
func (l *load) newLibraryClient(i int, addr, bad string) *cursorClient {
	to := addr
	if i/2%2 == 0 {
		to = bad
	}
	k := newLibraryClient(fmt.Sprintf("g%d", i), to, i, rand.New(rand.NewPCG(l.seed, uint64(i)<<32+1)))
	k.restless, k.forgets = 60, l.noStock
	for range 5 {
		p := promptName(k.rnd.IntN(l.prompts))
		switch {
		case i/4%2 == 0:
			k.watch[p] = true
		case !k.ignores(p):
			k.follows = append(k.follows, p)
		}
	}
	l.clients = append(l.clients, k.id)
	return &k.cursorClient
}

// start starts the clients and waits until each has a connection.
func (c *crowd) start(ctx context.Context) error {
	for _, k := range c.cursor {
		c.run.Go(func() { k.run(ctx) })
	}
	for _, s := range c.stock {
		c.run.Go(func() { s.run(ctx) })
	}
	for _, k := range c.cursor {
		if !await(ctx, k.ready) {
			return fmt.Errorf("client %s does not connect", k.id)
		}
	}
	for _, s := range c.stock {
		if !await(ctx, s.ready) {
			return fmt.Errorf("client %s does not connect", s.id)
		}
	}
	return nil
}

func await(ctx context.Context, done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-ctx.Done():
		return false
	}
}

// waits reports whether a stock client waits for an outcome. It calls f, if not nil, for
// each of them.
func (c *crowd) waits(f func(s *stockClient, missing []string)) (any bool) {
	for _, s := range c.stock {
		if missing := s.missing(); len(missing) > 0 {
			if any = true; f != nil {
				f(s, missing)
			}
		}
	}
	return any
}

// finish ends the clients when they have received everything.
func (c *crowd) finish(ctx context.Context, t *testing.T, hub *nodebus.Hub) error {
	if err := hub.Broadcast(finish{}); err != nil {
		return err
	}
	for waits := 1; c.waits(nil) || hub.Stats().Unconfirmed > 0; waits++ {
		if waits%500 == 0 {
			t.Logf("unconfirmed sessions: %d", hub.Stats().Unconfirmed)
			c.waits(func(s *stockClient, missing []string) {
				page, err := c.load.size.hub.Log.Read(nodebus.LogQuery{UpTo: 1 << 60, Prompts: missing})
				t.Logf("stock client %s still waits for %v; the log has %d events of them, lost %d, %v", s.id, missing, len(page.Events), page.Lost, err)
			})
		}
		select {
		case <-ctx.Done():
			return errors.New("stock clients still wait")
		case <-time.After(20 * time.Millisecond):
		}
	}
	for _, s := range c.stock {
		close(s.quiet)
	}
	for _, s := range c.stock {
		if !await(ctx, s.last) {
			return fmt.Errorf("stock client %s does not connect again", s.id)
		}
		if err := hub.SendSync(finish{}, s.id); err != nil {
			return err
		}
	}
	c.run.Wait()
	return nil
}

// soak runs a load, and returns the number of announced gaps.
func soak(t *testing.T, s size) (gaps uint64) {
	t.Logf("seed %d (flag -seed)", s.seed)
	ctx, cancel := context.WithTimeout(t.Context(), deadline())
	defer cancel()
	hub := nodebus.NewHub(&s.hub)
	mux := http.NewServeMux()
	mux.Handle("/ws", ws.New(hub, &ws.Options{PingInterval: time.Second, MaxSilence: 2 * patience, WriteTimeout: patience}))
	mux.Handle("/sse", sse.New(hub, &sse.Options{PingInterval: time.Second, WriteTimeout: patience}))
	server := httptest.NewUnstartedServer(mux)
	server.Listener = smallListener{server.Listener}
	server.Start()
	defer server.Close()
	bad, err := newProxy(server.Listener.Addr().String(), s)
	require.NoError(t, err)
	defer bad.stop()
	var truth []fact
	var broken error
	var recorder sync.WaitGroup
	events := hub.Subscribe(ctx)
	recorder.Go(func() { truth, broken = record(events) })
	l := &load{size: s, hub: hub, stock: map[string]*stockClient{}, pause: 25 * time.Millisecond}
	l.enough = func() bool { return bad.cuts.Load() >= int64(s.cuts) }
	c := newCrowd(l, bad.target, bad.Addr().String())
	defer c.run.Wait()
	defer cancel()
	began := time.Now()
	require.NoError(t, c.start(ctx))
	bad.calm.Store(false)
	require.NoError(t, l.run(ctx))
	bad.calm.Store(true)
	t.Logf("about %d prompts were published in %v", l.next.Load(), time.Since(began).Round(time.Second))
	require.NoError(t, c.finish(ctx, t, hub))
	stats := hub.Stats()
	require.NoError(t, hub.Close())
	recorder.Wait()
	require.NoError(t, broken)
	c.report(t, truth, stats, bad)
	return stats.Gaps
}

// report compares and prints.
func (c *crowd) report(t *testing.T, truth []fact, stats nodebus.HubStats, bad *proxy) {
	var errs []error
	due, took, sockets, drops, announced, states := 0, 0, 0, 0, 0, 0
	loops, restarts, followed := 0, 0, 0
	for _, k := range c.cursor {
		due += k.compare(truth)
		if g := k.library; g != nil {
			loops, restarts, followed = loops+g.loops, restarts+g.restarts, followed+g.compareTales(truth)
		}
		for _, g := range k.got {
			switch {
			case g.gap:
				announced++
			case g.kind == kindState:
				states++
			default:
				took++
			}
		}
		sockets, drops, errs = sockets+k.sockets, drops+k.drops, append(errs, k.errs...)
	}
	outcomes, again, sent, receipts := 0, 0, 0, 0
	for _, s := range c.stock {
		for _, n := range s.starts {
			again += n - 1
		}
		outcomes, sent, receipts = outcomes+len(s.told), sent+s.events, receipts+s.receipts
		sockets, drops, errs = sockets+s.sockets, drops+s.drops, append(errs, s.errs...)
	}
	t.Logf("sockets %d, over the bad line %d: cuts %d, stalls %d, silences %d, resets before the first byte %d; clients hung up %d times",
		sockets, bad.sockets.Load(), bad.cuts.Load(), bad.stalls.Load(), bad.silent.Load(), bad.resets.Load(), drops)
	t.Logf("%d events were published", len(truth))
	t.Logf("clients with a cursor: %d events due, %d lossless and %d replaceable ones received, gaps announced %d", due, took, states, announced)
	t.Logf("%d of them use package client: %d loops over Events, %d restarts, %d events of followed prompts", c.load.libraries, loops, restarts, followed)
	t.Logf("stock clients: %d events received, %d prompts with an outcome, %d of them begun again, %d receipts", sent, outcomes, again, receipts)
	t.Logf("hub: resumed %d, fell behind %d, replaced %d, gaps %d, slow %d, unconfirmed %d",
		stats.Resumed, stats.FellBehind, stats.Replaced, stats.Gaps, stats.Slow, stats.Unconfirmed)
	for _, err := range errs[:min(len(errs), 20)] {
		t.Error(err)
	}
	require.NoError(t, errors.Join(errs[min(len(errs), 20):]...), "seed %d", c.load.seed)
}
