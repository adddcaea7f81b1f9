package submit

import (
	"context"
	"math"
	"sync"

	"github.com/nodebus/nodebus/flow"
)

// numbers makes the priorities of prompts. A prompt with a smaller number runs
// first. It is safe for concurrent use.
type numbers struct {
	mu      sync.Mutex
	started bool // next is larger than the numbers of the prompts that were in the queue before
	next    float64
	front   float64 // the last number that first returned
}

// numbersMax is the largest number at which start begins to count. A larger number is not
// of this counter: a client has chosen it.
const numbersMax = 1 << 53

// start makes next larger than the numbers of all prompts in q: an earlier process may have
// filled the queue. If the queue fails, the next call tries again.
func (n *numbers) start(ctx context.Context, q flow.Queue) error {
	n.mu.Lock()
	started := n.started
	n.mu.Unlock()
	if started {
		return nil
	}
	next := 0.0
	for p, err := range q.List(ctx) {
		if err != nil {
			return err
		}
		if number := math.Floor(p.Prompt.Priority) + 1; number <= numbersMax {
			next = max(next, number)
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.started {
		n.started = true
		n.next = max(n.next, next)
	}
	return nil
}

// normal returns the next number in order of arrival. Other processes count for themselves
// in the same queue: a process that has accepted fewer prompts than another one would put
// its prompts before those that wait. It returns the error of a queue that does not say
// which numbers it has: any number could be before all of them.
func (n *numbers) normal(ctx context.Context, q flow.Queue) (float64, error) {
	last := math.Inf(-1)
	var err error
	if shared, is := q.(flow.SharedQueue); is {
		last, err = shared.LastPriority(ctx, numbersMax-1)
	} else {
		err = n.start(ctx, q)
	}
	if err != nil {
		return 0, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next = max(n.next, math.Floor(last)+1)
	n.next++
	return n.next - 1, nil
}

// first returns a number that is smaller than the numbers of all prompts that wait
// in q, and smaller than the numbers that first returned before. It returns the error of a
// queue that does not say which numbers it has.
func (n *numbers) first(ctx context.Context, q flow.Queue) (float64, error) {
	if _, is := q.(flow.SharedQueue); !is {
		if err := n.start(ctx, q); err != nil {
			return 0, err
		}
	}
	least := math.Inf(1)
	for p, err := range q.List(ctx) {
		if err != nil {
			return 0, err
		}
		if !p.Leased {
			least = p.Prompt.Priority
			break // the waiting prompts are in order: the other numbers are larger
		}
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	number := 0 - n.next // -n.next could be -0, which JSON shows as -0
	n.next++
	if least <= number {
		number = least - 1
	}
	if number >= n.front && n.front < 0 { // an earlier prompt is not in the queue yet
		number = n.front - 1
	}
	n.front = number
	return number, nil
}
