//go:build e2e

package chaos_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/client"
)

// window is the number of prompts of a user that wait or run at the same time.
const window = 3

// user is a client of package client: it submits, follows, answers and interrupts.
type user struct {
	*book
	*client.Client
	dice    *rand.Rand
	total   *totals
	pending sync.WaitGroup

	mu     sync.Mutex
	orders map[string]*order // what it has submitted
}

// totals counts for all users.
type totals struct {
	accepted, ended, repeated atomic.Int64
	refused                   atomic.Int64 // answers that say to come again later
}

// follow writes down all events, and answers the questions.
func (u *user) follow(ctx context.Context) error {
	for ev, err := range u.Events(ctx) {
		if err != nil {
			return fmt.Errorf("%s: the events end: %w", u.name, err)
		}
		n, err := noteOf(ev)
		if err != nil {
			return fmt.Errorf("%s: %w", u.name, err)
		}
		u.add(n)
		if q, asks := ev.Payload.(nodebus.Waiting); asks {
			u.pending.Go(func() { u.answer(ctx, q.PromptID, q.UniqueID, q.Name) })
		}
	}
	return nil
}

// again calls f until it succeeds, or the server refuses it with a status that says that it
// has no place any more: the prompt has ended.
func (u *user) again(ctx context.Context, f func() error) error {
	for ctx.Err() == nil {
		err := f()
		var refused *client.RefusedError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &refused) && refused.Status < 500 && refused.Status != http.StatusTooManyRequests:
			return err
		case refused != nil:
			u.total.refused.Add(1)
		}
		wait(ctx, pause)
	}
	return context.Cause(ctx)
}

func (u *user) order(prompt string) *order {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.orders[prompt]
}

// unended returns the prompts whose end the user does not have.
func (u *user) unended() (ids []string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	for id := range u.orders {
		select {
		case <-u.hasEnded(id):
		default:
			ids = append(ids, id)
		}
	}
	return ids
}

func (u *user) answer(ctx context.Context, prompt, node, name string) {
	o := u.order(prompt)
	_ = u.again(ctx, func() error {
		if o.word == "" {
			return u.Refuse(ctx, prompt, node, name, "no")
		}
		return u.Answer(ctx, prompt, node, name, o.word)
	})
}

// submit submits a prompt until the server has accepted it. If an answer was lost, the
// server says that the prompt exists already.
func (u *user) submit(ctx context.Context, o *order) error {
	u.mu.Lock()
	u.orders[o.prompt.ID] = o
	u.mu.Unlock()
	err := u.again(ctx, func() error {
		_, err := u.Submit(ctx, o.prompt)
		var refused *client.RefusedError
		if errors.As(err, &refused) && refused.Status == http.StatusConflict {
			u.total.repeated.Add(1)
			return nil
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("%s: prompt %s was not accepted: %w", u.name, o.prompt.ID, err)
	}
	u.total.accepted.Add(1)
	return nil
}

// work submits prompts while more says so, and returns when all have ended.
func (u *user) work(ctx context.Context, more func() (*order, bool)) error {
	places, errs := make(chan struct{}, window), make(chan error, 1)
	var running sync.WaitGroup
	defer running.Wait()
	for {
		o, ok := more()
		if !ok {
			break
		}
		select {
		case places <- struct{}{}:
		case err := <-errs:
			return err
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := u.submit(ctx, o); err != nil {
			return err
		}
		delay, waits := time.Duration(u.dice.IntN(300))*time.Millisecond, u.dice.IntN(2) == 0
		running.Go(func() {
			defer func() { <-places }()
			if err := u.attend(ctx, o, delay, waits); err != nil {
				select {
				case errs <- err:
				default:
				}
			}
			u.total.ended.Add(1)
		})
	}
	running.Wait()
	select {
	case err := <-errs:
		return err
	default:
		return context.Cause(ctx)
	}
}

// attend does what the order says, and waits until the prompt has ended.
func (u *user) attend(ctx context.Context, o *order, delay time.Duration, waits bool) error {
	if o.asks && o.early {
		u.answer(ctx, o.prompt.ID, "middle", "word")
	}
	if o.interrupt {
		wait(ctx, delay)
		_ = u.again(ctx, func() error { return u.Interrupt(ctx, o.prompt.ID) })
	}
	if waits {
		got, err := u.Wait(ctx, o.prompt.ID)
		if err == nil && got.State == "" {
			err = errors.New("the outcome has no state")
		}
		if err != nil {
			return fmt.Errorf("%s: waiting for prompt %s: %w", u.name, o.prompt.ID, err)
		}
		return nil
	}
	for { // if the end is not told, there is a record nevertheless: the checker says what is missing
		select {
		case <-u.hasEnded(o.prompt.ID):
			return nil
		case <-time.After(5 * time.Second):
		case <-ctx.Done():
			return fmt.Errorf("%s: prompt %s has not ended: %w", u.name, o.prompt.ID, context.Cause(ctx))
		}
		if _, err := u.Outcome(ctx, o.prompt.ID); err == nil {
			return nil
		}
	}
}
