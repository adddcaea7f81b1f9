package flow

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
)

// process makes one attempt to run a prompt, from the first event to the last.
func (e *Engine) process(ctx context.Context, j *job) {
	defer e.over(j)
	stop := context.AfterFunc(ctx, func() { e.halt(j, context.Cause(ctx)) })
	defer stop()
	lk := e.keepLease(j)
	defer lk.stop()
	if told := j.en.told; told != nil {
		<-told
	}
	e.awaitOlder(j)
	h := e.hostOf(j)
	defer h.close()
	if e.endedEarlier(j, lk) || e.endsAgain(ctx, j, lk) {
		return
	}
	report, err := nodebus.Report{}, errForeignGoexit // unless execute returns
	defer func() { e.finish(ctx, j, err, lk) }()
	defer func() { j.gate.shut(report) }()
	e.tellStatus()
	report, err = e.execute(j, h)
}

// execute prepares the prompt, if that is not done yet, sends execution_start, and calls
// the executor. A panic of the executor becomes an error.
func (e *Engine) execute(j *job, h *host) (report nodebus.Report, err error) {
	ctx, cancel := j.limited()
	defer cancel()
	if err := e.unfit(ctx, j); err != nil {
		return report, limited(ctx, err)
	}
	if err := context.Cause(ctx); err != nil { // interrupted, or too late, before it began
		return report, err
	}
	j.gate.start()
	job := nodebus.Job{Prompt: j.p, Attempt: j.attempt, Prepared: j.en.prepared, Secrets: j.secrets, Host: h}
	err = nodebus.Protect(func() (err error) {
		report, err = e.opts.Executor.Execute(ctx, job, j.gate)
		return err
	})
	return report, limited(ctx, err)
}

// unfit returns an error if the prompt must not be run: it has begun too often and never
// ended, or Prepare refuses it.
func (e *Engine) unfit(ctx context.Context, j *job) error {
	if j.attempt > e.mostAttempts(j.p) {
		return &limitError{"too_many_attempts", fmt.Sprintf("the prompt has begun %d times and never ended", j.attempt-1)}
	}
	en := j.en
	if !en.isPrepared {
		prepared, _, err := e.prepare(ctx, en.p)
		if err != nil && context.Cause(ctx) != nil {
			return context.Cause(ctx) // the prompt was not checked
		}
		en.isPrepared, en.prepared, en.refused = true, prepared, err
		if j.p != en.p {
			j.p.Nodes, j.p.Outputs, j.p.Rejected = en.p.Nodes, en.p.Outputs, en.p.Rejected
		}
	}
	j.refused = en.refused
	return j.refused
}

// endedEarlier reports whether an earlier attempt has ended the prompt, here or elsewhere.
// Then the prompt is not run. endedEarlier tells its last word, unless the log has it, and
// completes the lease.
//
// It asks the store before each attempt, also the first. Submit has asked the store, but if a
// queue that processes share is slow, a client can submit again what was accepted: the
// prompt may end between the answer of the store and the Push, and would run twice.
//
// Without an answer of the store the attempt does not begin, and its prompt goes back to the
// queue, unless it is interrupted. So it does if there is a record, and no answer of the log. If
// the attempt has lost its lease, endsAgain remembers an end that is not stored.
func (e *Engine) endedEarlier(j *job, lk *leaseKeeper) bool {
	if e.endsHere(j) {
		e.completeLease(j, 0)
		e.tellStatus()
		return true
	}
	asking, stop := e.asking(j)
	defer stop()
	rec, err := e.awaitRecord(asking, j.p.ID)
	switch {
	case errors.Is(err, ErrNotFound):
		return false
	case err != nil:
		return e.handOver(j, lk)
	case e.awaitEarlier(asking, j.p.ID) != nil && e.handOver(j, lk): // the next attempt finds the record
	case e.claim(j):
		e.repeatEnd(j, &rec)
	}
	return true
}

// asking returns the context in which an attempt asks the store before it begins. It ends with
// the context of the attempt: Run ends, or the lease is lost. After an interrupt it goes on for
// storeTime: then the prompt ends without the answer.
func (e *Engine) asking(j *job) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(context.Background())
	stop := context.AfterFunc(j.ctx, func() {
		if isAny(context.Cause(j.ctx), nodebus.ErrInterrupted) {
			time.AfterFunc(storeTime, cancel)
			return
		}
		cancel()
	})
	return ctx, func() { stop(); cancel() }
}

