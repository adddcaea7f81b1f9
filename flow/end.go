package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
)

// untoldEnd is how a prompt has ended here, while the store did not take its record.
type untoldEnd struct {
	record  Record
	attempt int // the number that the queue has given to it
}

// storeAndTell stores the record of a prompt and then sends its last events. The order
// matters: a client that receives the last events must be able to read the record. While the
// store fails, nobody hears of the end, and storeAndTell tries again. It gives up if the
// lease is lost, if the store is closed, at the end of ctx, or storeTime after the end of
// Run: then the queue keeps the prompt, see reopen. A prompt that was deleted from the queue
// ends without a record. The caller has claimed the end.
func (e *Engine) storeAndTell(ctx context.Context, j *job) (err error) {
	told := false
	err = errForeignGoexit // unless storeRecord returns
	defer func() {
		if !told {
			e.reopen(j, err)
		}
	}()
	switch err = e.storeRecord(ctx, j); {
	case err != nil && j.lease == nil:
		e.opts.Logger.Error("a deleted prompt ends without a record", "prompt", j.p.ID, "error", err)
	case err != nil:
		return fmt.Errorf("nodebus: storing the record of prompt %s: %w", j.p.ID, err)
	case e.isLost(j): // somebody else may run the prompt; or whoever takes it finds the record
		return fmt.Errorf("nodebus: ending prompt %s: %w", j.p.ID, ErrLapsed)
	}
	told = true
	rec := j.gate.record // Submission.Wait keeps the record, but not the rest of the attempt
	if j.lease != nil && !rec.Started.IsZero() {
		e.learn(rec.Ended.Sub(rec.Started))
	}
	e.lastWord(j, rec.terminal(), false, &rec)
	return nil
}

// storeRecord stores the record of an attempt, and tries again while the store fails.
func (e *Engine) storeRecord(ctx context.Context, j *job) error {
	ctx, stop := e.storing(ctx, j)
	defer stop()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	began := time.Now()
	err := e.tryStore(ctx, j)
	if err == nil {
		return nil
	}
	e.opts.Logger.Error("record not stored: nobody hears of the end until it is", "prompt", j.p.ID, "error", err)
	if e.simplify(j) {
		err = e.tryStore(ctx, j)
	}
	for pause := firstPause; err != nil; pause = min(2*pause, lastPause) {
		if isAny(err, nodebus.ErrClosed) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return err
		}
		err = e.tryStore(ctx, j)
	}
	e.opts.Logger.Info("record stored", "prompt", j.p.ID, "after", time.Since(began))
	return nil
}

// storing returns the context in which a record is stored. It ends when ctx ends, when the
// lease of the prompt is lost, and storeTime after the end of Run.
func (e *Engine) storing(ctx context.Context, j *job) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	j.stopStoring = cancel
	switch {
	case j.lost:
		cancel(ErrLapsed)
	case j.halted:
		time.AfterFunc(storeTime, func() { cancel(context.DeadlineExceeded) })
	}
	return ctx, func() { cancel(nil) }
}

// halt ends an attempt because the context of Run has ended. An attempt that ends its prompt
// has storeTime to store the record.
func (e *Engine) halt(j *job, why error) {
	j.cancel(why)
	e.mu.Lock()
	defer e.mu.Unlock()
	j.halted = true
	if stop := j.stopStoring; stop != nil {
		time.AfterFunc(storeTime, func() { stop(context.DeadlineExceeded) })
	}
}

// isLost reports whether the lease of a prompt was lost while an attempt ended the prompt.
func (e *Engine) isLost(j *job) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return j.lost || j.isLate()
}

// tryStore stores the record of an attempt, or fails after storeTime.
func (e *Engine) tryStore(ctx context.Context, j *job) error {
	ctx, cancel := context.WithTimeout(ctx, storeTime)
	defer cancel()
	return apart(func() error { return e.put(ctx, &j.gate.record) })
}

