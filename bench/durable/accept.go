package main

import (
	"context"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

var background = context.Background()

// submits has the peers that accept prompts. An accepted prompt is durable, except in
// memory. Nothing takes the prompts.
func submits(callers int) []peer {
	push := func(h *host) error { return h.db.Queue().Push(background, h.prompt(), nil) }
	submit := func(h *host) error {
		_, err := h.engine.Submit(background, h.prompt(), nil)
		return err
	}
	return []peer{
		rawAppends(callers),
		hostPeer("bolt-push", callers, true, push),
		hostPeer("bolt-submit", callers, true, submit),
		hostPeer("memory-submit", callers, false, submit),
	}
}

// prompts has the peers that run a prompt from Submit to its outcome.
func prompts(callers int) []peer {
	do := func(h *host) error {
		outcome, err := flow.Do(background, h.engine, h.prompt())
		if err == nil && outcome.State != nodebus.Succeeded {
			return fmt.Errorf("the prompt ended as %q", outcome.State)
		}
		return err
	}
	return []peer{
		rawAppends(callers),
		running(hostPeer("bolt-do", callers, true, do)),
		running(hostPeer("memory-do", callers, false, do)),
	}
}

// rawAppends appends the bytes of a prompt, one by one if there is one caller, otherwise
// together.
func rawAppends(callers int) peer {
	return peer{"raw-bbolt", func(dir string) (*worker, error) {
		r, err := openRaw(dir)
		if err != nil {
			return nil, err
		}
		value, err := promptBytes()
		work := r.appends
		if callers > 1 {
			work = r.batches(callers)
		}
		return &worker{
			turn: func(n int) (time.Duration, error) {
				return each(callers, n, func(int, int) error { return work(value) })
			},
			end: r.db.Close,
		}, err
	}}
}

// hostPeer does its work with a host, over a file or in memory.
func hostPeer(name string, callers int, file bool, work func(*host) error) peer {
	return peer{name, func(dir string) (*worker, error) {
		if !file {
			dir = ""
		}
		h, err := newHost(dir)
		if err != nil {
			return nil, err
		}
		return &worker{
			turn: func(n int) (time.Duration, error) {
				return each(callers, n, func(int, int) error { return work(h) })
			},
			end:  h.close,
			host: h,
		}, nil
	}}
}

// running runs the engine of a peer.
func running(p peer) peer {
	begin := p.begin
	p.begin = func(dir string) (*worker, error) {
		w, err := begin(dir)
		if err == nil {
			w.host.run()
		}
		return w, err
	}
	return p
}
