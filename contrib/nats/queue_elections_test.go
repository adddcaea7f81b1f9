package nats_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/contrib/nats/embed"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// tally counts what has become of the prompts with one id. Of the calls in between, NATS has
// not said whether they were successful.
type tally struct{ pushed, perhapsPushed, ended, perhapsEnded atomic.Int64 }

// storm makes random calls of queues until ctx ends.
type storm struct {
	t       *testing.T
	ids     [20]tally
	calls   atomic.Int64
	away    atomic.Int64 // calls that NATS has not answered in time
	slowest atomic.Int64
}

// timed makes a call, and reports whether it failed because NATS was away.
func (s *storm) timed(what string, call func() error) (err error, away bool) {
	began := time.Now()
	err = call()
	took := time.Since(began)
	s.calls.Add(1)
	for was := s.slowest.Load(); int64(took) > was && !s.slowest.CompareAndSwap(was, int64(took)); was = s.slowest.Load() {
	}
	if away = errors.Is(err, nats.ErrAway); away {
		s.away.Add(1)
		s.t.Logf("%s failed after %v: %v", what, took, err)
	}
	return err, away
}

func (s *storm) call(q flow.Queue) {
	n := rand.IntN(len(s.ids))
	id, x, ctx := fmt.Sprint(n), &s.ids[n], context.Background()
	switch rand.IntN(6) {
	case 0, 1:
		err, away := s.timed("push", func() error { return q.Push(ctx, &nodebus.Prompt{ID: id}, nil) })
		switch {
		case away:
			x.perhapsPushed.Add(1)
		case err == nil:
			x.pushed.Add(1)
		case !errors.Is(err, flow.ErrDuplicate):
			s.t.Error("push:", err)
		}
	case 2:
		if err, away := s.timed("move", func() error { return q.Move(ctx, id, rand.Float64()) }); !away && err != nil && !errors.Is(err, flow.ErrNotFound) {
			s.t.Error("move:", err)
		}
	case 3:
		var gone []*nodebus.Prompt
		err, away := s.timed("delete", func() (err error) { gone, err = q.Delete(ctx, id); return err })
		x.ended.Add(int64(len(gone)))
		if away {
			x.perhapsEnded.Add(1)
		} else if err != nil {
			s.t.Error("delete:", err)
		}
	default:
		s.take(q, id)
	}
}

// take takes a prompt, with a context that may end meanwhile, and ends the lease.
func (s *storm) take(q flow.Queue, id string) {
	small, cancel := context.WithTimeout(context.Background(), time.Duration(rand.IntN(4000))*time.Microsecond)
	defer cancel()
	var l flow.Lease
	_, _ = s.timed("take", func() error { // its context may end at any moment
		if rand.IntN(2) == 0 {
			l, _ = q.Take(small, nobody)
		} else {
			l, _ = q.TakeOne(small, id)
		}
		return nil
	})
	if l == nil {
		return
	}
	var n int
	_, err := fmt.Sscan(l.Job().Prompt.ID, &n)
	if err != nil || l.Job().Attempt != 1 && s.away.Load() == 0 {
		s.t.Error("attempt", l.Job().Attempt, err)
	}
	ctx, x := context.Background(), &s.ids[n]
	if rand.IntN(3) == 0 {
		if err, away := s.timed("extend", func() error { return l.Extend(ctx, 5*time.Minute) }); err != nil && !away {
			s.t.Error("extend:", err)
		}
	}
	if rand.IntN(3) == 0 {
		if err, away := s.timed("release", func() error { return l.Release(ctx) }); err != nil && !away {
			s.t.Error("release:", err)
		}
		return
	}
	switch err, away := s.timed("done", func() error { return l.Done(ctx) }); {
	case away:
		x.perhapsEnded.Add(1)
	case err != nil:
		s.t.Error("done:", err)
	default:
		x.ended.Add(1)
	}
}

// check compares what the calls have said with what is left.
func (s *storm) check(q flow.Queue) {
	require.NoError(s.t, nats.CatchUp(context.Background(), q))
	left := map[string]int64{}
	for x, err := range q.List(context.Background()) {
		require.NoError(s.t, err)
		left[x.Prompt.ID]++
	}
	for n := range s.ids {
		x := &s.ids[n]
		lost := x.pushed.Load() - x.ended.Load() - left[fmt.Sprint(n)]
		require.LessOrEqual(s.t, lost, x.perhapsEnded.Load(), "prompts %d are lost", n)
		require.LessOrEqual(s.t, -lost, x.perhapsPushed.Load(), "prompts %d came back", n)
	}
	if s.away.Load() == 0 {
		_, leased, err := q.Len(context.Background())
		require.NoError(s.t, err)
		require.Zero(s.t, leased, "a lease that nobody has")
	}
	s.t.Logf("%d calls, %d without an answer, the slowest took %v", s.calls.Load(), s.away.Load(), time.Duration(s.slowest.Load()))
}

