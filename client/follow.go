package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"time"

	"github.com/nodebus/nodebus"
)

// patience is how long a loop waits for the last events of a prompt that has ended, if the
// server does not say that nothing follows.
const patience = 2 * time.Second

// Follow yields the events of one prompt, custom events included, and every
// [nodebus.Gap], up to the event that closes the prompt. A custom event belongs to a prompt
// if its envelope or its data has the prompt_id.
//
// The server sends this client the events of its own prompts. For a prompt of another client,
// call [Client.Watch] first: without it, Follow has no events, and ends when the prompt does.
//
// The first Follow of a prompt that [Client.Submit] has submitted, or that [Client.Watch] or
// Options.Watch names, begins with the first event since. The client keeps these events up
// to 10 minutes after the end of the prompt, and 65 536 events and 64 MiB of all such prompts
// together; if they are gone, Follow begins with a Gap. Any other Follow begins with what is
// read from now on.
//
// Follow also ends, without an error, if the server says over HTTP that the prompt has
// ended and no event follows: it asks for the history at the start and after each Gap. A Gap means that events are missing,
// perhaps the last ones; ask for the outcome of the prompt. If the server then has forgotten
// the prompt, for example because it was started anew, Follow ends with [ErrNotFound]. That
// holds for a prompt that this client has submitted or had events of: a Follow of any other
// prompt may begin before the prompt is submitted, and waits for it. A prompt that is deleted
// before it begins has no event, and Follow waits on; [Client.Wait] notices it. For other
// errors see Events.
func (c *Client) Follow(ctx context.Context, promptID string) iter.Seq2[nodebus.Event, error] {
	if _, err := idElement(promptID); err != nil {
		return func(yield func(nodebus.Event, error) bool) { yield(nodebus.Event{}, err) }
	}
	return c.follow(ctx, promptID, false)
}

// follow does the same as Follow. If quiet is true, the loop may run in a listener: it calls
// listeners only if no other goroutine does.
func (c *Client) follow(ctx context.Context, promptID string, quiet bool) iter.Seq2[nodebus.Event, error] {
	return func(yield func(nodebus.Event, error) bool) {
		l := c.begin(promptID, quiet)
		defer c.finish(l)
		f := following{Client: c, loop: l}
		defer f.end()
		for ctx.Err() == nil {
			ev, err := f.next(ctx)
			if errors.Is(err, errSettled) {
				if err = f.forgotten(); err == nil {
					return
				}
			}
			if err != nil {
				if ctx.Err() == nil {
					yield(nodebus.Event{}, err)
				}
				return
			}
			if !yield(ev, nil) || closes(ev) {
				return
			}
		}
	}
}

// following is a loop over Follow.
type following struct {
	*Client
	loop   *loop
	asking func()        // ends the question to the server that runs, and waits for its end; or nil
	again  bool          // the loop must ask again after it
	retry  bool          // the loop must ask again after it, but not at once
	doubt  bool          // the loop must ask again after it, unless the prompt begins
	waits  time.Duration // until Wait asks again about a prompt that has not begun
	timer  *time.Timer   // ends the loop when it fires; or nil
	mark   *request      // ends the loop with its answer; or nil
}

// next returns the next event. Meanwhile it asks whether the prompt has ended, when that is
// due.
func (f *following) next(ctx context.Context) (nodebus.Event, error) {
	for {
		if f.timer != nil { // the time counts from the newest event
			f.timer.Stop()
			f.settle(false)
			f.timer.Reset(patience)
		}
		ev, err := f.Client.next(ctx, f.loop)
		if errors.Is(err, errAsk) {
			if err = f.inquire(ctx); err == nil {
				continue
			}
		}
		if _, gap := ev.Payload.(nodebus.Gap); gap {
			f.mu.Lock()
			f.loop.ask = true
			f.mu.Unlock()
		}
		return ev, err
	}
}

// settle says whether no event follows those in the queue.
func (f *following) settle(settled bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loop.settled = settled
	f.loop.rouse()
}

