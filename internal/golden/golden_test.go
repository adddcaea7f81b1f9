package golden_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// mode is where a scenario is replayed; several of them, where a deviation holds.
type mode uint

const (
	core   mode = 1 << iota // on an engine and a hub
	safe                    // on a server, over HTTP and WebSocket
	legacy                  // on a server with Options.LegacyBroadcasts

	served   = safe | legacy
	isolated = core | safe
	anywhere = core | served
)

// TestGolden runs every recorded scenario of the reference server here, and
// compares what each client is sent and what each request is answered. What
// deviations does not list has to be the same. Those in which nothing runs are
// about servers.
func TestGolden(t *testing.T) {
	compare(t, core, func(tr *trace) bool { return len(tr.Prompts) > 0 })
}

// TestGoldenServer does the same from outside, over HTTP and WebSocket.
func TestGoldenServer(t *testing.T) {
	compare(t, safe, func(*trace) bool { return true })
}

// TestGoldenLegacyBroadcasts does it with a server that tells everyone as much
// as the reference does.
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
	if !all { // some were deselected on the command line
		return
	}
	for i, d := range deviations {
		if d.where&m != 0 {
			require.NotZero(t, applied[i], "no trace needs this deviation: %s, %s", d.ref, d.why)
		}
	}
	for _, s := range skipped {
		if s.where&m != 0 {
			require.NotZero(t, matches(traces, s), "no trace has this: %s", s.why)
		}
	}
}

// deviate edits what is expected. For each deviation it reports 1 if that changes
// something; as what is expected is then compared to the letter, it is needed.
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
