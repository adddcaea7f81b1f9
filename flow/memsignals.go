package flow

import (
	"context"
	"fmt"
	"sync"

	"github.com/nodebus/nodebus"
)

// SignalsOptions holds the limits of the signals that [NewSignals] makes. A nil pointer,
// and zero or less in any field, select the defaults. Beyond a limit, Send returns
// [ErrFull]. The first interrupt of a prompt counts for Bytes only.
type SignalsOptions struct {
	// PromptLen is the maximum number of signals that are kept for one prompt. Default
	// 1000.
	PromptLen int
	// PromptBytes is the maximum size, in bytes, of the signals that are kept for one
	// prompt. Default 1 MiB. A larger answer is refused.
	PromptBytes int
	// Bytes is the maximum size, in bytes, of all signals that are kept. Default 64 MiB.
	Bytes int
}

// NewSignals returns signals in memory: they reach engines in the same process, and are
// lost when the process ends. It is safe for concurrent use. If opts is nil, it has the
// default limits.
func NewSignals(opts *SignalsOptions) Signals {
	if opts == nil {
		opts = &SignalsOptions{}
	}
	return &memSignals{boxes: map[string]*mailbox{}, limits: SignalsOptions{
		PromptLen: limit(opts.PromptLen, 1000), PromptBytes: limit(opts.PromptBytes, 1<<20), Bytes: limit(opts.Bytes, 64<<20),
	}}
}

type memSignals struct {
	limits SignalsOptions

	mu    sync.Mutex // not held while a receiver is called
	boxes map[string]*mailbox
	bytes int // of all mailboxes
}

// fullError is an [ErrFull] of signals.
type fullError string

func (e fullError) Error() string        { return string(e) }
func (e fullError) Is(target error) bool { return target == ErrFull }

// mailbox holds the signals of one prompt.
type mailbox struct {
	kept     []Signal // only grows; a receiver may read a part of it without the lock
	len      int      // number of signals, including those that are being sent
	bytes    int      // size of these signals
	ends     bool     // an interrupt is kept
	sending  int      // number of calls of Send that use the mailbox
	drops    int      // number of calls of Drop while the mailbox is used
	receiver *receiver
}

// receiver is a call of Receive that has not been stopped.
type receiver struct {
	f       func(Signal) error
	turn    chan struct{} // capacity 1: who puts a value in may call f
	stopped bool          // memSignals.mu guards it
}

// size estimates the memory of a signal, in bytes.
func (s *Signal) size() int {
	return 160 + len(s.PromptID) + len(s.Node) + len(s.Name) + len(s.Answer) + len(s.Reason)
}

func (m *memSignals) Send(ctx context.Context, s Signal) error {
	box, err := m.reserve(&s)
	if box == nil {
		return err
	}
	kept := false
	defer func() { m.leave(s.PromptID, box, &s, kept) }() // deferred: a receiver may call runtime.Goexit
	var passed *receiver
	drops := 0
	for {
		r := m.keep(box, passed, &s, &drops)
		if r == nil {
			kept = true
			return nil
		}
		// A receiver that begins in the meantime needs the signal, too.
		if err := m.pass(ctx, r, s); err != nil {
			return err
		}
		passed = r
	}
}

// reserve makes room for s. It returns nil without an error if s is an interrupt of a
// prompt that is to be interrupted already.
func (m *memSignals) reserve(s *Signal) (*mailbox, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	box, size := m.boxes[s.PromptID], s.size()
	if box == nil {
		box = &mailbox{}
	}
	switch {
	case s.Interrupt && box.ends && box.receiver == nil:
		return nil, nil
	case m.bytes+size > m.limits.Bytes:
		return nil, fullError(fmt.Sprintf("nodebus: the signals of all prompts would take more than %d bytes; send again later, or raise SignalsOptions.Bytes: prompt %q", m.limits.Bytes, s.PromptID))
	case s.Interrupt:
	case box.len >= m.limits.PromptLen:
		return nil, fullError(fmt.Sprintf("nodebus: the prompt has %d answers already, see SignalsOptions.PromptLen: prompt %q", box.len, s.PromptID))
	case box.bytes+size > m.limits.PromptBytes:
		return nil, fullError(fmt.Sprintf("nodebus: the answers to the prompt would take more than %d bytes, see SignalsOptions.PromptBytes: prompt %q", m.limits.PromptBytes, s.PromptID))
	}
	m.boxes[s.PromptID] = box
	m.add(box, s, 1)
	box.sending++
	return box, nil
}

