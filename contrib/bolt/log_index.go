package bolt

import (
	"container/list"
	"math"
	"slices"
	"time"

	"github.com/nodebus/nodebus"
)

// logIndex knows which events the log keeps, and which it gives up: it holds the place and
// the size of each event, and no payload. The file follows it: each change of the index is
// also a change in plan.
type logIndex struct {
	retain    time.Duration
	keepLen   int
	keepBytes int

	plan    *logPlan // the changes that the file does not have yet
	prompts map[string]*logPrompt
	outside *logPrompt // the events that belong to no prompt
	running list.List  // of *logPrompt; the prompt whose newest event is oldest is first
	ended   list.List  // of *logPrompt, in the order of their ends
	count   int
	bytes   int
	lost    uint64  // what the log does not have up to this ID is lost
	losses  namedID // by prompt and client, see lossName: the newest lost event
	closed  namedID // by prompt: the end of a prompt that is not kept any more
}

// logPrompt holds the events of a prompt, in the order of IDs.
type logPrompt struct {
	id      string
	refs    []logRef
	live    int // number of refs with a size
	bytes   int
	tos     []string
	keys    map[logKey]uint64 // the newest event of each key; some are not kept any more
	attempt int
	over    bool
	end     time.Time
	place   *list.Element // nil: the events belong to no prompt
}

// logRef is an event. A size of 0 means that it is not kept any more.
type logRef struct {
	id   uint64
	at   int64
	size int32
	to   int32 // index in tos
}

type logKey struct{ to, key string }

// promptWeight is the size, in bytes, that a prompt without its events counts.
const promptWeight = 512

func newLogPrompt(id string) *logPrompt { return &logPrompt{id: id, keys: map[logKey]uint64{}} }

// closes reports whether ev is the last event of its prompt.
func closes(p nodebus.Payload) bool {
	e, ok := p.(nodebus.Executing)
	return ok && e.UniqueID == ""
}

// admits reports whether ev may follow the events of its prompt. outcome says that ev is
// the outcome of a prompt.
func (x *logIndex) admits(ev *nodebus.Event, outcome bool) bool {
	if ev.PromptID == "" {
		return true
	}
	_, start := ev.Payload.(nodebus.ExecutionStart)
	p := x.prompts[ev.PromptID]
	if p == nil {
		return start || outcome || !x.closed.has(ev.PromptID)
	}
	if p.over {
		return start || outcome
	}
	return ev.Attempt <= 0 || ev.Attempt >= p.attempt
}

// newest returns the newest attempt of the prompt of the next event.
func (x *logIndex) newest(e *logEntry) int {
	if p := x.prompts[e.promptID]; p != nil && !p.over {
		return max(p.attempt, e.attempt)
	}
	return e.attempt
}

// add adds an event that admits has accepted, and gives up others if there is no room.
func (x *logIndex) add(id uint64, e *logEntry, payload nodebus.Payload) {
	x.makeRoom(x.load(id, e, payload))
}

// load adds an event, and returns its prompt.
func (x *logIndex) load(id uint64, e *logEntry, payload nodebus.Payload) *logPrompt {
	p := x.promptOf(e.promptID)
	x.keep(p, id, e)
	if p.place != nil {
		p.attempt = max(p.attempt, e.attempt, e.newest)
		if x.running.MoveToBack(p.place); closes(payload) {
			x.running.Remove(p.place)
			p.over, p.end = true, time.Unix(0, e.at)
			p.place = x.ended.PushBack(p)
		}
	}
	return p
}

// promptOf returns the prompt of the next event. A prompt that has ended begins again.
func (x *logIndex) promptOf(id string) *logPrompt {
	if id == "" {
		return x.outside
	}
	p := x.prompts[id]
	if p != nil && p.over {
		x.drop(p)
		p = nil
	}
	if p == nil {
		x.closed.remove(id)
		p = newLogPrompt(id)
		p.place = x.running.PushBack(p)
		x.prompts[id] = p
		x.bytes += promptWeight
	}
	return p
}

// keep adds an event to its prompt. It replaces the older event with the same key.
func (x *logIndex) keep(p *logPrompt, id uint64, e *logEntry) {
	to := slices.Index(p.tos, e.to)
	if to < 0 {
		to = len(p.tos)
		p.tos = append(p.tos, e.to)
	}
	if e.key != "" {
		k := logKey{e.to, e.key}
		if older, ok := p.keys[k]; ok {
			x.remove(p, p.find(older))
		}
		p.keys[k] = id
	}
	size := min(e.size(), math.MaxInt32)
	p.refs = append(p.refs, logRef{id, e.at, int32(size), int32(to)})
	p.live++
	p.bytes += size
	x.count++
	x.bytes += size
	p.tidy()
}

