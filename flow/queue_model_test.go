package flow_test

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nodebus/nodebus"
	"github.com/nodebus/nodebus/flow"
	"github.com/nodebus/nodebus/internal/bubble"
	"github.com/stretchr/testify/require"
)

// TestQueueModel makes random calls of the in-memory queue and compares each result
// with a simple model: a list that is sorted and searched as a whole.
func TestQueueModel(t *testing.T) {
	seeds := 300
	if testing.Short() {
		seeds = 30
	}
	for seed := range uint64(seeds) {
		bubble.Test(t, func(t *testing.T) {
			m := newQueueModel(t, seed)
			for range 200 {
				m.step()
			}
			m.stop()
		})
	}
}

// modelPrompt is a prompt in the model.
type modelPrompt struct {
	id, client string
	priority   float64
	arrival    int
	attempt    int
	units      int // its size
	secret     string
	lapses     time.Time // zero while the prompt waits
	lease      int       // index of its lease, in order of taking
}

// modelTake is a call of Take that waits.
type modelTake struct {
	skips  map[string]bool
	cancel context.CancelFunc
	result chan flow.Lease // receives nil if Take returned an error

	mu    sync.Mutex
	asked map[string]int
}

type queueModel struct {
	t       *testing.T
	r       *rand.Rand
	q       flow.Queue
	all     []*modelPrompt
	arrival int
	leases  []flow.Lease
	take    *modelTake // at most one call waits, so that the model knows which call is served
}

// The limits of the queue. All prompts may take 11 units, and the prompts of one client 7.
// The queue gets a part of a unit more, for what it adds to each prompt.
const (
	modelLen       = 6
	modelPerClient = 4
	modelUnit      = 40_000
	modelUnits     = 11
	modelShare     = 7
)

func newQueueModel(t *testing.T, seed uint64) *queueModel {
	return &queueModel{
		t: t, r: rand.New(rand.NewPCG(seed, 0)),
		q: flow.NewQueue(&flow.QueueOptions{Len: modelLen, PerClient: modelPerClient, Bytes: modelUnits*modelUnit + modelUnit/4}),
	}
}

// room returns what the limits say about one more prompt.
func (m *queueModel) room(p *modelPrompt) error {
	n, units, own, ownUnits := 1, p.units, 1, p.units
	for _, x := range m.all {
		n, units = n+1, units+x.units
		if x.client == p.client {
			own, ownUnits = own+1, ownUnits+x.units
		}
	}
	if n > modelLen || own > modelPerClient || units > modelUnits || ownUnits > modelShare {
		return flow.ErrFull
	}
	return nil
}

// waiting returns the waiting prompts, in order.
func (m *queueModel) waiting() (ps []*modelPrompt) {
	for _, p := range m.all {
		if p.lapses.IsZero() {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *modelPrompt) int {
		return cmp.Or(cmp.Compare(a.priority, b.priority), cmp.Compare(a.arrival, b.arrival))
	})
	return ps
}

// lapse ends the lapsed leases.
func (m *queueModel) lapse() {
	for _, p := range m.all {
		if !p.lapses.IsZero() && !time.Now().Before(p.lapses) {
			p.lapses = time.Time{}
			p.attempt++
		}
	}
}

func (m *queueModel) find(id string) *modelPrompt {
	for _, p := range m.all {
		if p.id == id {
			return p
		}
	}
	return nil
}

func (m *queueModel) step() {
	m.lapse()
	switch m.r.IntN(12) {
	case 0, 1, 2, 10:
		m.push()
	case 3, 4:
		if m.take == nil {
			m.startTake()
		} else if m.r.IntN(4) == 0 {
			m.cancelTake()
		}
	case 5, 6:
		m.useLease()
	case 7:
		m.delete()
	case 8:
		m.list()
		m.len()
	case 11:
		m.move()
	case 9:
		m.sleep(time.Duration(m.r.IntN(20)) * time.Second)
	}
	m.settle()
}

