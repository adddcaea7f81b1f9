package main

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

// group has hosts with the same queue, store, signals and log, as processes would. Here, all
// of them are in this process.
type group []*host

// growing has the peers that do the same work with one, two and three hosts.
func (b *backend) growing(work func(g group) (turn func(n int) (time.Duration, error), end func() error)) (peers []peer) {
	for hosts := range 3 {
		peers = append(peers, peer{fmt.Sprintf("%s-%d", b.name, hosts+1), func(dir string) (*worker, error) {
			all, err := b.openAll(dir, hosts+1)
			if err != nil {
				return nil, err
			}
			var g group
			for i, p := range all {
				g = append(g, hostOf(p))
				g[i].made.Store(int64(i) * 1e9) // no two hosts make the same id
			}
			turn, end := work(g)
			return &worker{turn: turn, end: func() error { return errors.Join(end(), g.close()) }}, nil
		}})
	}
	return peers
}

// close closes the hosts. The first one has the servers, so it is the last one.
func (g group) close() (err error) {
	for i := range g {
		err = errors.Join(err, g[len(g)-1-i].close())
	}
	return err
}

// takers is the number of takers in each host.
const takers = 2

// takes takes prompts out of the queue, and says that they are done. No engine runs. Pushing
// them does not count.
func takes(g group) (func(n int) (time.Duration, error), func() error) {
	nobody := func(string) bool { return false }
	return func(n int) (time.Duration, error) {
		_, err := each(32, n, func(int, int) error { return g[0].parts.Queue().Push(background, g[0].prompt(), nil) })
		if err != nil {
			return 0, err
		}
		var taken atomic.Int64
		callers := takers * len(g)
		return each(callers, callers, func(caller, _ int) error {
			for taken.Add(1) <= int64(n) {
				lease, err := g[caller%len(g)].parts.Queue().Take(background, nobody)
				if err == nil {
					err = lease.Done(background)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}, func() error { return nil }
}

// does runs prompts from Submit to their outcomes. Each host submits its share, and each host
// runs what it gets.
func does(g group) (func(n int) (time.Duration, error), func() error) {
	for _, h := range g {
		h.run()
	}
	return func(n int) (time.Duration, error) {
		return each(32, n, func(_, i int) error { return do(g[i%len(g)]) })
	}, func() error { return nil }
}

// hears publishes events at each host, until each host has delivered all of them.
func hears(g group) (func(n int) (time.Duration, error), func() error) {
	var all []*counter
	for _, h := range g {
		all = append(all, newCounter(h.hub))
	}
	return func(n int) (time.Duration, error) {
			var waits []func() error
			for _, c := range all {
				waits = append(waits, c.expect(n))
			}
			began := time.Now()
			_, err := each(len(g), n, func(caller, _ int) error { return g[caller].hub.Publish(event(caller)) })
			for _, wait := range waits {
				err = errors.Join(err, wait())
			}
			return time.Since(began), err
		}, func() (err error) {
			for _, c := range all {
				err = errors.Join(err, c.stop())
			}
			return err
		}
}
