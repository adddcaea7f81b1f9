//go:build e2e

package chaos_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

var (
	prompts = flag.Int("prompts", 500, "the number of prompts; with -short, 150")
	kills   = flag.Int("kills", 20, "the least number of kills: they come evenly while the prompts end; with -short, 8")
	during  = flag.Duration("for", 0, "the clients submit prompts for this time, and a kill comes every few seconds; default: see -prompts and -kills")
	seed    = flag.Uint64("seed", uint64(time.Now().UnixNano()), "the seed of what is random here; the processes run as they like")
)

// TestMain runs the tests at the same time: each of them mostly waits.
func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8")
	if testing.Short() {
		short("prompts", "150")
		short("kills", "8")
	}
	code := leak.Main(m)
	removeHost()
	os.Exit(code)
}

// short changes a flag, unless it was given.
func short(name, value string) {
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if !given {
		_ = flag.Set(name, value)
	}
}

// TestOneProcess: one process on one file is killed again and again, and the lines to it are
// cut and stalled.
func TestOneProcess(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.prompts, r.goal = *prompts, *kills
	r.connect(20, 20, 10)
	r.survive()
}

// TestRollingDeployment: a new process takes over the file from the old one again and again.
// What runs ends in the old process, or goes on in the new one; no client has a gap.
func TestRollingDeployment(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.rolling, r.prompts, r.goal = true, *prompts/4, *kills/2
	r.connect(6, 6, 4)
	r.survive()
}

// survive lets the users work, and checks what they have written down.
func (r *rig) survive() {
	began := time.Now()
	r.work()
	faults, seen := r.history().check()
	name := r.t.Name()
	fmt.Printf("%s survived in %s, seed %d: %s, %d connections, %d gaps; %d prompts (%d submitted again), %d attempts, %d events\n",
		name, time.Since(began).Round(time.Second), *seed, r.chaosSaid(), r.connections(), seen.gaps,
		seen.prompts, r.total.repeated.Load(), seen.attempts, seen.events)
	require.Zero(r.t, seen.gaps, "the log keeps everything in so short a time")
	if r.rolling {
		require.Zero(r.t, r.total.refused.Load(), "a client sees that its line is cut, and nothing else")
	}
	if r.require(faults); r.t.Failed() {
		return
	}
	fmt.Printf("%s: every accepted prompt has exactly one record; the end of one attempt is recorded, and was told exactly once to each of its clients; in no attempt was an event lost, doubled or reordered\n", name)
}

// chaosSaid says what has happened to the processes and the lines.
func (r *rig) chaosSaid() string {
	said := fmt.Sprintf("%d kills", r.kills.Load())
	if r.rolling {
		said = fmt.Sprintf("%d processes replaced", r.kills.Load())
	}
	said += fmt.Sprintf(", %d lines of clients cut, %d times all of them stalled", r.proxy.cuts, r.stalls)
	if len(r.between) > 0 && !r.rolling {
		said += fmt.Sprintf(", %d times two servers cut off from each other, %d times stalled", r.parted.Load(), r.slowed)
	}
	return said
}

// require fails the test if there are faults, and shows what is known about their prompts.
func (r *rig) require(faults []string) {
	r.t.Helper()
	if len(faults) == 0 {
		return
	}
	shown := 0
	for _, f := range faults[:min(len(faults), 30)] {
		r.t.Error(f)
		_, rest, found := strings.Cut(f, "prompt ")
		if id, _, _ := strings.Cut(rest, ":"); found && shown < 3 {
			shown++
			r.show(id)
		}
	}
	r.t.Errorf("%d faults", len(faults))
}

// work lets the users submit prompts until there are enough, while the chaos goes on. Then
// it lets each user have a last prompt: the end of that comes after everything else.
func (r *rig) work() {
	ctx, stop := context.WithCancelCause(r.t.Context())
	defer stop(nil)
	ctx, cancel := context.WithTimeoutCause(ctx, 15*time.Minute+*during, errors.New("this takes too long: it hangs"))
	defer cancel()
	if len(r.servers) == 1 { // a process of a cluster may end by itself, when it was cut off for too long
		go func() {
			select {
			case err := <-r.servers[0].lost:
				stop(err)
			case <-ctx.Done():
			}
		}()
	}
	more := r.counted()
	if *during > 0 {
		more = r.timed()
	}
	chaos, calm := context.WithCancel(ctx)
	chaotic := make(chan error, 1)
	go func() {
		happens := r.chaos
		if r.rolling {
			happens = r.deploy
		}
		err := happens(chaos)
		if err != nil { // nobody serves the clients any more
			stop(err)
		}
		chaotic <- err
	}()
	err := r.each(func(u *user) error {
		n := 0
		return u.work(ctx, func() (*order, bool) {
			n++
			return newOrder(u.dice, fmt.Sprintf("%s-%d", u.name, n)), more()
		})
	})
	calm()
	require.NoError(r.t, <-chaotic)
	if err != nil {
		r.dump()
		require.NoError(r.t, err)
	}
	r.settle(ctx)
}

// each calls f for each user, each in a goroutine of its own.
func (r *rig) each(f func(*user) error) error {
	errs := make(chan error, len(r.users))
	for _, u := range r.users {
		go func() { errs <- f(u) }()
	}
	var all error
	for range r.users {
		all = errors.Join(all, <-errs)
	}
	return all
}

// settle waits until the queue is empty, and then until every client has the end of a last
// prompt.
func (r *rig) settle(ctx context.Context) {
	for {
		running, waiting, err := r.users[0].Queue(ctx)
		if err == nil && len(running)+len(waiting) == 0 {
			break
		}
		require.NoError(r.t, ctx.Err())
		wait(ctx, pause)
	}
	err := r.each(func(u *user) error {
		o := newOrder(u.dice, u.name+"-last")
		for o.interrupt || o.asks {
			o = newOrder(u.dice, u.name+"-last")
		}
		if err := u.submit(ctx, o); err != nil {
			return err
		}
		for _, b := range r.books {
			if b.client == u.client {
				select {
				case <-b.hasEnded(o.prompt.ID):
				case <-ctx.Done():
					return fmt.Errorf("%s: the last prompt has not ended: %w", b.name, context.Cause(ctx))
				}
			}
		}
		return nil
	})
	if err != nil {
		r.dump()
	}
	require.NoError(r.t, err)
}
