package golden_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// mode selects where a scenario is replayed. A deviation may apply to several modes.
type mode uint

const (
	core   mode = 1 << iota // on an engine and a hub
	safe                    // on a server, over HTTP and WebSocket
	legacy                  // on a server with Options.LegacyBroadcasts

	served   = safe | legacy
	isolated = core | safe
	anywhere = core | served
)

// TestGolden replays the recorded scenarios of the reference server on an engine and
// a hub. It compares the messages of each client and the response to each request.
// Every difference that is not in deviations is an error. Scenarios without a prompt
// test only a server, so they do not run here.
func TestGolden(t *testing.T) {
	compare(t, core, func(tr *trace) bool { return len(tr.Prompts) > 0 })
}

// TestGoldenServer does the same on a server, over HTTP and WebSocket.
func TestGoldenServer(t *testing.T) {
	compare(t, safe, func(*trace) bool { return true })
}

// TestGoldenLegacyBroadcasts does the same on a server that broadcasts as much as
// the reference does.
func TestGoldenLegacyBroadcasts(t *testing.T) {
	compare(t, legacy, func(*trace) bool { return true })
}

func compare(t *testing.T, m mode, concerns func(*trace) bool) {
	traces := slices.DeleteFunc(loadTraces(t), func(tr *trace) bool { return !concerns(tr) })
	applied := make([]int, len(deviations))
	all := true
	for _, tr := range traces {
		ran := false
		t.Run(tr.Name, func(t *testing.T) {
			ran = true
			want := tr.recorded(t, m).plain(tr)
			for i, needed := range want.deviate(tr, m) {
				applied[i] += needed
			}
			var got *transcript
			synctest.Test(t, func(t *testing.T) { got = tr.replay(t, m) })
			equal(t, want, got.plain(tr))
		})
		all = all && ran
	}
	if !all { // the command line deselected some scenarios
		return
	}
	for i, d := range deviations {
		if d.where&m != 0 {
			require.NotZero(t, applied[i], "no trace needs this deviation; delete it: %s, %s", d.ref, d.why)
		}
	}
	for _, s := range skipped {
		if s.where&m != 0 {
			require.NotZero(t, matches(traces, s), "no trace has such an entry; delete this skip: %s", s.why)
		}
	}
}

// deviate applies the deviations to the expected transcript. It reports 1 for each
// deviation that changed the transcript. The comparison is exact, so the test would
// fail without such a deviation.
func (ts *transcript) deviate(tr *trace, m mode) (needed []int) {
	before := ts.lines()
	needed = make([]int, len(deviations))
	for i, d := range deviations {
		if d.where&m == 0 || d.trace != "" && d.trace != tr.Name {
			continue
		}
		d.edit(ts)
		if after := ts.lines(); !slices.Equal(before, after) {
			before, needed[i] = after, 1
		}
	}
	return needed
}