// inquire asks whether the prompt has ended, or handles the answer.
func (f *following) inquire(ctx context.Context) error {
	f.mu.Lock()
	l := f.loop
	ask, told, over, doubt := l.ask, l.told, l.over, l.doubt && !l.begun && !l.mute
	marked, open := l.marked, f.unclosed[l.promptID]
	l.ask, l.told, l.doubt, l.marked = false, false, false, false
	retry := told && l.unsure
	doubt = doubt || told && l.open && l.quiet && !l.begun
	cursors := f.cursors
	f.mu.Unlock()
	f.again, f.retry, f.doubt = f.again || ask, f.retry || retry, f.doubt || doubt
	if told {
		f.asking()
		f.asking = nil
	}
	switch {
	case marked:
		f.settleSoon(open)
	case over:
		return f.conclude(cursors)
	case f.asking != nil:
	case f.again:
		f.ask(ctx, 0, true)
	case f.retry:
		f.ask(ctx, doubtTime, true)
	case f.doubt:
		f.waits = min(max(2*f.waits, doubtTime), maxDoubt)
		f.ask(ctx, f.waits, false) // perhaps the prompt begins meanwhile
	}
	return nil
}

// doubtTime is how long Wait waits for a prompt to begin after the queue has changed, before
// it asks whether the prompt is still there. It also bounds how often Wait asks.
const doubtTime = time.Second

// maxDoubt is the longest time between two questions of Wait about a prompt that has not
// begun. Several servers may share a queue: one still lists a prompt, although another has
// told its end, and then no event follows.
const maxDoubt = 4 * time.Second

// ask asks whether the prompt has ended, in a goroutine that ends with the loop. It asks
// after some time; if always is false, only if the prompt has not begun by then.
func (f *following) ask(ctx context.Context, after time.Duration, always bool) {
	f.again, f.retry, f.doubt = false, false, false
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(f.life, cancel)
	done := make(chan struct{})
	f.asking = func() {
		cancel()
		<-done
	}
	go func() {
		defer close(done)
		defer stop()
		said, err := f.askAfter(ctx, after, always)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.loop.told, f.loop.unsure = true, err != nil || said == gone && f.posting[f.loop.promptID]
		f.loop.gone = said == gone && (f.loop.quiet || f.loop.begun || f.unclosed[f.loop.promptID]) && !f.loop.unsure
		f.loop.over = said == over || f.loop.gone
		f.loop.mute, f.loop.open = said == unsaid && err == nil, said == open
		f.loop.rouse()
	}()
}

// askAfter waits and then asks what has become of the prompt.
func (f *following) askAfter(ctx context.Context, after time.Duration, always bool) (fate, error) {
	since := time.Now()
	timer := time.NewTimer(after)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return unsaid, nil
	}
	f.mu.Lock()
	begun := f.loop.begun
	f.mu.Unlock()
	if begun && !always {
		return open, nil
	}
	return f.fateOf(ctx, f.loop.promptID, since)
}

// conclude ends the loop after the events that are on their way. A nodebus server says
// when that is; for others, the loop has patience.
func (f *following) conclude(cursors bool) error {
	switch {
	case f.timer != nil || f.mark != nil:
		return nil
	case cursors && !f.opts.SSE:
		// The client does not watch such a prompt, so the request changes nothing. The
		// answer comes after all events so far.
		f.mark = &request{promptID: fmt.Sprintf("nodebus.client-%p", f.loop), loop: f.loop}
		return f.post(f.mark)
	}
	f.settleSoon(true)
	return nil
}

// settleSoon ends the loop. If the client has had events of the prompt, but not the closing
// event, the last events may be on their way, because a server lists the prompt as ended
// before it sends them. Wait needs the record, and not the last events.
func (f *following) settleSoon(open bool) {
	if !open || f.loop.quiet {
		f.settle(true)
		return
	}
	f.timer = time.AfterFunc(patience, func() { f.settle(true) })
}

// forgotten returns the error of Follow if the server has forgotten the prompt. Wait has its
// own.
func (f *following) forgotten() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.loop.gone || f.loop.quiet {
		return nil
	}
	return fmt.Errorf("%w: prompt %s neither waits nor runs, and has no record", ErrNotFound, f.loop.promptID)
}

// end ends what the loop has begun.
func (f *following) end() {
	if f.asking != nil {
		f.asking()
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	if f.mark != nil {
		f.withdraw(f.mark, false)
	}
}

// keep begins to keep the events of a prompt. Submit calls it before its request, so that
// the first Follow of the prompt misses nothing.
func (c *Client) keep(promptID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.take(promptID)
	c.kept.begin(promptID).own = true
	c.posting[promptID] = true
	c.owe(promptID)
}

// posted notes that a request of Submit has ended.
func (c *Client) posted(promptID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.posting, promptID)
}

// unkeep drops what keep has kept, because the request has failed.
func (c *Client) unkeep(promptID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.kept.take(promptID)
	delete(c.unclosed, promptID)
}
