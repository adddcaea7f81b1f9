package flow

import (
	"errors"
	"slices"

	"github.com/nodebus/nodebus"
)

// visit is a node's turn, as far as the node's code may still refer to it after
// the turn is over. It is the Runtime of the node's contexts.
type visit struct {
	w      *worker
	n      *runNode
	first  nodebus.Context // of the first call
	length int             // of the longest list that a lazy input gave; guarded by r.mu

	// What follows is guarded by r.mu.
	waiting int32 // calls of await that have not returned
	over    bool  // the turn has ended; w is busy with another node
}

// visit gives node i its turn. r.mu is held, but not while the node runs.
func (w *worker) visit(i int32, n *runNode) {
	w.enter(i, n)
	w.r.mu.Unlock()
	later, err := false, errGoexit // unless what follows returns
	defer func() {
		w.r.mu.Lock()
		w.exit(later, err)
	}()
	later, err = w.turn()
}

func (w *worker) turn() (later bool, err error) {
	over, later, err := w.prepare()
	if over {
		return later, err
	}
	return w.runSafely()
}

// errGoexit is the failure of a node that does not return, and takes the
// goroutine it runs in with it: FailNow of a test does so.
var errGoexit = errors.New("the node ended its goroutine with runtime.Goexit")

// visitAlone gives an asynchronous node its turn, in a goroutine of its own. It
// is told that the node runs before that begins, so that with one worker the
// order is always the same. r.mu is held.
func (r *run) visitAlone(i int32, n *runNode) {
	w := &worker{r: r}
	r.workers.add(w)
	r.working++
	w.enter(i, n)
	r.mu.Unlock()
	over, later, err := true, false, errGoexit
	defer func() {
		r.mu.Lock()
		if over {
			w.retire(later, err)
		}
	}()
	if over, later, err = w.prepare(); over {
		return
	}
	go func() {
		later, err := false, errGoexit
		defer func() {
			r.mu.Lock()
			defer r.mu.Unlock()
			w.retire(later, err)
		}()
		later, err = w.runSafely()
	}()
}

// retire ends the turn, and the worker with it. r.mu is held.
func (w *worker) retire(later bool, err error) {
	w.exit(later, err)
	w.quit()
}

// enter begins a turn. r.mu is held.
func (w *worker) enter(i int32, n *runNode) {
	if len(w.spare) == 0 { // few at first: a worker whose node waits makes no other visit
		w.slab = min(2*w.slab+1, 16)
		w.spare = make([]visit, w.slab)
	}
	v := &w.spare[0]
	w.spare = w.spare[1:]
	v.w, v.n = w, n
	w.i, w.n, w.v = i, n, v
	w.key, w.leads, w.cached, w.ran, w.outs, w.ui, w.index = "", false, false, false, nil, nil, 0
	w.r.turns++
	w.turns = w.r.turns
}

// exit ends a turn; later means that the node will have another. r.mu is held.
func (w *worker) exit(later bool, err error) {
	r, v := w.r, w.v
	if v.over = true; v.waiting > 0 { // a goroutine of the node's waits on, which is its own affair
		r.parked--
		r.working++
	}
	w.v = nil
	switch {
	case err != nil:
		r.lose(w, err)
	case !later:
		w.commit()
	}
	if key, led := w.yieldLead(); led {
		r.mu.Unlock()
		r.l.flights.end(key)
		r.mu.Lock()
	}
}

// yieldLead makes w lead nobody any more. If it did, the caller has to end the
// flight, with no run's lock held. r.mu is held.
func (w *worker) yieldLead() (key string, led bool) {
	if !w.leads {
		return "", false
	}
	w.leads = false
	return w.key, true
}

// commit makes the node's result visible to others.
func (w *worker) commit() {
	n := w.n
	n.state, n.outs, n.exp = nodeDone, w.outs, nil // an expansion is complete
	if w.ran {
		w.r.ran = append(w.r.ran, w.i)
	}
	if w.ui != nil || w.cached {
		n.ui, n.shows = w.ui, true
	}
	w.r.sch.Done(w.i)
}

// lose ends the run because w's node failed. r.mu is held.
func (r *run) lose(w *worker, err error) {
	if r.over { // it failed because something else did
		return
	}
	e := &nodebus.NodeError{}
	e.Err = err
	if cause := r.cause(); cause != nil { // it failed because it was stopped
		e.Err = cause
	}
	e.Index = w.index
	e.Inputs = w.given()
	r.fail(r.nodeError(w.i, e))
}

// prepare does what comes before the node itself runs, and reports whether that
// was all.
func (w *worker) prepare() (over, later bool, err error) {
	err = nodebus.Protect(func() (err error) {
		over, later, err = w.beforeRun()
		return err
	})
	return over || err != nil, later, err
}

func (w *worker) beforeRun() (over, later bool, err error) {
	switch {
	case w.n.state == nodeCached:
		w.outs, w.ui = w.n.outs, w.n.ui
		return true, false, w.showCached()
	case w.n.exp != nil:
		w.assemble()
		return true, false, nil
	}
	if later, err := w.claim(); later || err != nil {
		return true, later, err
	}
	if w.cached { // an equal node has run meanwhile
		return true, false, w.showCached()
	}
	w.r.progress.begin(w.n)
	return false, false, nil
}

func (w *worker) runSafely() (later bool, err error) {
	err = nodebus.Protect(func() (err error) {
		later, err = w.run()
		return err
	})
	return later, err
}

// showCached tells of a node whose result was known before its turn.
func (w *worker) showCached() error {
	w.cached = true
	err := w.tellExecuted()
	w.r.progress.finish(w.n)
	return err
}

// tellExecuted fails if what the node shows cannot be encoded; that no client
// can be told is no failure of the node.
func (w *worker) tellExecuted() error {
	p := nodebus.Executed{Place: w.n.plan.place(), Output: w.ui, PromptID: w.r.p.ID}
	err := w.r.publish(nodebus.Event{PromptID: w.r.p.ID, To: w.r.p.ClientID, Payload: p})
	var bad *nodebus.EncodeError
	if errors.As(err, &bad) {
		return err
	}
	return nil
}

// finish tells what the node shows, and keeps its result for later prompts.
func (w *worker) finish() error {
	w.ran = true
	if len(w.ui) > 0 {
		if err := w.tellExecuted(); err != nil {
			return err
		}
	} else {
		w.ui = nil
	}
	w.keep()
	return nil
}

// context is the context of call k.
func (v *visit) context(k int) *nodebus.Context {
	c := &v.first
	if k > 0 {
		c = &nodebus.Context{}
	}
	r := v.w.r
	c.Begin(r.ctx, nodebus.CallInfo{
		Place: v.n.plan.place(), Job: r.job, Index: k, Publisher: runPublisher{r}, Runtime: v, Logger: r.l.opts.Logger,
	})
	return c
}

// runPublisher is what nodes publish through.
type runPublisher struct{ r *run }

func (p runPublisher) Publish(ev nodebus.Event) error { return p.r.publish(ev) }

// Graph is the prompt with what was made at run time so far.
func (v *visit) Graph() nodebus.Nodes {
	r := v.w.r
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Concat(r.p.Nodes, r.specs)
}

// Progress takes a progress report of the node.
func (v *visit) Progress(value, max float64) error { return v.w.r.progress.step(v.n, value, max) }
