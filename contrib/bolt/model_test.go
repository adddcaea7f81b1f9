package bolt_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/contrib/bolt"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// parts are the parts of a file, or the parts in memory that must agree with them.
type parts struct {
	queue   flow.Queue
	store   flow.Store
	signals flow.Signals
	leases  []flow.Lease // in the order of their Take; nil for a lease that has ended
}

// both makes the same random calls to a file and to parts in memory.
type both struct {
	t           *testing.T
	r           *rand.Rand
	path        string
	opts        *bolt.Options
	db          *bolt.DB
	file, model parts
	n           int // number of prompts
}

func newBoth(t *testing.T, seed uint64) *both {
	opts := withKey()
	opts.Queue = &flow.QueueOptions{Len: 12}
	opts.Store = &flow.StoreOptions{Len: 6}
	opts.Signals = &flow.SignalsOptions{PromptLen: 5}
	b := &both{t: t, r: rand.New(rand.NewPCG(seed, 0)), path: newPath(t), opts: opts}
	b.db = open(t, b.path, opts)
	b.file = partsOf(b.db)
	b.model = parts{flow.NewQueue(opts.Queue), flow.NewStore(opts.Store), flow.NewSignals(opts.Signals), nil}
	return b
}

func partsOf(db *bolt.DB) parts { return parts{db.Queue(), db.Store(), db.Signals(), nil} }

// TestModel makes random calls of a file that is opened again and again, and compares all
// that it says with parts in memory.
func TestModel(t *testing.T) {
	seeds := uint64(25)
	if *long {
		seeds = 400
	}
	for seed := range seeds {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			b := newBoth(t, seed)
			for range 120 {
				b.step()
			}
			b.reopen()
			b.compare()
		})
	}
}

func (b *both) id(prefix string) string { return fmt.Sprint(prefix, b.r.IntN(8)) }

// step makes one call of each side and compares the results.
func (b *both) step() {
	ctx := b.t.Context()
	switch b.r.IntN(12) {
	case 0, 1, 2:
		p := b.prompt()
		secrets := map[string]string{}
		if b.r.IntN(2) == 0 {
			secrets["KEY"] = p.ID
		}
		b.agree("push", func(x *parts) (any, error) { return nil, x.queue.Push(ctx, p, secrets) })
	case 3, 4:
		b.take()
	case 5, 6:
		b.lease()
	case 7:
		id, priority := b.id("p"), float64(b.r.IntN(3))
		b.agree("move", func(x *parts) (any, error) { return nil, x.queue.Move(ctx, id, priority) })
	case 8:
		ids := []string{b.id("p"), b.id("p")}
		b.agree("delete", func(x *parts) (any, error) { return x.queue.Delete(ctx, ids...) })
	case 9:
		b.record()
	case 10:
		b.signal()
	case 11:
		if b.r.IntN(3) == 0 {
			b.reopen()
		}
		b.compare()
	}
}

func (b *both) prompt() *nodebus.Prompt {
	b.n++
	return &nodebus.Prompt{
		ID: b.id("p"), ClientID: b.id("c"), Priority: float64(b.r.IntN(3)), Nodes: nodebus.Nodes{},
		Extra: map[string]any{"n": float64(b.n), "big": json.Number("9223372036854775809")},
	}
}

func (b *both) take() {
	waiting, _, err := b.model.queue.Len(b.t.Context())
	require.NoError(b.t, err)
	if waiting == 0 {
		return
	}
	b.agree("take", func(x *parts) (any, error) {
		var asked []string
		l, err := x.queue.Take(b.t.Context(), func(client string) bool { asked = append(asked, client); return false })
		x.leases = append(x.leases, l)
		return []any{l.Job(), asked}, err
	})
}

// lease ends a lease, or lets it lapse.
func (b *both) lease() {
	if len(b.model.leases) == 0 {
		return
	}
	at, what := b.r.IntN(len(b.model.leases)), b.r.IntN(4)
	b.agree("lease", func(x *parts) (any, error) {
		l, ctx := x.leases[at], b.t.Context()
		switch what {
		case 0:
			return nil, l.Release(ctx)
		case 1:
			return nil, l.Extend(ctx, 0)
		}
		return nil, l.Done(ctx)
	})
}

