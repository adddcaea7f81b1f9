package nodebus

import (
	"container/list"
	"slices"
	"time"
)

// clientIndex knows the prompts of each client and what each client has confirmed. It
// decides what a client without a cursor is sent again. The hub's lock guards it.
type clientIndex struct {
	retain  time.Duration
	clients map[string]*hubClient
	prompts map[string]*promptState
	latest  *promptState // the prompt of the newest event, or nil
	running list.List    // of *promptState; the prompt whose newest event is oldest is first
	ended   list.List    // of *promptState, in the order of their ends
	away    list.List    // of *hubClient, without a session but with expected prompts, in the order in which they left

	afterEnd map[string][]*func() // by prompt id: what Hub.AfterEnd is to call
}

// hubClient is a client with a session, a prompt, or a prompt that it expects.
type hubClient struct {
	id       string
	sessions []confirming              // the sessions that confirm outcomes
	prompts  map[*promptState]struct{} // without the prompts that the client has confirmed
	expected []string                  // ids of prompts that have not begun
	place    *list.Element             // position in away, or nil
	changed  chan struct{}             // closed at the next confirmation, and when a session leaves; nil if nobody waits
}

// confirming is a [Session] that confirms outcomes.
type confirming interface {
	// owes reports whether the client was sent an outcome recently and has not confirmed
	// it.
	owes() bool
}

// promptState is what the hub knows about a prompt that runs or has ended.
type promptState struct {
	id      string
	owners  []*hubClient // the clients that its events name; usually one
	now     Executing    // the newest event that names a running node
	first   uint64       // ID of the first event
	outcome uint64       // ID of the outcome; 0 if there is none yet
	last    uint64       // ID of the newest event
	steps   uint32       // number of steps so far, see traits
	addr    *address     // of the newest message that the hub has made for the prompt
	over    bool
	awaited bool // the client had a session, or expected the prompt, before the end
	end     time.Time
	place   *list.Element // position in running, or in ended if over
}

const (
	// expectedMax is the maximum number of expected prompts of one client.
	expectedMax = 1024
	// promptsMax is the maximum number of ended prompts that the index knows, and of
	// prompts that run. A publisher may never end its prompts.
	promptsMax = 1 << 16
	// awayMax is the maximum number of clients without a session whose expected prompts
	// are remembered.
	awayMax = 4096
	// lateMax is how long after the end of a prompt a client may connect and still be
	// sent the prompt, although it had no session. Some clients submit first and connect
	// only after they have the answer.
	lateMax = 2 * time.Second
)

func (x *clientIndex) init(retain time.Duration) {
	x.retain = retain
	x.clients, x.prompts = map[string]*hubClient{}, map[string]*promptState{}
	x.afterEnd = map[string][]*func(){}
}

// client returns the entry of a client; it creates the entry if necessary.
func (x *clientIndex) client(id string) *hubClient {
	c := x.clients[id]
	if c == nil {
		c = &hubClient{id: id, prompts: map[*promptState]struct{}{}}
		x.clients[id] = c
	}
	return c
}

// tidy removes the entry of a client if nothing is left of it.
func (x *clientIndex) tidy(c *hubClient) {
	if len(c.sessions) == 0 && len(c.prompts) == 0 && len(c.expected) == 0 && x.clients[c.id] == c {
		if c.place != nil {
			x.away.Remove(c.place)
			c.place = nil
		}
		delete(x.clients, c.id)
	}
}

// add counts an event of the log. It returns the prompt of the event, or nil, and the
// number of steps of the prompt before the event.
func (x *clientIndex) add(ev *Event, k mark) (p *promptState, steps uint32) {
	if ev.PromptID == "" {
		return nil, 0
	}
	p = x.latest
	if p == nil || p.id != ev.PromptID {
		p = x.prompts[ev.PromptID]
	}
	if p != nil && p.over {
		x.remove(p)
		p = nil
	}
	if p == nil {
		p = &promptState{id: ev.PromptID, first: ev.ID}
		p.place = x.running.PushBack(p)
		x.prompts[p.id] = p
		if x.running.Len() > promptsMax {
			x.remove(x.running.Front().Value.(*promptState))
		}
	} else if x.latest != p {
		x.running.MoveToBack(p.place)
	}
	if ev.To != "" && !p.isOf(ev.To) {
		x.own(p, ev.To)
	}
	x.latest = p
	p.last, steps = ev.ID, p.steps
	if k.step {
		p.steps++
	}
	if k.outcome {
		p.outcome = ev.ID
	}
	if e, ok := ev.Payload.(Executing); ok {
		if p.now = e; e.UniqueID == "" {
			x.close(p, time.Now()) // ev.Time may be of another machine
		}
	}
	return p, steps
}