// find returns the place of an event in refs, or -1.
func (p *logPrompt) find(id uint64) int {
	i, found := slices.BinarySearchFunc(p.refs, id, func(r logRef, id uint64) int {
		switch {
		case r.id < id:
			return -1
		case r.id > id:
			return 1
		}
		return 0
	})
	if !found {
		return -1
	}
	return i
}

// remove removes an event, which is no loss if a newer event has replaced it.
func (x *logIndex) remove(p *logPrompt, i int) {
	if i < 0 || p.refs[i].size == 0 {
		return
	}
	r := &p.refs[i]
	x.plan.remove(r.id)
	x.count--
	x.bytes -= int(r.size)
	p.bytes -= int(r.size)
	p.live--
	r.size = 0
}

// tidy frees the places of removed events when there are many of them.
func (p *logPrompt) tidy() {
	if len(p.refs) > 64 && len(p.refs) > 2*p.live {
		p.refs = slices.DeleteFunc(p.refs, func(r logRef) bool { return r.size == 0 })
	}
	if len(p.keys) > 64 && len(p.keys) > 2*p.live {
		for k, id := range p.keys {
			if p.find(id) < 0 {
				delete(p.keys, k)
			}
		}
	}
}

func (x *logIndex) full() bool { return x.count > x.keepLen || x.bytes > x.keepBytes }

// makeRoom gives up events in the order of the log in memory: whole prompts that have
// ended, first the prompt that ended first; the oldest events without a prompt; the oldest
// events of current, the prompt of the newest event; whole prompts that run, first the
// prompt whose newest event is oldest.
func (x *logIndex) makeRoom(current *logPrompt) {
	for x.full() && x.ended.Len() > 0 && x.ended.Front() != current.place {
		x.drop(x.ended.Front().Value.(*logPrompt))
	}
	for x.full() && x.outside.live > 0 && (x.outside != current || x.outside.live > 1) {
		x.dropOldest(x.outside)
	}
	for x.full() && current.live > 1 {
		x.dropOldest(current)
	}
	for x.full() && x.running.Len() > 0 && x.running.Front() != current.place {
		x.drop(x.running.Front().Value.(*logPrompt))
	}
}

// dropOldest gives up the oldest event of p.
func (x *logIndex) dropOldest(p *logPrompt) {
	i := 0
	for p.refs[i].size == 0 {
		i++
	}
	x.lose(p, i)
	p.refs = p.refs[i+1:]
	p.tidy()
}

// lose removes an event and records that it is lost.
func (x *logIndex) lose(p *logPrompt, i int) {
	r := p.refs[i]
	x.remove(p, i)
	if p.place == nil {
		x.lost = max(x.lost, r.id)
		return
	}
	x.raise(x.losses.add(lossName(p.id, p.tos[r.to]), r.id))
}

func (x *logIndex) raise(lost uint64) { x.lost = max(x.lost, lost) }

// drop gives up a whole prompt. If it has ended, the log remembers that.
func (x *logIndex) drop(p *logPrompt) {
	last := uint64(0)
	for i := range p.refs {
		if p.refs[i].size > 0 {
			last = p.refs[i].id
			x.lose(p, i)
		}
	}
	x.bytes -= promptWeight
	delete(x.prompts, p.id)
	x.running.Remove(p.place) // only the list that contains it removes it
	x.ended.Remove(p.place)
	if p.over {
		x.closed.add(p.id, last)
	}
}

// forget gives up a prompt for Drop: its id is free then.
func (x *logIndex) forget(id string) {
	if p := x.prompts[id]; p != nil {
		x.drop(p)
	}
	x.closed.remove(id)
}

// expire gives up what is older than retain, and returns when it has to look again, or 0
// if it keeps nothing that expires.
func (x *logIndex) expire(now time.Time) (next time.Duration) {
	for e := x.ended.Front(); e != nil; e = x.ended.Front() {
		p := e.Value.(*logPrompt)
		if left := p.end.Add(x.retain).Sub(now); left > 0 {
			next = left
			break
		}
		x.drop(p)
	}
	for x.outside.live > 0 {
		oldest := slices.IndexFunc(x.outside.refs, func(r logRef) bool { return r.size > 0 })
		if left := time.Unix(0, x.outside.refs[oldest].at).Add(x.retain).Sub(now); left > 0 {
			if next == 0 || left < next {
				next = left
			}
			break
		}
		x.dropOldest(x.outside)
	}
	return next
}