// run makes calls at several buses until ctx ends, while something disturbs them.
func (s *storm) run(ctx context.Context, buses []*nats.Bus, disturb func()) {
	var all sync.WaitGroup
	for n := range 9 {
		q := buses[n%len(buses)].Queue()
		all.Go(func() {
			for ctx.Err() == nil {
				s.call(q)
			}
		})
	}
	for ctx.Err() == nil {
		disturb()
	}
	all.Wait()
	for _, b := range buses {
		s.check(b.Queue())
	}
}

// TestElections makes the leader of the queue step down again and again, while three processes
// work: a new leader may know less than the leader before it. Every prompt that was pushed
// ends once.
func TestElections(t *testing.T) {
	t.Parallel() // it waits for servers most of the time
	opts := nats.Options{Name: newName(), Replicas: 3}
	servers := cluster(t)
	var buses []*nats.Bus
	for _, at := range servers {
		buses = append(buses, open(t, at, opts))
	}
	nc, s := connect(t, servers[0]), &storm{t: t}
	ctx, stop := context.WithTimeout(t.Context(), 3*time.Second)
	defer stop()
	s.run(ctx, buses, func() {
		once, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		_, _ = nc.RequestWithContext(once, "$JS.API.STREAM.LEADER.STEPDOWN."+opts.Name+"_QUEUE", nil)
		<-time.After(time.Duration(rand.IntN(200)) * time.Millisecond)
	})
}

// serveCluster is a server of a cluster. dir has the directory, the name, the port for
// clients, the address of the server, and all addresses.
func serveCluster(dir string, say func(...any)) {
	words := strings.Fields(dir)
	_, err := embed.Start(context.Background(), &embed.Options{
		Dir: words[0], Name: words[1], Listen: words[3], Routes: words[4:], Logger: quiet,
		Tune: func(o *server.Options) {
			o.Username, o.Password = "", ""
			_, err := fmt.Sscan(words[2], &o.Port)
			must(err)
		},
	})
	must(err)
	say("ready")
	select {}
}

// TestLeaderKilled kills the leader of the queue again and again. It takes minutes, because a
// new leader is chosen after 4 to 9 seconds; so it needs -long.
func TestLeaderKilled(t *testing.T) {
	t.Parallel()
	rounds := 1
	if *long {
		rounds = 12
	}
	var routes, urls, args []string
	for range 3 {
		routes = append(routes, fmt.Sprint("127.0.0.1:", freePort(t)))
	}
	for n, at := range routes {
		port := freePort(t)
		urls = append(urls, fmt.Sprint("nats://127.0.0.1:", port))
		args = append(args, fmt.Sprintf("%s n%d %d %s %s", t.TempDir(), n, port, at, strings.Join(routes, " ")))
	}
	var servers []*process
	for _, a := range args {
		servers = append(servers, start(t, "server", a))
	}
	for _, p := range servers {
		require.Equal(t, []string{"ready"}, p.line(t))
	}
	opts := nats.Options{Name: newName(), Replicas: 3, Logger: quiet, LogBytes: 64 << 20}
	var buses []*nats.Bus
	for n := range urls {
		nc, err := nats.Connect(strings.Join(slices.Concat(urls[n:], urls[:n]), ","))
		require.NoError(t, err)
		t.Cleanup(nc.Close)
		bus, err := nats.Open(t.Context(), nc, &opts)
		require.NoError(t, err)
		t.Cleanup(func() { _ = bus.Close() })
		buses = append(buses, bus)
	}
	nc, err := nats.Connect(strings.Join(urls, ","))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	s := &storm{t: t}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s.run(ctx, buses, func() {
		leader := leaderOf(t, js, opts.Name+"_QUEUE")
		servers[leader].kill()
		t.Logf("killed n%d, which led, after %d calls", leader, s.calls.Load())
		next := leaderOf(t, js, opts.Name+"_QUEUE")
		t.Logf("n%d leads", next)
		<-time.After(time.Duration(rand.IntN(2000)) * time.Millisecond)
		servers[leader] = start(t, "server", args[leader])
		require.Equal(t, []string{"ready"}, servers[leader].line(t))
		if rounds--; rounds == 0 {
			stop()
		}
	})
}

// leaderOf waits until a stream has a leader, and returns its number.
func leaderOf(t *testing.T, js jetstream.JetStream, stream string) (n int) {
	t.Helper()
	until(t, func() bool {
		ctx, stop := context.WithTimeout(t.Context(), time.Second)
		defer stop()
		s, err := js.Stream(ctx, stream)
		if err != nil || s.CachedInfo().Cluster == nil {
			return false
		}
		_, err = fmt.Sscanf(s.CachedInfo().Cluster.Leader, "n%d", &n)
		return err == nil
	})
	return n
}
