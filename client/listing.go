package client

import (
	"context"
	"encoding/json"
	"time"
)

// queueLists is the answer of the route queue.
type queueLists struct {
	Running []json.RawMessage `json:"queue_running"`
	Waiting []json.RawMessage `json:"queue_pending"`
}

// listing is what the server has said about its queue. All loops share it, because the
// answer has all graphs of the queue, and many loops may ask at once.
type listing struct {
	turn  chan struct{} // capacity 1: who puts a value in may ask, and use the rest
	began time.Time     // when the request began
	ids   map[string]bool
	err   error
}

// since returns the ids of the prompts that wait or run. The request for them, which ask
// makes, has begun after a time.
func (l *listing) since(ctx context.Context, after time.Time, ask func(context.Context) (map[string]bool, error)) (map[string]bool, error) {
	select {
	case l.turn <- struct{}{}:
		defer func() { <-l.turn }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if l.began.After(after) {
		return l.ids, l.err
	}
	began := time.Now()
	ids, err := ask(ctx)
	if ctx.Err() == nil { // otherwise only this caller has not waited for the answer
		l.began, l.ids, l.err = began, ids, err
	}
	return ids, err
}
