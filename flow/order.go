package flow

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
)

// Pause makes Run and [Do] begin no further prompt. What runs goes on, and Submit still works.
// Clients receive a Status that says so. Pause does not affect other engines, even if they
// share the queue, and Paused in a Status is about the engine that sends it.
func (e *Engine) Pause() { e.setPaused(true) }

// Resume ends [Engine.Pause].
func (e *Engine) Resume() { e.setPaused(false) }

// Paused reports whether the engine begins no further prompt.
func (e *Engine) Paused() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.paused
}

func (e *Engine) setPaused(paused bool) {
	e.mu.Lock()
	changed := e.paused != paused
	e.paused = paused
	e.lookAgain()
	e.mu.Unlock()
	if changed {
		e.tellStatus()
	}
}

// Drain makes the active Run, if there is one, begin no further prompt, and waits until
// what runs has ended, also what waits for an answer. Run then returns nil. Waiting
// prompts stay in the queue, and Submit still works. If ctx ends first, Drain returns the
// cause of ctx, and what runs goes on, but Run still begins nothing more. Drain does not wait for
// a prompt that waits for a further attempt. After Drain, Run may be
// called again; while Drain waits, Run returns at once.
func (e *Engine) Drain(ctx context.Context) error {
	e.mu.Lock()
	if e.drains++; e.drains == 1 {
		e.calm = make(chan struct{})
	}
	if e.shared != nil { // later calls of Do run the engine again
		e.shared.drained, e.shared = true, nil
	}
	r := e.runner
	if r != nil {
		r.draining = true
		r.stop()
		e.lookAgain()
	}
	e.mu.Unlock()
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if e.drains--; e.drains == 0 {
			close(e.calm)
		}
	}()
	if r != nil {
		select {
		case <-r.idle:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	quiet := e.untilQuiet()
	if quiet == nil {
		return nil
	}
	select {
	case <-quiet:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// untilQuiet returns a channel that is closed when nothing runs; nil if nothing runs.
func (e *Engine) untilQuiet() <-chan struct{} {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.active == 0 {
		return nil
	}
	if e.quiet == nil {
		e.quiet = make(chan struct{})
	}
	return e.quiet
}

// Prioritize changes the priority of a waiting prompt: a smaller number runs first. The
// prompt then waits behind all prompts with the same priority. A prompt that waits for its
// RetryAfter in this engine does not wait for that any more: it may begin at once. The error
// wraps [ErrNotFound] if no prompt with this id waits.
func (e *Engine) Prioritize(ctx context.Context, promptID string, priority float64) error {
	if math.IsNaN(priority) || math.IsInf(priority, 0) {
		return fmt.Errorf("nodebus: the priority must be a finite number, but it is %v: prompt %q", priority, promptID)
	}
	again := e.pause(ctx, promptID)
	if again != nil {
		e.extendNow(ctx, again, promptID)
	}
	err := nodebus.Protect(func() error { return e.opts.Queue.Move(ctx, promptID, priority) })
	if again != nil && errors.Is(err, ErrNotFound) {
		return nil // its next attempt has begun
	}
	if err != nil {
		return fmt.Errorf("nodebus: moving a prompt: %w", err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	en := e.entries[promptID]
	if en == nil {
		return nil
	}
	if c := e.clients[en.p.ClientID]; c != nil && slices.Contains(c.waiting, en) {
		at := slices.Index(c.waiting, en)
		c.waiting = slices.Delete(c.waiting, at, at+1)
		en.priority = priority
		e.waits(en)
		e.lookAgain() // perhaps another prompt of the client is the first now
	}
	return nil
}

// Reorder puts waiting prompts in front of all others, in the given order. It gives them
// the same priority, which is smaller than the priority of the first waiting prompt. Prompts
// that are pushed meanwhile with a still smaller priority come before them. If some of the
// prompts do not wait, Reorder moves the others, and the error wraps [ErrNotFound].
func (e *Engine) Reorder(ctx context.Context, promptIDs ...string) error {
	first, found := 0.0, false
	for q, err := range e.Queued(ctx) {
		if err != nil {
			return fmt.Errorf("nodebus: looking for the first prompt: %w", err)
		}
		if !q.Leased {
			first, found = q.Prompt.Priority, true
			break
		}
	}
	if found {
		first = math.Max(math.Min(first-1, math.Nextafter(first, math.Inf(-1))), -math.MaxFloat64)
	}
	var all []error
	for _, id := range promptIDs {
		if err := e.Prioritize(ctx, id, first); err != nil {
			all = append(all, err)
		}
	}
	return errors.Join(all...)
}

// Position tells when a prompt begins.
type Position struct {
	Running bool // the prompt runs; the other fields are 0
	Ahead   int  // the number of prompts that wait before it
	// Estimate is about how long it takes until the prompt begins, if nothing changes. It
	// assumes that prompts take as long as the last prompts that ended in this engine, and
	// that only this engine runs prompts. Prompts that rest or pause (see [Queued]) do not
	// count. It is 0 if the prompt can begin now, and also if it is unknown, because no
	// prompt has ended in this engine yet.
	Estimate time.Duration
}

// Position tells how many prompts wait before a prompt, and how long that may take. It
// returns an error that wraps [ErrNotFound] if the prompt neither waits nor runs. It reads
// the whole queue.
func (e *Engine) Position(ctx context.Context, promptID string) (Position, error) {
	var p Position
	running, ahead := map[string]int{}, map[string]int{}
	leased, waiting := 0, 0
	for q, err := range e.Queued(ctx) {
		client := ""
		if err == nil {
			client = q.Prompt.ClientID
		}
		switch {
		case err != nil:
			return Position{}, fmt.Errorf("nodebus: looking for prompt %s: %w", promptID, err)
		case q.Prompt.ID == promptID && q.Leased:
			return Position{Running: true}, nil
		case q.Prompt.ID == promptID:
			p.Estimate = e.estimate(waiting, leased, ahead[client], running[client])
			return p, nil
		case q.Rests: // it holds up nobody
		case q.Leased:
			leased++
			running[client]++
		case q.Pauses:
			p.Ahead++
		default:
			p.Ahead++
			waiting++
			ahead[client]++
		}
	}
	return Position{}, fmt.Errorf("%w: the prompt neither waits nor runs: prompt %q", ErrNotFound, promptID)
}

// estimate returns how long it takes until a prompt begins. Prompts begin when places
// become free, of the engine and of the client.
func (e *Engine) estimate(ahead, running, ownAhead, ownRunning int) time.Duration {
	e.mu.Lock()
	average := e.average
	e.mu.Unlock()
	rounds := func(before, places int) float64 {
		return float64(max(before+1-places, 0)) / float64(places)
	}
	n := max(rounds(ahead+running, e.opts.Parallel), rounds(ownAhead+ownRunning, e.opts.PerClient))
	return time.Duration(n * float64(average))
}

// learn adds the time that a prompt has run to the moving average.
func (e *Engine) learn(took time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.average == 0 {
		e.average = took
		return
	}
	e.average += (took - e.average) / 8
}
