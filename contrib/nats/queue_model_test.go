package nats_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// both makes the same random calls to a queue with several connections and to a queue in memory.
type both struct {
	t      *testing.T
	r      *rand.Rand
	opts   nats.Options
	open   func(t *testing.T, opts nats.Options) *nats.Bus
	shared []*nats.Bus
	model  flow.Queue
	leases [][2]flow.Lease // of a connection, and of the model
	n      int
}

// TestQueueModel makes random calls on two connections in turn. One of them is opened again
// and again. After each call, both say what a queue in memory says.
func TestQueueModel(t *testing.T) {
	seeds := uint64(8)
	switch {
	case *long:
		seeds = 200
	case testing.Short():
		seeds = 3
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			b := &both{
				t: t, r: rand.New(rand.NewPCG(seed, 0)), opts: withKey(),
				open: func(t *testing.T, opts nats.Options) *nats.Bus { return open(t, shared, opts) },
			}
			b.run()
		})
	}
}

// run makes the calls.
func (b *both) run() {
	b.opts.Queue = &flow.QueueOptions{Len: 12}
	b.model = flow.NewQueue(b.opts.Queue)
	b.shared = []*nats.Bus{b.open(b.t, b.opts), b.open(b.t, b.opts)}
	for range 120 {
		b.step()
	}
	b.compare()
}

func (b *both) id() string { return fmt.Sprint("p ", b.r.IntN(8)) }

// any returns one of the connections, which knows what the others have stored.
func (b *both) any() flow.Queue {
	q := b.shared[b.r.IntN(len(b.shared))].Queue()
	require.NoError(b.t, nats.CatchUp(b.t.Context(), q))
	return q
}

func (b *both) step() {
	ctx := b.t.Context()
	switch b.r.IntN(10) {
	case 0, 1, 2:
		b.n++
		p := &nodebus.Prompt{
			ID: b.id(), ClientID: fmt.Sprint("c", b.r.IntN(4)), Priority: float64(b.r.IntN(3)), Nodes: nodebus.Nodes{},
			Extra: map[string]any{"n": float64(b.n), "big": json.Number("9223372036854775809")},
		}
		secrets := map[string]string{}
		if b.r.IntN(2) == 0 {
			secrets["KEY"] = p.ID
		}
		b.agree("push", func(q flow.Queue) (any, error) { return nil, q.Push(ctx, p, secrets) })
	case 3, 4:
		b.take()
	case 5, 6:
		b.lease()
	case 7:
		id, priority := b.id(), float64(b.r.IntN(3))
		b.agree("move", func(q flow.Queue) (any, error) { return nil, q.Move(ctx, id, priority) })
	case 8:
		ids := []string{b.id(), b.id()}
		b.agree("delete", func(q flow.Queue) (any, error) { return q.Delete(ctx, ids...) })
	case 9:
		if b.r.IntN(3) == 0 { // the leases of this connection stay, because it has no node
			require.NoError(b.t, b.shared[1].Close())
			b.shared[1] = b.open(b.t, b.opts)
			b.leases = nil // some of them cannot be used any more
		}
		b.compare()
	}
}

// take takes the first prompt, or one by its id.
func (b *both) take() {
	waiting, _, err := b.model.Len(b.t.Context())
	require.NoError(b.t, err)
	one, id := b.r.IntN(3) == 0, b.id()
	if waiting == 0 {
		return
	}
	pair := [2]flow.Lease{}
	at := 1
	b.agree("take", func(q flow.Queue) (_ any, err error) {
		var asked []string
		if one {
			pair[at], err = q.TakeOne(b.t.Context(), id)
		} else {
			pair[at], err = q.Take(b.t.Context(), func(client string) bool { asked = append(asked, client); return false })
		}
		l := pair[at]
		at--
		if err != nil {
			return nil, err
		}
		// On a slow machine, the lease must not lapse on one side only.
		return []any{l.Job(), asked}, l.Extend(b.t.Context(), time.Hour)
	})
	if pair[0] != nil {
		b.leases = append(b.leases, pair)
	}
}

// lease ends a lease, or lets it lapse.
func (b *both) lease() {
	if len(b.leases) == 0 {
		return
	}
	pair, what := b.leases[b.r.IntN(len(b.leases))], b.r.IntN(4)
	at := 1
	b.agree("lease", func(flow.Queue) (any, error) {
		l, ctx := pair[at], b.t.Context()
		at--
		switch what {
		case 0:
			return nil, l.Release(ctx)
		case 1:
			return nil, l.Extend(ctx, 0)
		}
		return nil, l.Done(ctx)
	})
}

// agree compares a call of the model, and then of a connection.
func (b *both) agree(what string, call func(flow.Queue) (any, error)) {
	b.t.Helper()
	want, wantErr := call(b.model)
	got, err := call(b.any())
	require.Equal(b.t, jsonOf(want), jsonOf(got), what)
	for _, known := range []error{flow.ErrDuplicate, flow.ErrFull, flow.ErrNotFound, flow.ErrLapsed} {
		require.Equal(b.t, errors.Is(wantErr, known), errors.Is(err, known), "%s: %v and %v", what, wantErr, err)
	}
	require.Equal(b.t, wantErr == nil, err == nil, "%s: %v and %v", what, wantErr, err)
}

// compare compares all that the connections and the model have.
func (b *both) compare() {
	b.t.Helper()
	ctx := b.t.Context()
	for range b.shared {
		b.agree("list", func(q flow.Queue) (any, error) { return all(q.List(ctx)) })
		b.agree("some", func(q flow.Queue) (any, error) { return all(q.List(ctx, "p 1", "p 5", "p 1")) })
		b.agree("len", func(q flow.Queue) (any, error) {
			waiting, leased, err := q.Len(ctx)
			return []int{waiting, leased}, err
		})
	}
}

func jsonOf(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(text)
}

func all[T any](list iter.Seq2[T, error]) (any, error) {
	values := []T{}
	for v, err := range list {
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