// add counts a signal of a mailbox, or ceases to. m.mu is held.
func (m *memSignals) add(box *mailbox, s *Signal, n int) {
	if !s.Interrupt {
		box.len += n
		box.bytes += n * s.size()
	}
	m.bytes += n * s.size()
}

// keep appends s to the kept signals, if the last receiver that it was passed to is the
// receiver of the prompt. Otherwise it returns the receiver, and sets drops. A signal that
// was dropped since then is not kept: the prompt may have ended because of the signal.
func (m *memSignals) keep(box *mailbox, passed *receiver, s *Signal, drops *int) *receiver {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case passed != nil && *drops != box.drops:
		m.add(box, s, -1)
	case box.receiver != nil && box.receiver != passed:
		*drops = box.drops
		return box.receiver
	case s.Interrupt && box.ends: // kept already
		m.add(box, s, -1)
	default:
		box.kept = append(box.kept, *s)
		box.ends = box.ends || s.Interrupt
	}
	return nil
}

// pass calls a receiver, unless it has been stopped.
func (m *memSignals) pass(ctx context.Context, r *receiver, s Signal) error {
	select {
	case r.turn <- struct{}{}:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	defer func() { <-r.turn }()
	if m.hasStopped(r) {
		return nil
	}
	return nodebus.Protect(func() error { return r.f(s) })
}

func (m *memSignals) hasStopped(r *receiver) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return r.stopped
}

// leave ends a call of Send.
func (m *memSignals) leave(id string, box *mailbox, s *Signal, kept bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !kept {
		m.add(box, s, -1)
	}
	box.sending--
	m.tidy(id, box)
}

// tidy forgets a mailbox that nobody needs. m.mu is held.
func (m *memSignals) tidy(id string, box *mailbox) {
	if box.sending == 0 && box.receiver == nil && len(box.kept) == 0 && m.boxes[id] == box {
		delete(m.boxes, id)
	}
}

func (m *memSignals) Receive(promptID string, f func(Signal) error) (stop func(), err error) {
	r := &receiver{f: f, turn: make(chan struct{}, 1)}
	r.turn <- struct{}{}
	defer func() { <-r.turn }() // new signals come after the kept ones
	m.mu.Lock()
	box := m.boxes[promptID]
	if box == nil {
		box = &mailbox{}
		m.boxes[promptID] = box
	}
	if box.receiver != nil {
		box.receiver.stopped = true
	}
	box.receiver = r
	kept := box.kept[:len(box.kept):len(box.kept)]
	m.mu.Unlock()
	for _, s := range kept {
		if m.hasStopped(r) {
			break
		}
		_ = nodebus.Protect(func() error { return f(s) }) // whoever sent s does not wait any more
	}
	return func() { m.stop(promptID, box, r) }, nil
}

func (m *memSignals) stop(id string, box *mailbox, r *receiver) {
	m.mu.Lock()
	defer m.mu.Unlock()
	r.stopped = true
	if box.receiver == r {
		box.receiver = nil
		m.tidy(id, box)
	}
}

func (m *memSignals) Drop(_ context.Context, promptID string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	box := m.boxes[promptID]
	if box == nil {
		return nil
	}
	for i := range box.kept {
		m.add(box, &box.kept[i], -1)
	}
	box.kept, box.ends = nil, false
	box.drops++
	m.tidy(promptID, box)
	return nil
}
