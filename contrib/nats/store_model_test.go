package nats_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nodebus/nodebus/contrib/nats"
	"github.com/nodebus/nodebus/flow"
	"github.com/stretchr/testify/require"
)

// modelSeeds returns how often random calls are compared with a model.
func modelSeeds() uint64 {
	if testing.Short() {
		return 2
	}
	return 4
}

// TestStoreModel makes random calls at two processes, which close and open again, and
// compares all that they say with a store in memory.
func TestStoreModel(t *testing.T) {
	for seed := range modelSeeds() {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 0))
			opts := nats.Options{Name: newName(), Store: &flow.StoreOptions{Len: 6}}
			buses := []*nats.Bus{open(t, shared, opts), open(t, shared, opts)}
			model := flow.NewStore(opts.Store)
			for n := range 120 {
				i, id := r.IntN(2), fmt.Sprint("p", r.IntN(10))
				s := buses[i].Store()
				switch r.IntN(12) {
				case 0, 1, 2, 3, 4:
					x := ended(id, n, 10)
					require.NoError(t, model.Put(t.Context(), x))
					require.NoError(t, s.Put(t.Context(), x))
				case 5, 6:
					more := fmt.Sprint("p", r.IntN(10))
					require.NoError(t, model.Delete(t.Context(), id, "nobody", more))
					require.NoError(t, s.Delete(t.Context(), id, "nobody", more))
				case 7, 8, 9:
					want, wantErr := model.Get(t.Context(), id)
					got, err := s.Get(t.Context(), id)
					require.Equal(t, errors.Is(wantErr, flow.ErrNotFound), errors.Is(err, flow.ErrNotFound), "%v", err)
					require.Equal(t, text(want), text(got))
				case 10:
					require.NoError(t, buses[i].Close())
					buses[i] = open(t, shared, opts)
				}
				require.Equal(t, recordsOf(t, model), recordsOf(t, buses[r.IntN(2)].Store()), "step %d", n)
			}
		})
	}
}

func text(v any) string {
	data, _ := json.Marshal(v)
	return string(data)
}

// sides are signals in memory, and the same signals of two processes. Their receivers
// remember what they got.
type sides struct {
	model flow.Signals
	buses []*nats.Bus
	stops map[string][]func() // of the newest receivers, by prompt
	want  []string            // what receivers of the model got
	got   []string            // what receivers of the processes got
}

// TestSignalsModel makes random calls at two processes, which close and open again, and
// compares all that they do with signals in memory.
func TestSignalsModel(t *testing.T) {
	for seed := range modelSeeds() {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(seed, 1))
			opts := nats.Options{Name: newName(), Signals: &flow.SignalsOptions{PromptLen: 5, Bytes: 2200}}
			x := &sides{model: flow.NewSignals(opts.Signals), buses: []*nats.Bus{open(t, shared, opts), open(t, shared, opts)}, stops: map[string][]func(){}}
			for n := range 150 {
				i, id := r.IntN(2), string("abc"[r.IntN(3)])
				switch r.IntN(16) {
				case 0, 1, 2, 3, 4, 5, 6, 7:
					x.send(t, i, flow.Signal{PromptID: id, Interrupt: r.IntN(5) == 0, Name: fmt.Sprint(n)})
				case 8, 9, 10:
					x.receive(t, i, id, r.IntN(3) == 0)
				case 11, 12:
					for _, stop := range x.stops[id] {
						stop()
					}
				case 13, 14:
					require.NoError(t, x.model.Drop(t.Context(), id))
					require.NoError(t, x.buses[i].Signals().Drop(t.Context(), id))
				case 15:
					for _, id := range []string{"a", "b", "c"} { // Close ends receivers
						for _, stop := range x.stops[id] {
							stop()
						}
					}
					require.NoError(t, x.buses[i].Close())
					x.buses[i] = open(t, shared, opts)
				}
				require.Equal(t, x.want, x.got, "step %d", n)
			}
		})
	}
}

func (x *sides) send(t *testing.T, i int, s flow.Signal) {
	if s.Interrupt {
		s = flow.Signal{PromptID: s.PromptID, Interrupt: true}
	}
	for _, bus := range x.buses { // a process counts what it has read
		require.NoError(t, nats.CatchUpSignals(t.Context(), bus.Signals()))
	}
	want, err := x.model.Send(t.Context(), s), x.buses[i].Signals().Send(t.Context(), s)
	require.Equal(t, want == nil, err == nil, "%v and %v", want, err)
	if want != nil {
		require.EqualError(t, err, want.Error())
	}
	for _, known := range []error{flow.ErrFull, flow.ErrAnswer} {
		require.Equal(t, errors.Is(want, known), errors.Is(err, known))
	}
}

func (x *sides) receive(t *testing.T, i int, id string, refuses bool) {
	f := func(all *[]string) func(flow.Signal) error {
		return func(s flow.Signal) error {
			*all = append(*all, text(s))
			if refuses {
				return flow.ErrAnswer
			}
			return nil
		}
	}
	stop, err := x.model.Receive(id, f(&x.want))
	require.NoError(t, err)
	other, err := x.buses[i].Signals().Receive(id, f(&x.got))
	require.NoError(t, err)
	for _, old := range slices.Clone(x.stops[id]) {
		old() // stopping a receiver that is replaced changes nothing
	}
	x.stops[id] = []func(){stop, other}
}