func (m *queueModel) push() {
	p := &modelPrompt{
		id: fmt.Sprint(m.r.IntN(12)), client: fmt.Sprint("client ", m.r.IntN(3)),
		priority: float64(m.r.IntN(3)), attempt: 1, secret: fmt.Sprint(m.r.Int()), units: m.r.IntN(4),
	}
	pushed := &nodebus.Prompt{ID: p.id, ClientID: p.client, Priority: p.priority, Extra: map[string]any{"x": strings.Repeat("x", p.units*modelUnit)}}
	err := m.q.Push(m.t.Context(), pushed, map[string]string{"s": p.secret})
	old := m.find(p.id)
	switch {
	case old != nil:
		require.ErrorIs(m.t, err, flow.ErrDuplicate)
		return
	case m.room(p) != nil:
		require.ErrorIs(m.t, err, flow.ErrFull)
		return
	}
	require.NoError(m.t, err)
	m.arrival++
	p.arrival = m.arrival
	m.all = append(m.all, p)
}

func (m *queueModel) drop(p *modelPrompt) {
	m.all = slices.DeleteFunc(m.all, func(x *modelPrompt) bool { return x == p })
}

func (m *queueModel) startTake() {
	ctx, cancel := context.WithCancel(m.t.Context())
	take := &modelTake{
		skips: map[string]bool{"client 0": m.r.IntN(2) == 0, "client 1": m.r.IntN(2) == 0, "client 2": m.r.IntN(4) == 0},
		asked: map[string]int{}, cancel: cancel, result: make(chan flow.Lease, 1),
	}
	m.take = take
	go func() {
		lease, err := m.q.Take(ctx, func(client string) bool {
			take.mu.Lock()
			defer take.mu.Unlock()
			take.asked[client]++
			return take.skips[client]
		})
		if err != nil {
			lease = nil
		}
		take.result <- lease
	}()
}

// settle checks that the waiting Take was served if, and only if, a prompt can be
// taken.
func (m *queueModel) settle() {
	if m.take == nil {
		return
	}
	synctest.Wait()
	m.lapse()
	m.take.mu.Lock()
	for client, n := range m.take.asked {
		require.Equal(m.t, 1, n, "asked about %s twice", client)
	}
	m.take.mu.Unlock()
	for _, p := range m.waiting() {
		if m.take.skips[p.client] {
			continue
		}
		require.Len(m.t, m.take.result, 1, "Take waits although prompt %s waits", p.id)
		lease := <-m.take.result
		require.NotNil(m.t, lease)
		job := lease.Job()
		require.Equal(m.t, []any{p.id, p.client, p.attempt, p.secret}, []any{job.Prompt.ID, job.Prompt.ClientID, job.Attempt, job.Secrets["s"]})
		p.lapses = time.Now().Add(30 * time.Second)
		p.lease = len(m.leases)
		m.leases = append(m.leases, lease)
		m.take.cancel()
		m.take = nil
		return
	}
	require.Empty(m.t, m.take.result, "Take returned although every prompt is skipped")
}

func (m *queueModel) cancelTake() {
	m.take.cancel()
	require.Nil(m.t, <-m.take.result)
	m.take = nil
}

// useLease calls a random method of one of the last leases.
func (m *queueModel) useLease() {
	if len(m.leases) == 0 {
		return
	}
	n := len(m.leases) - 1 - m.r.IntN(min(len(m.leases), 6))
	var p *modelPrompt
	for _, x := range m.all {
		if !x.lapses.IsZero() && x.lease == n {
			p = x
		}
	}
	d := time.Duration(m.r.IntN(60)-2) * time.Second
	method := m.r.IntN(4)
	var err error
	switch method {
	case 0:
		err = m.leases[n].Done(m.t.Context())
	case 1:
		err = m.leases[n].Release(m.t.Context())
	default:
		err = m.leases[n].Extend(m.t.Context(), d)
	}
	if p == nil {
		require.ErrorIs(m.t, err, flow.ErrLapsed)
		return
	}
	require.NoError(m.t, err)
	switch method {
	case 0:
		m.drop(p)
	case 1:
		p.lapses = time.Time{}
	default:
		p.lapses = time.Now().Add(d)
	}
}

