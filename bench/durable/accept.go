package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
)

var background = context.Background()

// submits has the peers that accept prompts. An accepted prompt is durable, except in
// memory. Nothing takes the prompts.
func (b *backend) submits(callers int) []peer {
	push := func(h *host) error { return h.parts.Queue().Push(background, h.prompt(), nil) }
	submit := func(h *host) error {
		p := h.prompt()
		p.ID = "" // as most programs do
		_, err := h.engine.Submit(background, p, nil)
		return err
	}
	submitID := func(h *host) error {
		_, err := h.engine.Submit(background, h.prompt(), nil)
		return err
	}
	peers := []peer{b.appends(callers)}
	if b.besides != nil {
		peers = append(peers, b.appendsBeside(callers))
	}
	return append(peers,
		b.hostPeer("push", callers, push),
		b.hostPeer("submit", callers, submit),
		b.hostPeer("submit-id", callers, submitID),
		memory.hostPeer("submit", callers, submit),
	)
}

// prompts has the peers that run a prompt from Submit to its outcome.
func (b *backend) prompts(callers int) []peer {
	return []peer{
		b.appends(callers),
		running(b.hostPeer("do", callers, do)),
		running(memory.hostPeer("do", callers, do)),
	}
}

// do submits a prompt, and waits until it has succeeded.
func do(h *host) error {
	outcome, err := flow.Do(background, h.engine, h.prompt())
	if err == nil && outcome.State != nodebus.Succeeded {
		return fmt.Errorf("the prompt ended as %q", outcome.State)
	}
	return err
}

// appends appends the bytes of a prompt.
func (b *backend) appends(callers int) peer {
	return b.barePeer(0, promptBytes, func(r bare, value []byte) func(int) (time.Duration, error) {
		return func(n int) (time.Duration, error) {
			return each(callers, n, func(int, int) error { return r.append(callers, value) })
		}
	})
}

// appendsBeside appends the bytes of a prompt, and beside it the bytes of an event, as Submit does.
func (b *backend) appendsBeside(callers int) peer {
	p := b.barePeer(0, promptBytes, func(r bare, value []byte) func(int) (time.Duration, error) {
		ev, failed := eventBytes()
		return func(n int) (time.Duration, error) {
			return each(callers, n, func(int, int) error { return errors.Join(failed, b.besides(r, value, ev)) })
		}
	})
	p.name += "-and-event"
	return p
}

// hostPeer does its work with a host.
func (b *backend) hostPeer(name string, callers int, work func(*host) error) peer {
	return peer{b.name + "-" + name, func(dir string) (*worker, error) {
		h, err := newHost(b, dir)
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
