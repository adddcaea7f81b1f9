package flow

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/nodebus/nodebus"
)

// asking holds the questions of the nodes of a run, and whether the run has its place
// among the running prompts. run.mu guards it.
//
// While each node that has begun waits for an answer, directly or not, the run gives its
// place to other prompts: it is away. It then starts no worker, so no node continues. The
// goroutine of keepPlace is the only one that calls Rest and Resume of the host, so
// these calls do not cross.
type asking struct {
	questions map[*turn][]*question // the open questions of turns that have not ended
	away      bool                  // the run has no place
	moving    bool                  // keepPlace runs
}

// question is a call of Await that waits for the host.
type question struct{ withdraw context.CancelCauseFunc }

var errNoHost = errors.New("nodebus: no engine runs this prompt, so its nodes cannot ask clients; submit it to an engine")

// Await asks clients; see [nodebus.Runtime]. The node's slot is free until it continues.
// An answered node queues for a slot like any other node that is ready.
func (t *turn) Await(ctx context.Context, q nodebus.Waiting, check func(json.RawMessage) error) (json.RawMessage, error) {
	r := t.w.r
	host := r.job.Host
	if host == nil {
		return nil, errNoHost
	}
	asks, withdraw := context.WithCancelCause(ctx)
	defer withdraw(nodebus.ErrClosed)
	defer context.AfterFunc(r.ctx, func() { withdraw(context.Cause(r.ctx)) })() // ctx may be any context
	done, open := ctx.Done(), &question{withdraw}
	if err := t.beginAsking(open); err != nil {
		return nil, err
	}
	var answer json.RawMessage
	refused := nodebus.Protect(func() (err error) {
		answer, err = host.Await(asks, q, check)
		return err
	})
	w := t.endAsking(open)
	if w == nil {
		return nil, nodebus.ErrClosed
	}
	if isSettled(refused) {
		ctx, done = r.ctx, nil
	}
	if err := t.wait(ctx, done, w); err != nil {
		return nil, err
	}
	return answer, refused
}

// isSettled reports whether the error of a host means that somebody has answered or refused
// a question. Clients know that, so the node must know it, too, even if its context ends
// while the node waits for its place.
func isSettled(err error) bool {
	settled := err == nil
	_ = nodebus.Protect(func() error { // err may be foreign
		settled = settled || errors.Is(err, nodebus.ErrRefused)
		return nil
	})
	return settled
}

// beginAsking releases the node's slot and claim for others.
func (t *turn) beginAsking(q *question) error {
	r := t.w.r
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	switch {
	case t.over.Load():
		return nodebus.ErrClosed
	case r.sched.over:
		return r.sched.err
	}
	t.mustNotKeep()
	if r.sched.questions == nil {
		r.sched.questions = map[*turn][]*question{}
	}
	r.sched.questions[t] = append(r.sched.questions[t], q)
	t.beginWaiting(&then)
	return nil
}

// endAsking schedules a stand-in for the node: the worker that picks the stand-in gives
// its slot to the node. endAsking returns nil if the turn has ended meanwhile.
func (t *turn) endAsking(q *question) *waiter {
	r := t.w.r
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	if t.over.Load() {
		return nil
	}
	r.sched.forget(t, q)
	w := &waiter{t: t, resumed: make(chan struct{})}
	i := r.graph.addStandIn(w)
	r.sched.StandIn(i, t.w.i)
	r.sched.Open(i)
	r.startWorkers()
	r.checkPlace()
	return w
}

// forget removes a question that is settled.
func (s *schedule) forget(t *turn, q *question) {
	var rest []*question
	for _, other := range s.questions[t] {
		if other != q {
			rest = append(rest, other)
		}
	}
	if s.questions[t] = rest; rest == nil {
		delete(s.questions, t)
	}
}

// withdraw takes the questions of a turn that ends. run.unlock withdraws them.
func (s *schedule) withdraw(t *turn, then *after) {
	if open := s.questions[t]; open != nil {
		delete(s.questions, t)
		then.questions = append(then.questions, open...)
	}
}

// rests reports whether the run waits for answers only. mu is held.
func (r *run) rests() bool {
	s := &r.sched
	return len(s.questions) > 0 && s.working == 0 && s.Ready() == 0 && s.deferred == 0
}

// checkPlace starts keepPlace if the run must give its place back, or needs it again. mu
// is held.
func (r *run) checkPlace() {
	s := &r.sched
	if s.over || s.ended || s.moving || r.rests() == s.away {
		return
	}
	s.moving = true
	r.places.Add(1)
	go r.keepPlace()
}

// keepPlace gives the run's place back while the run waits for answers only, and takes it
// again when the run can go on. It returns when nothing is to be done.
func (r *run) keepPlace() {
	defer r.places.Done()
	for {
		rest, ok := r.nextMove()
		if !ok || !r.move(rest) {
			return
		}
	}
}

// move calls Rest or Resume of the host. It returns false if the run cannot go on: it has
// no place then.
func (r *run) move(rest bool) (goesOn bool) {
	err := errForeignGoexit // unless the host returns
	defer func() { goesOn = r.moved(rest, err) }()
	err = nodebus.Protect(func() error {
		if rest {
			r.job.Host.Rest()
			return nil
		}
		return r.job.Host.Resume(r.ctx)
	})
	return true
}

// nextMove returns what keepPlace does next: Rest or Resume. It returns false if nothing
// is to be done.
func (r *run) nextMove() (rest, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.sched
	if rest = r.rests(); s.over || s.ended || rest == s.away {
		s.moving = false
		return false, false
	}
	if rest {
		s.away = true // before Rest, so that no node continues meanwhile
	}
	return rest, true
}

// moved records the result of Rest or Resume. An error of the host ends the run.
func (r *run) moved(rest bool, err error) (goesOn bool) {
	var then after
	r.mu.Lock()
	defer r.unlock(&then)
	switch {
	case err == nil && !rest:
		r.sched.away = false
		r.startWorkers()
	case err != nil && !r.sched.over && r.ctx.Err() == nil: // otherwise the run ends already
		r.fail(err, &then)
		r.settle(&then)
	}
	return err == nil
}