// put stores a record.
func (e *Engine) put(ctx context.Context, rec *Record) error {
	if store, ok := e.opts.Store.(*memStore); ok {
		return store.Put(ctx, *rec)
	}
	return e.opts.Store.Put(ctx, rec.full())
}

// simplify reports whether the record of an attempt had no JSON, which most stores need,
// and replaces it: the prompt has failed, and its record says why. Values of nodes may have
// no JSON, such as a channel.
func (e *Engine) simplify(j *job) bool {
	g := j.gate
	noJSON := apart(func() error {
		if _, err := json.Marshal(g.record.full()); err != nil {
			return errors.New(err.Error()) // a foreign error may do anything when it is asked
		}
		return nil
	})
	if noJSON == nil {
		return false
	}
	g.end(fmt.Errorf("nodebus: the record could not be stored: %w", noJSON))
	g.record = g.record.Reduce(1)
	return true
}

// reopen takes back that an attempt ends its prompt, because its record is not stored: the
// queue keeps the prompt. If this engine takes the prompt again, it does not run it again,
// but tries again to store the record.
func (e *Engine) reopen(j *job, why error) {
	e.mu.Lock()
	en := j.en
	en.ends, j.claimed, j.silent = false, false, true
	if j.queueAttempt > 0 {
		en.untold = &untoldEnd{j.gate.record, j.queueAttempt}
	}
	if en.reopened != nil {
		close(en.reopened)
		en.reopened = nil
	}
	e.mu.Unlock()
	text := "record not stored: the queue keeps the prompt, and it ends later"
	if errors.Is(why, ErrLapsed) {
		text = "end not told, because the lease has lapsed: the prompt ends later, or elsewhere"
	}
	e.opts.Logger.Warn(text, "prompt", j.p.ID, "error", why)
	e.watch(en) // the prompt may have ended elsewhere, while it ended here
}

// reopens returns a channel that is closed if the prompt does not end although en.ends is
// set. e.mu is held.
func (en *entry) reopens() <-chan struct{} {
	if en.reopened == nil {
		en.reopened = make(chan struct{})
	}
	return en.reopened
}

// lapseNow ends the lease of a prompt whose record is not stored, because Run ends here:
// another engine can take the prompt. The attempt counts.
func (e *Engine) lapseNow(j *job) {
	ctx, cancel := context.WithTimeout(context.Background(), leaseTime/6)
	defer cancel()
	err := apart(func() error { return j.lease.Extend(ctx, 0) })
	if err != nil && !errors.Is(err, ErrLapsed) { // the lease lapses by itself
		e.opts.Logger.Warn("prompt given back later", "prompt", j.p.ID, "error", err)
	}
}

// endsAgain reports whether an earlier attempt here has ended the prompt, and its record
// was not stored. Then the prompt is not run, but its end is stored and told. If somebody
// else has begun the prompt since, it runs again.
func (e *Engine) endsAgain(ctx context.Context, j *job, lk *leaseKeeper) bool {
	e.mu.Lock()
	u := j.en.untold
	j.en.untold = nil
	e.mu.Unlock()
	if u == nil || j.queueAttempt != u.attempt+1 {
		return false
	}
	if !e.claim(j) {
		e.mu.Lock()
		defer e.mu.Unlock()
		j.en.untold = &untoldEnd{u.record, j.queueAttempt}
		return true
	}
	j.gate.refuse()
	j.gate.record = u.record
	e.renumber(j, u.record.Attempt)
	e.endAttempt(ctx, j, lk)
	return true
}

// endAttempt is storeAndTell for an attempt. ctx is the context of Run.
func (e *Engine) endAttempt(ctx context.Context, j *job, lk *leaseKeeper) {
	if e.storeAndTell(context.Background(), j) == nil {
		return
	}
	lk.stop()
	if ctx.Err() != nil {
		e.lapseNow(j)
	}
}