// awaitRecord is recordAt, and asks again while the store fails, until ctx ends.
func (e *Engine) awaitRecord(ctx context.Context, id string) (rec Record, err error) {
	err = e.asks(ctx, id, "no answer whether the prompt has a record: asking again", ErrNotFound, func() (err error) {
		rec, err = e.recordAt(ctx, id)
		return err
	})
	return rec, err
}

// awaitEarlier waits until the hub has what earlier attempts of a prompt have told in other
// processes, and asks again while the log fails, until ctx ends. See [nodebus.FlushingLog].
func (e *Engine) awaitEarlier(ctx context.Context, id string) error {
	err := e.asks(ctx, id, "no answer whether the end of the prompt was told: asking again", nodebus.ErrClosed, func() error {
		once, cancel := context.WithTimeout(ctx, storeTime)
		defer cancel()
		return apart(func() error { return e.hub.Flush(once) })
	})
	if isAny(err, nodebus.ErrClosed) { // then the end is not told either
		return nil
	}
	return err
}

// asks calls ask until it succeeds, or returns an error that is an answer, or ctx ends. The Logger
// receives text and the first error that is none.
func (e *Engine) asks(ctx context.Context, id, text string, answer error, ask func() error) error {
	err := ask()
	for pause := firstPause; err != nil && !isAny(err, answer) && ctx.Err() == nil; pause = min(2*pause, lastPause) {
		if pause == firstPause {
			e.opts.Logger.Error(text, "prompt", id, "error", err)
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
			err = ask()
		case <-ctx.Done():
		}
		timer.Stop()
	}
	return err
}

// endsHere waits while somebody here ends the prompt, and reports whether it has ended.
func (e *Engine) endsHere(j *job) bool {
	for {
		e.mu.Lock()
		if !j.en.ends {
			j.silent = j.givenUp != nil // otherwise the lease has lapsed meanwhile
			e.mu.Unlock()
			return false
		}
		j.silent = true // the attempt says nothing
		reopens := j.en.reopens()
		e.mu.Unlock()
		select {
		case <-j.en.done:
			return true
		case <-reopens:
		}
	}
}

// repeatEnd tells the last word of a prompt that has a record, unless the log has it, and
// completes the lease. The caller has claimed the end.
func (e *Engine) repeatEnd(j *job, rec *Record) {
	e.renumber(j, rec.Attempt)
	terminal := rec.terminal()
	outcome, closed, err := e.hub.Ended(j.p.ID)
	if err != nil {
		e.opts.Logger.Error("no answer whether the end was told: telling it again", "prompt", j.p.ID, "error", err)
	}
	if outcome {
		terminal = nil
	}
	e.lastWord(j, terminal, closed, rec)
}

// recordAt reads the record with an id.
func (e *Engine) recordAt(ctx context.Context, id string) (rec Record, err error) {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	err = apart(func() (err error) {
		rec, err = e.record(ctx, id)
		return err
	})
	if err == nil && rec.Prompt == nil {
		err = ErrNotFound
	}
	return rec, err
}

// terminal returns the event that ends the prompt.
func (r *Record) terminal() nodebus.Payload {
	switch {
	case r.Success != nil:
		return *r.Success
	case r.Interrupted != nil:
		return *r.Interrupted
	case r.Error != nil:
		return *r.Error
	}
	return nil
}

// claim reports whether an attempt ends the prompt. It is false if the lease has lapsed,
// or if somebody else here ends the prompt.
func (e *Engine) claim(j *job) bool {
	if j.isLate() {
		e.lapse(j)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if j.silent || j.en.ends {
		return false
	}
	j.en.ends, j.claimed = true, true
	return true
}

// finish is what follows an attempt: the next attempt, or the end of the prompt.
func (e *Engine) finish(ctx context.Context, j *job, err error, lk *leaseKeeper) {
	if err != nil && errors.Is(context.Cause(j.ctx), errHandOver) {
		if e.handOver(j, lk) {
			return
		}
		err = nodebus.ErrInterrupted // meanwhile
	}
	if e.retries(j, err) {
		if e.tryAgain(j, err, lk) {
			return
		}
		if e.isInterrupted(j.en) { // instead of the next attempt
			err = nodebus.ErrInterrupted
		}
	}
	if e.claim(j) {
		e.recall(j)
		j.gate.end(err)
		e.endAttempt(ctx, j, lk)
	}
}

// isInterrupted reports whether a prompt that is known here was interrupted.
func (e *Engine) isInterrupted(en *entry) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return en.interrupted
}

