package nodebus_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/nodebus/nodebus"
	"github.com/stretchr/testify/require"
)

// snapshotKeeper keeps the snapshots of a tracker, together with their nodes at the time
// when they were published.
type snapshotKeeper struct {
	snapshots []nodebus.ProgressState
	nodes     [][]nodebus.NodeState
}

func (k *snapshotKeeper) Publish(ev nodebus.Event) error {
	if p, ok := ev.Payload.(nodebus.ProgressState); ok {
		k.snapshots = append(k.snapshots, p)
		k.nodes = append(k.nodes, p.Nodes())
	}
	return nil
}

func (k *snapshotKeeper) last() []nodebus.NodeState {
	if len(k.nodes) == 0 {
		return []nodebus.NodeState{}
	}
	return k.nodes[len(k.nodes)-1]
}

// naiveTracker computes what the last snapshot must contain.
type naiveTracker struct{ nodes []nodebus.NodeState }

func (m *naiveTracker) set(at nodebus.Place, state string, change func(n *nodebus.NodeState)) {
	for i := range m.nodes {
		if m.nodes[i].UniqueID == at.UniqueID {
			m.nodes[i].State = state
			change(&m.nodes[i])
			return
		}
	}
	n := nodebus.NodeState{Place: at.WithDefaults(), Max: 1, State: state}
	change(&n)
	m.nodes = append(m.nodes, n)
}

func (m *naiveTracker) end(failed string) {
	kept := []nodebus.NodeState{}
	for _, n := range m.nodes {
		if n.State == "running" && n.UniqueID != failed {
			continue
		}
		if n.State == "running" {
			n.State = "error"
		}
		kept = append(kept, n)
	}
	m.nodes = kept
}

// TestSnapshotsNeverChange: the snapshots of a tracker share memory. Each snapshot must be
// right when it is published, and must stay as it was, whatever happens to the tracker and
// to the prompt later. Its JSON must be the same as without sharing.
func TestSnapshotsNeverChange(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		p := &nodebus.Prompt{ID: "p", Nodes: make(nodebus.Nodes, 4)}
		places := make([]nodebus.Place, len(p.Nodes))
		for i := range p.Nodes {
			p.Nodes[i].ID = fmt.Sprint(i)
			places[i].UniqueID = p.Nodes[i].ID
		}
		keeper, model := &snapshotKeeper{}, &naiveTracker{}
		tr := nodebus.NewTracker(&nodebus.Job{Prompt: p}, keeper)
		runs := map[int]bool{}
		for range 30 {
			n := r.IntN(len(places))
			switch at := places[n]; r.IntN(4) {
			case 0:
				runs[n] = true
				tr.Begin(n)
				model.set(at, "running", func(s *nodebus.NodeState) { s.Value, s.Max = 0, 1 })
			case 1:
				v, most := float64(r.IntN(5)), float64(r.IntN(5))
				if err := tr.Progress(n, v, most); !runs[n] {
					require.ErrorIs(t, err, nodebus.ErrClosed)
					continue
				}
				model.set(at, "running", func(s *nodebus.NodeState) { s.Value, s.Max = min(v, most), most })
			case 2:
				runs[n] = false
				tr.Finish(n)
				model.set(at, "finished", func(s *nodebus.NodeState) { s.Value = s.Max })
			case 3:
				made := nodebus.Place{UniqueID: fmt.Sprint("0.", len(places)), DisplayID: "0", ParentID: "0"}
				require.Equal(t, len(places), tr.Add(made))
				places = append(places, made)
			}
			require.Equal(t, model.last(), keeper.last(), "seed %d", seed)
		}
		var err error
		if r.IntN(2) == 0 {
			failed := places[r.IntN(len(places))]
			err = &nodebus.NodeError{Place: failed, Err: errors.New("failed")}
			model.end(failed.UniqueID)
		}
		tr.Close(err)
		require.Equal(t, model.last(), keeper.last(), "seed %d", seed)
		clear(p.Nodes)
		for i, s := range keeper.snapshots {
			require.Equal(t, keeper.nodes[i], s.Nodes(), "seed %d", seed)
			want, err := json.Marshal(nodebus.ProgressState{PromptID: "p"}.With(s.Nodes()...))
			require.NoError(t, err)
			got, err := json.Marshal(s)
			require.NoError(t, err)
			require.Equal(t, string(want), string(got), "seed %d", seed)
		}
	}
}

func (m *naiveTracker) last() []nodebus.NodeState { return append([]nodebus.NodeState{}, m.nodes...) }

// TestWithCopiesItsNodes: nobody can change a ProgressState through the lists that go in
// and come out.
func TestWithCopiesItsNodes(t *testing.T) {
	nodes := []nodebus.NodeState{{State: "running"}}
	p := nodebus.ProgressState{PromptID: "p"}.With(nodes...)
	more := p.With(nodebus.NodeState{State: "error"})
	nodes[0].State = "spoiled"
	p.Nodes()[0].State = "spoiled"
	require.Equal(t, []nodebus.NodeState{{State: "running"}}, p.Nodes())
	require.Equal(t, []nodebus.NodeState{{State: "running"}, {State: "error"}}, more.Nodes())
	require.Equal(t, "p", more.PromptID)
	require.Empty(t, nodebus.ProgressState{}.Nodes())
}
