package flow

import (
	"container/heap"
	"context"
	"time"

	"github.com/nodebus/nodebus"
)

// leases is a heap of the leased prompts: the first lease lapses first. Many prompts may
// rest for a long time, and the leases of all of them are extended again and again.
type leases []*queued

func (l leases) Len() int           { return len(l) }
func (l leases) Less(i, k int) bool { return l[i].lapses.Before(l[k].lapses) }

func (l leases) Swap(i, k int) {
	l[i], l[k] = l[k], l[i]
	l[i].at, l[k].at = i, k
}

// Push is for container/heap.
func (l *leases) Push(x any) {
	added := x.(*queued)
	added.at = len(*l)
	*l = append(*l, added)
}

// Pop is for container/heap.
func (l *leases) Pop() any {
	last := len(*l) - 1
	x := (*l)[last]
	(*l)[last], x.at = nil, -1
	*l = (*l)[:last]
	return x
}

type memLease struct {
	q *memQueue
	x *queued
}

func (l *memLease) Job() nodebus.Job { return l.x.job }

// hold calls f with q.mu held. If the lease has ended, hold returns ErrLapsed instead.
func (l *memLease) hold(f func()) error {
	l.q.mu.Lock()
	defer l.q.mu.Unlock()
	l.q.lapse()
	if l.x.at < 0 {
		return ErrLapsed
	}
	f()
	return nil
}

func (l *memLease) Extend(_ context.Context, d time.Duration) error {
	return l.hold(func() {
		q, first := l.q, l.q.leased[0].lapses
		l.x.lapses = time.Now().Add(d)
		heap.Fix(&q.leased, l.x.at)
		if q.leased[0].lapses.Before(first) { // a waiting Take waits until the first lease lapses
			q.wake()
		}
	})
}

func (l *memLease) Done(context.Context) error {
	return l.hold(func() {
		heap.Remove(&l.q.leased, l.x.at)
		l.q.leave(l.x)
	})
}

func (l *memLease) Release(context.Context) error {
	return l.hold(func() { l.q.again(l.x, l.x.job.Attempt) })
}
