package comfy

import (
	"context"
	"sync"

	"github.com/nodebus/nodebus"
)

// numbers gives prompts their priorities: smaller runs first.
type numbers struct {
	mu    sync.Mutex
	next  float64
	front float64 // the smallest given to a prompt that was to run first
}

// normal is the next number in order of arrival.
func (n *numbers) normal() float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.next++
	return n.next - 1
}

// first is a number before those of all prompts that wait in q.
func (n *numbers) first(ctx context.Context, q nodebus.Queue) float64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	number := 0 - n.next // not -0, which JSON has too
	n.next++
	for p, err := range q.List(ctx) {
		if err == nil && p.Priority <= number {
			number = p.Priority - 1
		}
		break // the others come later
	}
	if number >= n.front && n.front < 0 { // one that is not in the queue yet
		number = n.front - 1
	}
	n.front = number
	return number
}
