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

// StoreStream returns the stream of a store.
func StoreStream(s flow.Store) jetstream.Stream { return s.(*recordStore).stream }

// OldOrphans returns the parts that a store deletes that reads parts of these times.
func OldOrphans(parts map[string]time.Time) []string {
	s := &recordStore{name: "S", byToken: map[string]*recordAt{}, orphans: map[string]time.Time{}}
	for _, subject := range slices.SortedFunc(maps.Keys(parts), func(a, b string) int { return parts[a].Compare(parts[b]) }) {
		s.part(subject, parts[subject])
	}
	return s.oldOrphans()
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

// ForgetVoids forgets what signals would forget at a later time.
func ForgetVoids(s flow.Signals, later time.Duration) {
	x := s.(*signals)
	x.mu.Lock()
	defer x.mu.Unlock()
	x.forgetVoids(time.Now().Add(later))
}