func (m *queueModel) delete() {
	ids := []string{fmt.Sprint(m.r.IntN(12)), fmt.Sprint(m.r.IntN(12)), "nobody"}
	want := map[string]bool{}
	for _, p := range m.waiting() {
		if slices.Contains(ids, p.id) {
			want[p.id] = true
			m.drop(p)
		}
	}
	gone, err := m.q.Delete(m.t.Context(), ids...)
	require.NoError(m.t, err)
	var got []string
	for _, p := range gone {
		got = append(got, p.ID)
	}
	require.ElementsMatch(m.t, slices.Collect(maps.Keys(want)), got)
}

// list compares the listing of all prompts, and of some. Sometimes the reader changes the
// queue while it reads.
func (m *queueModel) list() {
	waiting, leased := m.waiting(), m.leased()
	want := []string{}
	for _, p := range slices.Concat(leased, waiting) {
		want = append(want, fmt.Sprint(p.id, " ", !p.lapses.IsZero(), " ", p.attempt, " ", p.priority))
	}
	require.Equal(m.t, want, m.listed())

	ids := []string{fmt.Sprint(m.r.IntN(12)), fmt.Sprint(m.r.IntN(12)), "nobody", fmt.Sprint(m.r.IntN(12))}
	want = slices.DeleteFunc(want, func(line string) bool { return !slices.Contains(ids, strings.Fields(line)[0]) })
	require.Equal(m.t, want, m.listed(append(ids, ids[0])...), "%q", ids)
}

func (m *queueModel) listed(ids ...string) []string {
	lines := []string{}
	for p, err := range m.q.List(m.t.Context(), ids...) {
		require.NoError(m.t, err)
		lines = append(lines, fmt.Sprint(p.Prompt.ID, " ", p.Leased, " ", p.Attempt, " ", p.Prompt.Priority))
	}
	return lines
}

// leased returns the leased prompts, in the order in which they were taken.
func (m *queueModel) leased() (ps []*modelPrompt) {
	for _, p := range m.all {
		if !p.lapses.IsZero() {
			ps = append(ps, p)
		}
	}
	slices.SortFunc(ps, func(a, b *modelPrompt) int { return cmp.Compare(a.lease, b.lease) })
	return ps
}

func (m *queueModel) len() {
	waiting, leased, err := m.q.Len(m.t.Context())
	require.NoError(m.t, err)
	require.Equal(m.t, []int{len(m.waiting()), len(m.leased())}, []int{waiting, leased})
}

func (m *queueModel) move() {
	id, priority := fmt.Sprint(m.r.IntN(12)), float64(m.r.IntN(3))
	err := m.q.Move(m.t.Context(), id, priority)
	p := m.find(id)
	if p == nil || !p.lapses.IsZero() {
		require.ErrorIs(m.t, err, flow.ErrNotFound)
		return
	}
	require.NoError(m.t, err)
	m.arrival++
	p.arrival, p.priority = m.arrival, priority
}

// sleep waits from one lapse to the next, so that settle can check the Take at each
// lapse.
func (m *queueModel) sleep(d time.Duration) {
	for end := time.Now().Add(d); ; {
		next := end
		for _, p := range m.all {
			if !p.lapses.IsZero() && p.lapses.Before(next) {
				next = p.lapses
			}
		}
		time.Sleep(time.Until(next))
		m.lapse()
		m.settle()
		if !next.Before(end) {
			return
		}
	}
}

func (m *queueModel) stop() {
	if m.take != nil {
		m.cancelTake()
	}
}
