package client

import (
	"slices"
	"time"

	"github.com/nodebus/nodebus"
)

const (
	// keptMax is the maximum number of prompts whose events a client keeps for a later
	// Follow.
	keptMax = 65536
	// keptTime is how long a client keeps the events of a prompt after its end.
	keptTime = 10 * time.Minute
)

// kept holds the events of a prompt that nobody follows yet. The first Follow takes them
// over.
type kept struct {
	queue
	promptID string
	own      bool      // of Submit: it has all events of the prompt from the start
	lost     bool      // it is only a Gap, and collects no more
	closed   time.Time // when its last event came; zero before
}

// keptQueues holds the kept prompts of a client. All of them together have the bounds of
// one queue: if there is no room, the oldest prompt loses its events. A prompt also
// loses them some time after its end. Client.mu guards it.
type keptQueues struct {
	byPrompt           map[string]*kept
	full, closed, lost []*kept // in order of time; some were taken or lost meanwhile
	len, bytes         int     // of the prompts that are not lost
}

// begin returns the kept events of a prompt, which may be new.
func (q *keptQueues) begin(promptID string) *kept {
	if k := q.byPrompt[promptID]; k != nil {
		return k
	}
	if q.byPrompt == nil {
		q.byPrompt = map[string]*kept{}
	}
	for len(q.byPrompt) >= keptMax {
		old := q.oldest(&q.lost, true)
		if old == nil {
			old = q.oldest(&q.full, false)
		}
		q.take(old.promptID)
	}
	k := &kept{promptID: promptID}
	q.byPrompt[promptID] = k
	q.full = append(q.tidy(q.full, false), k)
	return k
}

// oldest returns the first prompt of a list that is still kept, and lost or not lost, or
// nil. It stays in the list.
func (q *keptQueues) oldest(list *[]*kept, lost bool) *kept {
	for ; len(*list) > 0; *list = (*list)[1:] {
		if k := (*list)[0]; q.byPrompt[k.promptID] == k && k.lost == lost {
			return k
		}
		(*list)[0] = nil
	}
	return nil
}

// tidy removes from a long list the prompts that were taken or lost meanwhile: behind a prompt
// that stays first, they would stay for ever.
func (q *keptQueues) tidy(list []*kept, lost bool) []*kept {
	if len(list) < 2*len(q.byPrompt)+100 {
		return list
	}
	return slices.DeleteFunc(list, func(k *kept) bool { return q.byPrompt[k.promptID] != k || k.lost != lost })
}

// take removes and returns the kept events of a prompt, or nil.
func (q *keptQueues) take(promptID string) *kept {
	k := q.byPrompt[promptID]
	if k != nil {
		delete(q.byPrompt, promptID)
	}
	if k != nil && !k.lost {
		q.len -= len(k.items)
		q.bytes -= k.bytes
	}
	if len(q.byPrompt) == 0 {
		q.full, q.closed, q.lost = nil, nil, nil
	}
	return k
}

// push keeps an event for the prompt that it belongs to, and a Gap for every prompt.
func (q *keptQueues) push(it item) {
	q.expire(&it)
	if _, gap := it.ev.Payload.(nodebus.Gap); gap {
		for _, k := range q.byPrompt {
			q.pushTo(k, it)
		}
	} else if k := q.byPrompt[it.ev.PromptID]; k != nil {
		q.pushTo(k, it)
	}
}

func (q *keptQueues) pushTo(k *kept, it item) {
	for q.len > 0 && (q.len >= queueLen || q.bytes+it.size > queueBytes) {
		old := q.oldest(&q.full, false)
		q.full = q.full[1:]
		if len(old.items) == 0 { // it holds no room, and some other prompt does
			q.full = append(q.full, old)
			continue
		}
		q.lose(old, &it)
	}
	if k.lost {
		return
	}
	k.push(it)
	q.len++
	q.bytes += it.size
	if closes(it.ev) {
		k.closed = time.Now()
		q.closed = append(q.closed, k)
	}
}

// expire drops the events of prompts that have ended long ago.
func (q *keptQueues) expire(now *item) {
	for {
		k := q.oldest(&q.closed, false)
		if k == nil || time.Since(k.closed) <= keptTime {
			return
		}
		q.lose(k, now)
	}
}

// lose drops the events of a prompt because of an event that comes now.
func (q *keptQueues) lose(k *kept, now *item) {
	q.len -= len(k.items)
	q.bytes -= k.bytes
	k.forget(now)
	k.lost = true
	q.lost = append(q.tidy(q.lost, true), k)
}
