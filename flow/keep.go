package flow

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nodebus/nodebus"
)

// unkept is how a prompt has ended here, while the store did not take its record.
type unkept struct {
	record  Record
	attempt int // the number that the queue has given to it
}

// keep stores the record of a prompt and then sends its last events. The order matters: a
// client that receives the last events must be able to read the record. While the store
// fails, nobody hears of the end; keep tries again, and the lease of the prompt is
// extended. It gives up if the lease is lost, if the store is closed, or a while after the
// end of ctx: then it returns an error, and the caller must call reopen. The caller has
// claimed the end.
func (e *Engine) keep(ctx context.Context, j *job) error {
	if err := e.store(ctx, j); err != nil {
		return fmt.Errorf("nodebus: storing the record of prompt %s: %w", j.p.ID, err)
	}
	rec := j.gate.record // Submission.Wait keeps the record, but not the rest of the attempt
	if j.lease != nil && !rec.Started.IsZero() {
		e.learn(rec.Ended.Sub(rec.Started))
	}
	e.lastWord(j, rec.terminal(), false, &rec)
	return nil
}

// store stores the record of an attempt, and tries again while the store fails.
func (e *Engine) store(ctx context.Context, j *job) error {
	began := time.Now()
	err := e.putOnce(context.Background(), j)
	if err == nil {
		return nil
	}
	patient, stop := e.patience(ctx, j, began)
	defer stop()
	e.opts.Logger.Error("record not stored: nobody hears of the end until it is", "prompt", j.p.ID, "error", err)
	if e.simplify(j) {
		err = e.putOnce(patient, j)
	}
	for pause := firstPause; err != nil; pause = min(2*pause, lastPause) {
		if isAny(err, nodebus.ErrClosed) {
			return err
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-patient.Done():
		}
		timer.Stop()
		if patient.Err() != nil {
			return err
		}
		err = e.putOnce(patient, j)
	}
	e.opts.Logger.Info("record stored", "prompt", j.p.ID, "after", time.Since(began))
	return nil
}

// putOnce stores the record of an attempt, or fails after storeTime.
func (e *Engine) putOnce(ctx context.Context, j *job) error {
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

// patience returns a context for further attempts to store a record. It ends when the lease
// of the prompt is lost, and storeTime after the end of ctx, or after began if that is later.
func (e *Engine) patience(ctx context.Context, j *job, began time.Time) (patient context.Context, stop func()) {
	patient, cancel := context.WithCancel(context.Background())
	e.mu.Lock()
	j.dropEnd = cancel
	if j.lost {
		cancel()
	}
	e.mu.Unlock()
	late := time.AfterFunc(forever, cancel)
	left := func() time.Duration {
		since := max(began.Sub(e.base), time.Duration(j.halted.Load()))
		return storeTime - time.Since(e.base.Add(since))
	}
	detach := context.AfterFunc(ctx, func() { late.Reset(max(left(), 0)) })
	return patient, func() { detach(); late.Stop(); cancel() }
}

// simplify reports whether the record of an attempt had no JSON, which most stores need,
// and replaces it: the prompt has failed, and its record says why. Values of nodes may have
// no JSON, such as a channel.
func (e *Engine) simplify(j *job) bool {
	g := j.gate
	noJSON := nodebus.Protect(func() error { _, err := json.Marshal(g.record.full()); return err })
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
	en.ends, j.claimed, j.lapsed = false, false, true
	if j.taken > 0 {
		en.unkept = &unkept{j.gate.record, j.taken}
	}
	if en.reopened != nil {
		close(en.reopened)
		en.reopened = nil
	}
	watch := en.watch
	e.mu.Unlock()
	e.opts.Logger.Warn("record not stored: the queue keeps the prompt, and it ends later", "prompt", j.p.ID, "error", why)
	if watch != nil { // the prompt may have ended elsewhere, while it ended here
		watch()
	}
	e.watch(en)
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
func (e *Engine) endsAgain(ctx context.Context, j *job, keep *leaseKeeper) bool {
	e.mu.Lock()
	u := j.en.unkept
	j.en.unkept = nil
	e.mu.Unlock()
	if u == nil || j.taken != u.attempt+1 {
		return false
	}
	if !e.claim(j) {
		e.mu.Lock()
		defer e.mu.Unlock()
		j.en.unkept = &unkept{u.record, j.taken}
		return true
	}
	j.gate.refuse()
	j.gate.record = u.record
	e.renumber(j, u.record.Attempt)
	e.finishKeeping(ctx, j, keep)
	return true
}

// finishKeeping is keep for an attempt that has the lease.
func (e *Engine) finishKeeping(ctx context.Context, j *job, keep *leaseKeeper) {
	err := e.keep(ctx, j)
	if err == nil {
		return
	}
	keep.stop()
	e.reopen(j, err)
	if ctx.Err() != nil {
		e.lapseNow(j)
	}
}
