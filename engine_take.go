package nodebus

import "context"

// take waits for a prompt that may run now.
func (e *Engine) take(ctx context.Context) (*job, error) {
	for {
		pctx, cancel := context.WithCancel(ctx)
		e.ask(cancel)
		var p *Prompt
		err := guarded("taking from the queue", func() (err error) {
			p, err = e.opts.Queue.Pop(pctx, e.ready)
			return err
		})
		poked := pctx.Err() != nil
		cancel()
		switch {
		case err == nil:
			return e.begin(p), nil
		case ctx.Err() != nil || !poked:
			return nil, err
		}
	}
}

// ask prepares for asking the queue. What ready says does not change meanwhile in
// favour of a prompt: the queue goes through its prompts in order, and one that
// it has passed over must not be overtaken by a later one of the same client.
// That a prompt has ended, or is held no longer, wakes it up to be asked again.
func (e *Engine) ask(wake context.CancelFunc) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wake, e.taking, e.full, e.passed = wake, nil, map[string]bool{}, map[string]*Prompt{}
	for client, n := range e.busy {
		if n >= e.opts.PerClient {
			e.full[client] = true
		}
	}
}

// ready reports whether p may be taken from the queue now. From then on it
// counts as one that runs, so that it is never in no list.
func (e *Engine) ready(p *Prompt) bool {
	held := p.isHeld()
	e.mu.Lock()
	defer e.mu.Unlock()
	switch {
	case held:
		e.passed[p.ID] = p
		return false
	case e.full[p.ClientID]:
		return false
	}
	for id, o := range e.passed {
		if id != p.ID && o.ClientID == p.ClientID && e.jobs[id] != nil && !o.isHeld() {
			return false
		}
	}
	e.taking = p
	return true
}

// poke has the queue looked at again, because what ready says may have changed.
func (e *Engine) poke() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.wake != nil {
		e.wake()
	}
}

// await looks at the queue again once a prompt need not be held any longer.
func (e *Engine) await(j *job) {
	select {
	case <-j.p.Hold:
	case <-j.ctx.Done():
	}
	e.poke()
}

func (p *Prompt) isHeld() bool {
	if p.Hold == nil {
		return false
	}
	select {
	case <-p.Hold:
		return false
	default:
		return true
	}
}