// recall completes the record of an attempt that ends the prompt and has not begun itself:
// the record has what this engine knows of the attempt before.
func (e *Engine) recall(j *job) {
	rec := &j.gate.record
	if rec.Start != nil {
		return
	}
	e.mu.Lock()
	start, started, last := j.en.start, j.en.started, j.en.last
	e.mu.Unlock()
	if start == nil {
		return
	}
	if j.lease != nil { // otherwise j has the number of the attempt before already
		e.renumber(j, max(j.attempt-1, start.Attempt))
	}
	if prompt := rec.Prompt; last != nil && last.Attempt == start.Attempt {
		*rec = *last
		rec.Prompt = prompt
	}
	rec.Attempt, rec.Start, rec.Started = j.attempt, start, started
}

// renumber changes the number of an attempt that only tells how an earlier attempt ended.
func (e *Engine) renumber(j *job, attempt int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	j.attempt = attempt
}

// lastWord sends the last events of a prompt, without terminal if that is nil, and without
// the closing event if closed is true. Then it takes the prompt out of the queue: if the
// process dies earlier, the queue still has the prompt. If the hub is closed already, the
// queue keeps the prompt, and whoever takes it tells its end.
func (e *Engine) lastWord(j *job, terminal nodebus.Payload, closed bool, rec *Record) {
	en := j.en
	e.mu.Lock()
	en.cause = context.Cause(j.ctx)
	j.cancel(nodebus.ErrClosed)
	if e.entries[j.p.ID] == en { // and not another prompt that has the id now
		delete(e.entries, j.p.ID)
	}
	e.ending[j.p.ID] = en
	e.leaves(en)
	watch := en.watch
	e.mu.Unlock()
	if watch != nil {
		watch() // before the closing event: nobody waits for it
	}
	if j.lease != nil {
		e.owes(1, 0)
	}
	untold := false
	say := func(p nodebus.Payload) {
		err := e.tell(j.event(p))
		if errors.Is(err, nodebus.ErrClosed) && j.attempt < j.newest { // clients have heard of a later attempt
			e.renumber(j, j.newest)
			err = e.tell(j.event(p))
		}
		untold = errors.Is(err, nodebus.ErrClosed) || untold
	}
	// The steps are deferred, the last step first: a publisher that calls runtime.Goexit
	// ends one step, and not the rest.
	defer e.settle(en, rec, nil)
	defer func() {
		switch {
		case j.lease == nil:
		case untold && !e.wasTold(j.p.ID):
			e.owes(-1, 0)
			e.opts.Logger.Warn("the hub is closed: the queue keeps the prompt until its end is told", "prompt", j.p.ID)
		case !e.completeLease(j, 1):
			return // the signals may be of another prompt that has the id now
		}
		e.dropSignals(j.p.ID)
	}()
	if !closed {
		defer say(nodebus.Executing{PromptID: j.p.ID})
	}
	defer e.tellStatus()
	if terminal != nil {
		say(terminal)
	}
}

// wasTold reports whether the log has the last event of a prompt.
func (e *Engine) wasTold(id string) bool {
	_, closed, err := e.hub.Ended(id)
	return err == nil && closed
}

// completeLease takes a prompt that has ended out of the queue, also if its lease has
// lapsed and the prompt waits again. owed is 1 if the prompt is counted as one that has
// ended, and 0 if it has ended before this attempt. completeLease returns false if the lease has
// lapsed and the prompt does not wait: somebody else has it, or has taken it out of the queue.
func (e *Engine) completeLease(j *job, owed int) (ours bool) {
	e.owes(0, 1)
	defer e.owes(-owed, -1)
	ctx, cancel := context.WithTimeout(context.Background(), storeTime)
	defer cancel()
	ours, err := true, e.done(ctx, j.lease, j.p, owed == 0)
	if errors.Is(err, ErrLapsed) {
		ours, err = e.takeOut(ctx, j.p, true)
	}
	if err != nil {
		e.opts.Logger.Error("prompt not taken out of the queue: it may be taken again", "prompt", j.p.ID, "error", err)
	}
	return ours
}
