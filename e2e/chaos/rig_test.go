//go:build e2e

package chaos_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
	"github.com/stretchr/testify/require"
)

// rig is servers, clients and the proxy between them.
type rig struct {
	t       *testing.T
	servers []*server
	proxy   *proxy
	users   []*user
	books   []*book // of all clients
	total   totals
	kills   atomic.Int64
	prompts int          // the least number of prompts
	goal    int          // the least number of kills
	stalls  int          // of all lines of clients
	parted  atomic.Int64 // how often two servers were cut off from each other
	slowed  int          // how often their lines were stalled
	between []*span      // the lines between the servers of a cluster
	rolling bool         // see TestRollingDeployment
	whole   bool         // see TestRestartOfThree

	mu   sync.Mutex // guards dice
	dice *rand.Rand
}

// newRig starts a server.
func newRig(t *testing.T) *rig {
	r, dir := emptyRig(t), t.TempDir()
	s := newServer(t, host(t), dir, "-file", filepath.Join(dir, "nodebus.db"))
	require.NoError(t, s.start())
	r.servers = append(r.servers, s)
	return r
}

// emptyRig returns a rig without servers.
func emptyRig(t *testing.T) *rig {
	r := &rig{t: t, dice: rand.New(rand.NewPCG(*seed, 1))}
	var err error
	r.proxy, err = newProxy(r.pick)
	require.NoError(t, err)
	return r
}

func (r *rig) random(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.dice.IntN(n)
}

// pick returns the address of a random server that serves; empty if none does.
func (r *rig) pick() string {
	var serve []string
	for _, s := range r.servers {
		if at := s.at(); at != "" {
			serve = append(serve, at)
		}
	}
	if len(serve) == 0 {
		return ""
	}
	return serve[r.random(len(serve))]
}

// connect connects users over WebSockets and over Server-Sent Events, and raw clients with
// the ids of the first users, half over each.
func (r *rig) connect(sockets, streams, raws int) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	r.t.Cleanup(func() {
		cancel()
		for _, u := range r.users {
			_ = u.Close()
		}
		r.proxy.close()
		running.Wait()
		for _, u := range r.users {
			u.pending.Wait()
		}
	})
	start := func(f func(context.Context) error) {
		running.Go(func() {
			if err := f(ctx); err != nil && ctx.Err() == nil {
				r.t.Error(err)
			}
		})
	}
	for i := range sockets + streams {
		u, err := r.newUser(i, i >= sockets)
		require.NoError(r.t, err)
		start(u.follow)
	}
	for i := range raws {
		id := r.users[i].client
		c := &raw{book: newBook(fmt.Sprintf("raw%d", i), id), address: r.proxy.address(), sse: i%2 == 1, web: &http.Client{Transport: &http.Transport{}}}
		r.t.Cleanup(c.web.CloseIdleConnections)
		r.books = append(r.books, c.book)
		start(c.run)
	}
	for _, b := range r.books { // each must have a cursor before the first prompt
		<-b.greeted
	}
}

func (r *rig) newUser(i int, sse bool) (*user, error) {
	name, path := fmt.Sprintf("ws%d", i), "/ws"
	if sse {
		name, path = fmt.Sprintf("sse%d", i), "/events"
	}
	web := &http.Client{Transport: &http.Transport{}}
	r.t.Cleanup(web.CloseIdleConnections)
	c, err := client.Dial(r.t.Context(), "http://"+r.proxy.address()+path, &client.Options{
		ID: name, SSE: sse, HTTPClient: web, Retry: pause, BaseURL: "http://" + r.proxy.address() + "/",
	})
	if err != nil {
		return nil, err
	}
	u := &user{
		book: newBook(name, c.ID()), Client: c, orders: map[string]*order{}, total: &r.total,
		dice: rand.New(rand.NewPCG(*seed, uint64(i+2))),
	}
	u.add(note{Type: typeHello}) // Dial has had it
	r.users, r.books = append(r.users, u), append(r.books, u.book)
	return u, nil
}

// counted says yes until there are enough prompts and enough kills, and servers were cut off.
func (r *rig) counted() func() bool {
	var given atomic.Int64
	parts := len(r.between) > 0 && !r.rolling
	return func() bool {
		return given.Add(1) <= int64(r.prompts) || r.kills.Load() < int64(r.goal) || parts && r.parted.Load() == 0
	}
}

// timed says yes until the time is over.
func (r *rig) timed() func() bool {
	end := time.Now().Add(*during)
	return func() bool { return time.Now().Before(end) }
}