func (b *both) record() {
	ctx, id := b.t.Context(), b.id("r")
	switch b.r.IntN(4) {
	case 0:
		b.agree("remove", func(x *parts) (any, error) { return nil, x.store.Delete(ctx, id, "nobody") })
	default:
		r := flow.Record{Prompt: &nodebus.Prompt{ID: id, Nodes: nodebus.Nodes{}}, Attempt: b.r.IntN(100), State: nodebus.Succeeded}
		b.agree("put", func(x *parts) (any, error) { return nil, x.store.Put(ctx, r) })
	}
}

func (b *both) signal() {
	ctx, id := b.t.Context(), b.id("s")
	s := flow.Signal{PromptID: id, Node: fmt.Sprint(b.r.IntN(100)), Answer: json.RawMessage(`1`)}
	refuses := b.r.IntN(5) == 0
	switch b.r.IntN(6) {
	case 0:
		b.agree("drop", func(x *parts) (any, error) { return nil, x.signals.Drop(ctx, id) })
		return
	case 1:
		s = flow.Signal{PromptID: id, Interrupt: true}
	}
	b.agree("send", func(x *parts) (any, error) {
		if refuses {
			seen := 0
			stop, err := x.signals.Receive(id, func(flow.Signal) error { seen++; return errRefused })
			require.NoError(b.t, err)
			defer stop()
		}
		return nil, x.signals.Send(ctx, s)
	})
}

var errRefused = errors.New("refused")

// agree compares a call of both sides.
func (b *both) agree(what string, call func(x *parts) (any, error)) {
	b.t.Helper()
	want, wantErr := call(&b.model)
	got, err := call(&b.file)
	require.Equal(b.t, jsonOf(want), jsonOf(got), what)
	for _, known := range []error{flow.ErrDuplicate, flow.ErrFull, flow.ErrNotFound, flow.ErrLapsed, errRefused} {
		require.Equal(b.t, errors.Is(wantErr, known), errors.Is(err, known), "%s: %v and %v", what, wantErr, err)
	}
	require.Equal(b.t, wantErr == nil, err == nil, "%s: %v and %v", what, wantErr, err)
}

// reopen opens the file again. In memory, all leases lapse.
func (b *both) reopen() {
	require.NoError(b.t, b.db.Close())
	b.db = open(b.t, b.path, b.opts)
	b.file = partsOf(b.db)
	for _, l := range b.model.leases {
		_ = l.Extend(b.t.Context(), 0)
	}
	b.model.leases = nil
}

// compare compares all that both sides have.
func (b *both) compare() {
	b.t.Helper()
	ctx := b.t.Context()
	b.agree("queue", func(x *parts) (any, error) { return all(x.queue.List(ctx)) })
	b.agree("some", func(x *parts) (any, error) { return all(x.queue.List(ctx, "p1", "p5")) })
	b.agree("len", func(x *parts) (any, error) {
		waiting, leased, err := x.queue.Len(ctx)
		return []int{waiting, leased}, err
	})
	b.agree("records", func(x *parts) (any, error) { return all(x.store.List(ctx)) })
	for i := range 8 {
		b.agree("record", func(x *parts) (any, error) { return one(x.store.Get(ctx, fmt.Sprint("r", i))) })
		b.agree("signals", func(x *parts) (any, error) {
			got := []flow.Signal{}
			stop, err := x.signals.Receive(fmt.Sprint("s", i), func(s flow.Signal) error { got = append(got, s); return nil })
			stop()
			return got, err
		})
	}
}

func one(r flow.Record, err error) (any, error) { return []flow.Record{r}, err }

func all[T any](list func(func(T, error) bool)) (any, error) {
	values := []T{}
	for v, err := range list {
		if err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	return values, nil
}
