package flow

import (
	"context"
	"sync"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/internal/value"
)

// sideList makes the calls of an asynchronous node for the elements of a list. The node's
// own goroutine begins the calls, in order, and waits for them; each call has a goroutine.
type sideList struct {
	t       *turn
	outer   *nodebus.Context // the contexts of the calls end with it
	ctx     context.Context
	cancel  context.CancelCauseFunc
	ends    chan sideEnd
	left    chan struct{} // closed when nobody receives from ends any more
	running int
	results []callResult // by number of the call

	mu      sync.Mutex
	calls   int   // number of elements
	units   int64 // progress of all elements together
	telling bool  // a goroutine publishes the progress
	news    bool  // the progress has changed since that goroutine has read it
}

// sideUnits is the progress of a finished element.
const sideUnits = 1000

// sideEnd is the end of one call.
type sideEnd struct {
	p   *part
	res callResult
	err error
}

// part is the context and the Runtime of one call of several.
type part struct {
	*turn
	ctx   nodebus.Context
	k     int       // number of the call
	list  *sideList // nil if the calls are made one after another
	units int64     // progress of this call; list.mu guards it
}

// Input waits for the element of a lazy input that belongs to this call.
func (p *part) Input(ctx context.Context, name string) (any, error) {
	if p.ctx.Ended() {
		return nil, nodebus.ErrClosed
	}
	return p.inputOf(ctx, name, p.k)
}

// Progress receives a progress report of this call. If calls run side by side, the node's
// progress is the sum of the progress of its calls.
func (p *part) Progress(value, max float64) error {
	switch {
	case p.list == nil:
		return p.turn.Progress(value, max)
	case max > 0 && value > 0: // false if a number is NaN
		return p.list.report(p, int64(min(value/max, 1)*sideUnits))
	}
	return nil
}

// callSideBySide does the same as callEach, but several calls run at the same time. calls
// is the number of elements that is known so far. all has a list for each output.
func (w *worker) callSideBySide(first *callResult, calls int, all []value.List) (total callResult, err error) {
	next := 0
	if first != nil {
		next = 1
	}
	l := &sideList{t: w.turn, outer: w.turn.begin(next), ends: make(chan sideEnd), left: make(chan struct{})}
	l.ctx, l.cancel = context.WithCancelCause(w.r.ctx)
	defer l.end()
	if first != nil {
		l.results = append(l.results, *first)
		l.units = sideUnits
	}
	for {
		n := max(calls, w.listLength()) // a lazy input may make it grow
		for ; next < n && l.running < w.r.local.opts.AsyncCalls; next++ {
			if err := context.Cause(w.r.ctx); err != nil {
				return total, l.fail(w, next, err)
			}
			l.begin(next, n, w.argsInto(nil, next))
		}
		if l.running == 0 {
			break
		}
		e := <-l.ends
		l.change(-1)
		w.tries = max(w.tries, e.res.tries)
		if e.err != nil {
			return total, l.fail(w, e.p.k, e.err)
		}
		l.results[e.p.k] = e.res
		_ = l.report(e.p, sideUnits)
	}
	for k := range l.results {
		total.collect(all, l.results[k])
	}
	total.outs = joinLists(all)
	return total, nil
}

// begin begins call k of n. If an input is blocked, it only notes the result.
func (l *sideList) begin(k, n int, args []any) {
	l.mu.Lock()
	l.calls = n
	l.mu.Unlock()
	l.results = append(l.results, callResult{})
	p := &part{turn: l.t, k: k, list: l}
	c := l.t.n.plan.class
	if isBlocked(args) {
		if reason := blockReason(args); reason != "" {
			l.t.notifyBlocked(l.outer, reason)
		}
		l.results[k].outs = blockedOuts(c, blockedSilently)
		_ = l.report(p, sideUnits)
		return
	}
	p.ctx.BeginWithin(l.outer, l.ctx, k, p)
	var call *Call
	if l.t.w.r.local.around != nil {
		call = &Call{}
	}
	l.change(+1)
	go func() {
		e := sideEnd{p: p, err: errGoexit} // unless something else comes of it
		defer func() {
			select {
			case l.ends <- e:
			case <-l.left:
			}
		}()
		e.err = nodebus.Protect(func() (err error) {
			e.res, err = l.t.callOnce(&p.ctx, call, args, make([]any, len(c.outputs)))
			return err
		})
	}()
}

// change counts a call that begins or ends. The node rests while all of its calls wait.
func (l *sideList) change(by int) {
	l.running += by
	r := l.t.w.r
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	if l.t.calls += int16(by); l.t.calls > 0 {
		l.t.goOn()
		l.t.rest(&then)
	}
}

// fail ends the calls that run, because call k has failed with err, and waits for them. If
// the whole prompt ends, execute decides how long to wait. Otherwise fail leaves a call
// behind that takes longer than Grace.
func (l *sideList) fail(w *worker, k int, err error) error {
	w.call = k
	l.cancel(err)
	var late <-chan time.Time
	if context.Cause(w.r.ctx) == nil {
		timer := time.NewTimer(w.r.local.opts.Grace)
		defer timer.Stop()
		late = timer.C
	}
	for l.running > 0 {
		select {
		case <-l.ends:
			l.change(-1)
		case <-late:
			w.r.local.opts.Logger.Warn("calls of a node abandoned: they did not end with their contexts",
				"prompt", w.r.job.Prompt.ID, "node", w.n.plan.id, "class", w.n.plan.class.Name(), "calls", l.running)
			return err
		}
	}
	return err
}

func (l *sideList) end() {
	close(l.left)
	l.outer.End()
	l.cancel(nodebus.ErrClosed)
}

// report sets the progress of one call and publishes the progress of the node. One
// goroutine at a time publishes, so that the value never decreases. No lock is held
// meanwhile.
func (l *sideList) report(p *part, units int64) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if units <= p.units {
		return nil
	}
	l.units += units - p.units
	p.units = units
	if l.news = true; l.telling {
		return nil
	}
	l.telling = true
	defer func() { l.telling = false }()
	var err error
	for l.news && err == nil {
		l.news = false
		err = l.tell(float64(l.units)/sideUnits, float64(l.calls))
	}
	return err
}

// tell publishes progress without the lock, which is held when tell is called and when it
// returns.
func (l *sideList) tell(value, max float64) error {
	l.mu.Unlock()
	defer l.mu.Lock()
	return l.t.Progress(value, max)
}