// address returns the address of ev. Consecutive events with the same address share one.
func (p *promptState) address(ev *Event) *address {
	if a := p.addr; a == nil || a.to != ev.To || a.attempt != ev.Attempt {
		p.addr = &address{ev.PromptID, ev.To, ev.Attempt, ev.Epoch}
	}
	return p.addr
}

// isOf reports whether an event of the prompt names the client.
func (p *promptState) isOf(client string) bool {
	for _, c := range p.owners {
		if c.id == client {
			return true
		}
	}
	return false
}

// own adds a prompt to the prompts of a client.
func (x *clientIndex) own(p *promptState, client string) {
	c := x.client(client)
	p.owners = append(p.owners, c)
	p.awaited = p.awaited || len(c.sessions) > 0
	if i := slices.Index(c.expected, p.id); i >= 0 {
		p.awaited = true
		c.expected = slices.Delete(c.expected, i, i+1)
	}
	c.prompts[p] = struct{}{}
}

// close marks a prompt as ended, and removes the prompts that ended too long ago.
func (x *clientIndex) close(p *promptState, now time.Time) {
	p.over, p.end = true, now
	for _, f := range x.afterEnd[p.id] {
		go (*f)()
	}
	delete(x.afterEnd, p.id)
	for _, c := range p.owners {
		p.awaited = p.awaited || len(c.sessions) > 0
	}
	x.running.Remove(p.place)
	p.place = x.ended.PushBack(p)
	for e := x.ended.Front(); e != nil; e = x.ended.Front() {
		oldest := e.Value.(*promptState)
		if x.ended.Len() <= promptsMax && now.Sub(oldest.end) < x.retain {
			break
		}
		x.remove(oldest)
	}
}

// remove forgets a prompt.
func (x *clientIndex) remove(p *promptState) {
	delete(x.prompts, p.id)
	x.running.Remove(p.place) // only the list that contains it removes it
	x.ended.Remove(p.place)
	if x.latest == p {
		x.latest = nil
	}
	for _, c := range p.owners {
		delete(c.prompts, p)
		x.tidy(c)
	}
}

// due returns the prompts whose events a client without a cursor is sent when it
// connects: its running prompts, and, if the session confirms outcomes, its ended prompts
// without a confirmation.
func (c *hubClient) due(confirms bool, now time.Time) (due []*promptState) {
	for p := range c.prompts {
		switch {
		case !p.over:
			p.awaited = p.awaited || confirms
		case !confirms, p.outcome == 0, !p.awaited && now.Sub(p.end) > lateMax:
			continue
		}
		due = append(due, p)
	}
	return due
}

// enter adds a session that confirms outcomes.
func (x *clientIndex) enter(client string, s confirming) {
	c := x.client(client)
	c.sessions = append(c.sessions, s)
	if c.place != nil {
		x.away.Remove(c.place)
		c.place = nil
	}
}

// leave removes a session that confirms outcomes.
func (x *clientIndex) leave(client string, s confirming) {
	c := x.clients[client]
	if c == nil || !slices.Contains(c.sessions, s) {
		return
	}
	c.sessions = slices.DeleteFunc(c.sessions, func(o confirming) bool { return o == s })
	c.notify()
	if len(c.sessions) == 0 && len(c.expected) > 0 {
		c.place = x.away.PushBack(c)
		if x.away.Len() > awayMax {
			oldest := x.away.Remove(x.away.Front()).(*hubClient)
			oldest.place, oldest.expected = nil, nil
			x.tidy(oldest)
		}
	}
	x.tidy(c)
}

// notify wakes those who wait for a confirmation of the client.
func (c *hubClient) notify() {
	if c.changed != nil {
		close(c.changed)
		c.changed = nil
	}
}

// confirm records that a client has received the outcomes up to id. A prompt whose last
// event has an ID above written does not count: the event is still in our buffers.
// complete is false if such a prompt exists; the caller tries again later.
func (c *hubClient) confirm(id, written uint64) (complete bool) {
	complete = true
	for p := range c.prompts {
		switch {
		case p.outcome == 0 || p.outcome > id:
		case p.over && p.last <= written:
			delete(c.prompts, p)
		default:
			complete = false
		}
	}
	return complete
}

// hasUnconfirmed reports whether a prompt has an outcome that the client has not confirmed.
func (c *hubClient) hasUnconfirmed() bool {
	for p := range c.prompts {
		if p.outcome != 0 {
			return true
		}
	}
	return false
}

// expect records that a client waits for a prompt.
func (x *clientIndex) expect(c *hubClient, promptID string) {
	if p := x.prompts[promptID]; p != nil && !p.over { // it has begun
		p.awaited = true
		return
	}
	if len(c.expected) >= expectedMax {
		c.expected = c.expected[1:]
	}
	c.expected = append(c.expected, promptID)
}
