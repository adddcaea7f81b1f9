package flow

import (
	"errors"
	"time"

	"github.com/nodebus/nodebus"
)

// showIntermediate publishes what the nodes of classes with Info.Intermediate show, if all
// nodes have ended well: the nodes whose results were cached and that the run has not visited.
// It works in a goroutine of its own, because the cache and the encoding of what a node shows
// are foreign code that may never return.
func (r *run) showIntermediate() {
	r.mu.Lock()
	wanted := r.graph.intermediate && r.local.cache != nil && r.sched.err == nil && r.sched.first == nil
	size := int32(r.graph.size())
	r.mu.Unlock()
	if !wanted {
		return
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for i := range size {
			if err := nodebus.Protect(func() error { return r.showUnvisited(i) }); err != nil {
				r.local.opts.Logger.Warn("cached output not shown", "prompt", r.job.Prompt.ID, "node", r.node(i).plan.id, "error", err)
			}
		}
	}()
	select {
	case <-ended:
		return
	case <-r.ctx.Done():
	}
	grace := time.NewTimer(r.local.opts.Grace)
	defer grace.Stop()
	select {
	case <-ended:
	case <-grace.C:
		r.local.opts.Logger.Warn("cached outputs abandoned: the cache or the encoding of an output did not return", "prompt", r.job.Prompt.ID)
	}
}

// showUnvisited publishes what node i shows, if it must be shown although it was not visited.
func (r *run) showUnvisited(i int32) error {
	n := r.node(i)
	if n.plan == nil || !n.plan.class.schema.Intermediate {
		return nil
	}
	if r.unscheduled(i) != nil { // an equal node may have computed the result in this run
		r.findOne(i, n)
	}
	r.mu.Lock()
	unvisited, ui := n.state == nodeCached, n.ui
	r.mu.Unlock()
	if !unvisited {
		return nil
	}
	err := r.tracker.Executed(int(n.number), ui)
	if bad := (*nodebus.EncodeError)(nil); errors.As(err, &bad) {
		return err // the record does not have it either
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	n.shows = true
	r.use(i, n)
	return nil
}
