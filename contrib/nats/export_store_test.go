package nats

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/nodebus/nodebus/flow"
)

// CatchUpSignals waits until signals have read what any process has stored.
func CatchUpSignals(ctx context.Context, s flow.Signals) error { return s.(*signals).barrier(ctx) }

// SetOrphanTime sets the age from which parts without a record are deleted, and returns
// a function that sets it back.
func SetOrphanTime(d time.Duration) (back func()) {
	before := orphanTime
	orphanTime = d
	return func() { orphanTime = before }
}

// OrderDrop tells all processes that the signals of a prompt are dropped, and does not
// delete them, as a process does that is killed then.
func OrderDrop(ctx context.Context, s flow.Signals, promptID string) error {
	_, err := s.(*signals).order(ctx, token(promptID), &letter{Drop: true})
	return err
}

// Left returns how many boxes, bytes and receivers signals have.
func Left(s flow.Signals) (boxes, bytes, receivers int) {
	x := s.(*signals)
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, b := range x.boxes {
		if b.receiver != nil {
			receivers++
		}
	}
	return len(x.boxes), x.bytes, receivers
}

// FailHeads makes the stream of a store take parts of records only, or everything again.
func FailHeads(s flow.Store, fail bool) error {
	x := s.(*recordStore)
	cfg := x.stream.CachedInfo().Config
	cfg.Subjects = []string{x.name + ".*.r", partSubjects(x.name)}
	if fail {
		cfg.Subjects = cfg.Subjects[1:]
	}
	_, err := x.b.js.UpdateStream(context.Background(), cfg)
	return err
}

// PartsOf returns how many parts a record has.
func PartsOf(s flow.Store, promptID string) int {
	x, _ := s.(*recordStore).known(token(promptID))
	return x.Parts
}

// StoreStream returns the stream of a store.
func StoreStream(s flow.Store) jetstream.Stream { return s.(*recordStore).stream }

// OldOrphans returns the parts that a store deletes that reads parts of these times.
func OldOrphans(parts map[string]time.Time) []string {
	s := &recordStore{name: "S", byToken: map[string]*recordAt{}, orphans: map[string]orphanPart{}}
	for _, subject := range slices.SortedFunc(maps.Keys(parts), func(a, b string) int { return parts[a].Compare(parts[b]) }) {
		s.part(subject, 0, parts[subject])
	}
	return slices.Sorted(maps.Keys(s.oldOrphans()))
}

// Joining is a receiver whose Receive stands between two steps.
type Joining struct{ r *receiver }

// Join makes a function the receiver of a prompt in this process, and does no more.
func Join(s flow.Signals, promptID string, f func(flow.Signal) error) (*Joining, error) {
	r := s.(*signals).newReceiver(promptID, f)
	return &Joining{r}, r.s.join(r)
}

// Listen lets the receiver hear other processes.
func (j *Joining) Listen() error { return j.r.s.listen(j.r) }

// Drained reports whether no further question comes to the receiver.
func (j *Joining) Drained() bool {
	j.r.s.mu.Lock()
	defer j.r.s.mu.Unlock()
	return j.r.drained
}

// OrderVoid says that a signal is not kept, as a Send does that has failed.
func OrderVoid(ctx context.Context, s flow.Signals, promptID, id string) error {
	_, err := s.(*signals).order(ctx, token(promptID), &letter{ID: id, Void: true})
	return err
}

// SetMaxVoids sets how many ids that are not kept a process remembers, and returns a function
// that sets it back.
func SetMaxVoids(n int) (back func()) {
	before := maxVoids
	maxVoids = n
	return func() { maxVoids = before }
}

// MaxOrders is how many messages of a process and a prompt say that signals are not kept.
const MaxOrders = maxOrders

// Voids returns how many ids that are not kept signals remember.
func Voids(s flow.Signals) int {
	x := s.(*signals)
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.voids)
}

// SignalsStream returns the stream of signals.
func SignalsStream(s flow.Signals) jetstream.Stream { return s.(*signals).stream }

// Erase deletes a message that must be a signal.
func Erase(ctx context.Context, s flow.Signals, promptID, id string, seq uint64) {
	s.(*signals).erase(ctx, token(promptID), id, seq)
}

// ForgetVoids forgets what signals would forget at a later time.
func ForgetVoids(s flow.Signals, later time.Duration) {
	x := s.(*signals)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forgetVoids(time.Now().Add(later))
}