// deploy replaces the processes by turns while the prompts end: a new process waits for the
// folder of the old one, the old one drains, and nothing else happens.
func (r *rig) deploy(ctx context.Context) error {
	for ctx.Err() == nil {
		wait(ctx, pause)
		if !r.dueKill() {
			continue
		}
		if r.whole {
			if err := r.restart(); err != nil {
				return err
			}
			continue
		}
		s := r.servers[int(r.kills.Load())%len(r.servers)]
		next, err := s.launch()
		if err != nil {
			return err
		}
		old := s.drain()
		<-old.ended
		if old.err != nil {
			return fmt.Errorf("the old process: %w", old.err)
		}
		if <-next.ready; next.at() == "" {
			return errors.New("the new process does not serve")
		}
		r.kills.Add(1)
	}
	return nil
}

// restart ends all processes at the same time, and starts them again when all have ended.
func (r *rig) restart() error {
	var olds []*process
	for _, s := range r.servers {
		olds = append(olds, s.drain())
	}
	for _, p := range olds {
		if <-p.ended; p.err != nil {
			return fmt.Errorf("a process that ends at the same time as the others: %w", p.err)
		}
	}
	r.kills.Add(int64(len(olds)))
	var begun []*process
	for _, s := range r.servers {
		p, err := s.launch()
		if err != nil {
			return err
		}
		begun = append(begun, p)
	}
	for _, p := range begun {
		if <-p.ready; p.at() == "" {
			return errors.New("a process does not serve after the restart of all")
		}
	}
	return nil
}

// chaos kills, cuts and stalls. With -for it kills every few seconds, until ctx ends;
// otherwise it kills evenly while the prompts end.
func (r *rig) chaos(ctx context.Context) error {
	for ctx.Err() == nil {
		wait(ctx, time.Duration(100+r.random(900))*time.Millisecond)
		switch {
		case r.dueKill():
			s := r.servers[r.random(len(r.servers))]
			s.kill()
			r.kills.Add(1)
			wait(ctx, time.Duration(r.random(500))*time.Millisecond)
			if err := s.start(); err != nil {
				return err
			}
		case len(r.between) > 0 && r.random(6) == 0:
			r.disturb(ctx)
		case r.random(3) > 0:
			share := r.random(100)
			r.proxy.cut(func() bool { return r.random(100) < share })
		default:
			release := r.proxy.stall()
			r.stalls++
			wait(ctx, time.Duration(r.random(1000))*time.Millisecond)
			release()
		}
	}
	return nil
}

func (r *rig) dueKill() bool {
	if *during > 0 {
		return r.random(4) == 0
	}
	n := r.kills.Load()
	return n < int64(r.goal) && r.total.ended.Load()*int64(r.goal+1) >= int64(r.prompts)*(n+1)
}

// history asks for the records, and collects what the clients have written down.
func (r *rig) history() *history {
	h := &history{Plans: map[string]plan{}}
	for _, u := range r.users {
		u.mu.Lock()
		for id, o := range u.orders {
			h.Plans[id] = plan{u.client, o.steps}
		}
		u.mu.Unlock()
	}
	for _, b := range r.books {
		h.Followers = append(h.Followers, b.follower())
	}
	answer, err := http.Get("http://" + r.pick() + "/records")
	require.NoError(r.t, err)
	defer answer.Body.Close()
	for all := json.NewDecoder(answer.Body); ; {
		var o struct {
			ID      string
			State   nodebus.State
			Attempt int
		}
		if err := all.Decode(&o); errors.Is(err, io.EOF) {
			break
		} else {
			require.NoError(r.t, err)
		}
		h.Records = append(h.Records, recorded{o.ID, o.State, o.Attempt})
	}
	some, err := r.users[0].History(r.t.Context(), 100)
	require.NoError(r.t, err)
	for _, o := range some {
		require.Contains(r.t, h.Records, recorded{o.PromptID, o.State, o.Attempt}, "clients see the records")
	}
	return h
}

func (r *rig) connections() (n int) {
	for _, b := range r.books {
		n += b.connections()
	}
	return n
}

// show logs what the clients know about a prompt.
func (r *rig) show(id string) {
	for _, b := range r.books {
		if notes := b.about(id); len(notes) > 0 {
			r.t.Logf("%s about prompt %s:\n%s", b.name, id, notes)
		}
	}
}

// dump logs what the server and the clients know about the prompts whose end a client waits for.
func (r *rig) dump() {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	running, waiting, err := r.users[0].Queue(ctx)
	r.t.Logf("the server %q: %d prompts run, %d wait, error %v", r.servers[0].at(), len(running), len(waiting), err)
	for _, u := range r.users {
		for _, id := range u.unended() {
			o, err := u.Outcome(ctx, id)
			r.t.Logf("%s does not have the end of prompt %s; the record: %+v, error %v", u.name, id, o, err)
			r.show(id)
		}
	}
}
