package flow

import (
	"context"
	"iter"
	"time"

	"github.com/nodebus/nodebus"
)

// leaseTime is how long a lease lasts unless the engine extends it. The engine
// extends a lease every leaseTime/3.
const leaseTime = 30 * time.Second

// Queue holds the prompts that wait and the prompts that are leased, which means that
// they run. It is the truth about both: an engine asks it and remembers nothing of its
// own, because several engines may share a queue, and a queue may outlive its process.
// It orders waiting prompts by priority, then by arrival. It must be safe for concurrent use. It must
// not hold a lock while it calls skip, because skip may call the queue. It has seven
// methods, because each of them must be one step: none can be made of the others.
//
// A queue may also be a [SharedQueue], an [ExpiringQueue], or both. A queue that wraps another
// queue must have their methods, too, or they are lost.
type Queue interface {
	// Push adds a prompt with its secrets. Errors: [ErrDuplicate] if a prompt with the
	// same id waits or is leased; [ErrFull] if the queue has no room, or no room for this
	// client; a [*nodebus.ValidationError] with the type prompt_too_large if the queue would
	// have no room for the prompt even if it were empty; [ErrSecrets] if there are secrets and the queue cannot keep secrets.
	Push(ctx context.Context, p *nodebus.Prompt, secrets map[string]string) error
	// Take waits for the first prompt whose client is not skipped, and leases the
	// prompt. A client whose skip result is true is skipped. Take calls skip at most
	// once for each client, in the order of the clients' first prompts, so that a
	// prompt never overtakes an earlier prompt of the same client. skip must not be nil. Take
	// forgets the results of skip when it returns. It returns the error of ctx when ctx ends.
	//
	// The lease lapses after 30 seconds unless it is extended. The prompt then waits
	// again in its old place, and the next lease has an attempt number that is one
	// higher.
	Take(ctx context.Context, skip func(clientID string) bool) (Lease, error)
	// TakeOne leases the prompt with this id, if it waits, out of its turn and without a
	// question: an engine ends the prompt. It returns [ErrNotFound] if no prompt with this id
	// waits.
	TakeOne(ctx context.Context, promptID string) (Lease, error)
	// List yields the leased prompts, in the order in which they were taken, and then the
	// waiting prompts, in their order, as they are at one moment. If there are ids, it
	// yields the prompts with these ids only. A prompt that is in the queue all the time is
	// yielded exactly once. The queue must not keep copies of all prompts, and must not hold a
	// lock, while it yields: a listing may be as slow as the client that reads it.
	List(ctx context.Context, promptIDs ...string) iter.Seq2[Queued, error]
	// Move changes the priority of a waiting prompt. The prompt then waits behind all
	// prompts with the same priority. Move returns [ErrNotFound] if no prompt with this
	// id waits.
	Move(ctx context.Context, promptID string, priority float64) error
	// Delete removes waiting prompts and returns the removed prompts. It does not remove
	// leased prompts.
	Delete(ctx context.Context, promptIDs ...string) ([]*nodebus.Prompt, error)
	// Len returns the number of prompts that wait, and of prompts that are leased, at one
	// moment.
	Len(ctx context.Context) (waiting, leased int, err error)
}

// SharedQueue is a [Queue] that several processes share, and that knows the priorities of all
// prompts. Servers that number their prompts, see package comfy, ask it before each prompt, and
// continue after the prompts of other processes. With any other queue, each server counts for
// itself: if processes share the queue, the prompts of whoever has accepted fewer come first.
type SharedQueue interface {
	Queue
	// LastPriority returns the largest priority up to most of the prompts that wait, and -Inf if
	// there is none. It may leave out what other processes have pushed a moment ago. A server
	// refuses a prompt if LastPriority returns an error: any number could be before all others.
	LastPriority(ctx context.Context, most float64) (float64, error)
}

// ExpiringQueue is a [Queue] that knows which deadlines have passed. Engines ask it every 30
// seconds, to end these prompts. Any other queue is listed as often, by each engine: that is
// dear if List reads each prompt over a network.
type ExpiringQueue interface {
	Queue
	// Expired returns the ids of the prompts that wait and whose [nodebus.Policy].Deadline is
	// before now, in any order. A prompt that Expired leaves out waits beyond its deadline, unless
	// the engine that has accepted it still runs.
	Expired(ctx context.Context, now time.Time) (promptIDs []string, err error)
}

// Queued is a prompt in a [Queue].
type Queued struct {
	Prompt  *nodebus.Prompt // read-only
	Attempt int             // the attempt that runs, or that would begin next, from 1
	Leased  bool            // the prompt runs; false: it waits

	// Only [Engine.Queued] sets these, and only for prompts that its own engine runs; a
	// queue leaves them false.

	// Rests is true while a running prompt has no place, because its nodes wait for answers,
	// or for a place after an answer. No node of it computes.
	Rests bool
	// Pauses is true while a prompt that has failed waits for its next attempt, see
	// [nodebus.Policy].
	Pauses bool
}

// Lease is a prompt taken from a queue. Its methods are safe for concurrent use. A
// lease ends when it lapses, or when Done or Release is called. After the end,
// Extend, Done and Release do nothing and return [ErrLapsed], even if the prompt was
// leased again.
type Lease interface {
	// Job returns the prompt, its secrets and the attempt number, which starts at 1.
	Job() nodebus.Job
	// Extend makes the lease lapse after the duration d, counted from now. The new time
	// may be earlier than the old time. An engine uses this to attempt a prompt again
	// after d.
	Extend(ctx context.Context, d time.Duration) error
	// Done removes the prompt from the queue permanently.
	Done(ctx context.Context) error
	// Release returns the prompt to the queue: it waits in its old place, and this
	// attempt does not count.
	Release(ctx context.Context) error
}

// QueueOptions holds the limits of the queue that [NewQueue] makes. A nil pointer,
// and zero or less in any field, select the defaults. A prompt counts from Push until it is
// done or deleted: while it waits, and while it is leased, also when it rests because a
// node waits for an answer, or pauses before its next attempt.
type QueueOptions struct {
	// Len is the maximum number of prompts, waiting and leased. If the queue has Len
	// prompts, Push returns [ErrFull]. Default 10 000.
	Len int
	// Bytes is the maximum memory of all prompts, waiting and leased, in bytes, with their
	// extra data and secrets. The queue estimates it. If a prompt would exceed it, Push
	// returns [ErrFull]; and an error with the type prompt_too_large if the prompt alone would
	// exceed it, or the share of its client, see PerClient. Default 256 MiB.
	Bytes int
	// PerClient is the maximum number of prompts of one client, waiting and leased. All
	// prompts without a client id count as prompts of one client. The prompts of one client
	// can also take at most the same share of Bytes. If a prompt would exceed one of the
	// two, Push returns [ErrFull] for this client; other clients still have room. If
	// PerClient is Len, one client can fill the queue. Default: half of Len, but at least 1.
	PerClient int
}

// NewQueue returns a queue in memory: its prompts are lost when the process ends.
// The queue keeps secrets. It is safe for concurrent use. If opts is nil, the queue
// has the default limits.
func NewQueue(opts *QueueOptions) Queue {
	if opts == nil {
		opts = &QueueOptions{}
	}
	o := QueueOptions{Len: limit(opts.Len, 10_000), Bytes: limit(opts.Bytes, 256<<20)}
	o.PerClient = min(limit(opts.PerClient, max(o.Len/2, 1)), o.Len)
	share := o.Bytes
	if o.PerClient < o.Len {
		share = int(float64(o.Bytes) * float64(o.PerClient) / float64(o.Len))
	}
	return &memQueue{
		opts: o, share: share,
		byID: map[string]*queued{}, clients: map[string]load{}, changed: make(chan struct{}),
	}
}
