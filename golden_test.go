package nodebus_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestGolden runs every recorded scenario of the reference server here, and
// compares what each client is sent and what each request is answered. What
// goldenDeviations does not list has to be the same.
func TestGolden(t *testing.T) {
	traces := goldenTraces(t)
	applied := make([]int, len(goldenDeviations))
	all := true
	for _, tr := range traces {
		ran := false
		t.Run(tr.Name, func(t *testing.T) {
			ran = true
			want := tr.recorded(t).plain(tr)
			for i, d := range goldenDeviations {
				if d.trace == "" || d.trace == tr.Name {
					applied[i] += want.deviate(d.edit)
				}
			}
			var got *goldenTranscript
			synctest.Test(t, func(t *testing.T) { got = tr.replay(t) })
			goldenEqual(t, want, got.plain(tr))
		})
		all = all && ran
	}
	if !all { // some were deselected on the command line
		return
	}
	for i, d := range goldenDeviations {
		require.NotZero(t, applied[i], "no trace needs this deviation: %s, %s", d.ref, d.why)
	}
	for _, s := range goldenSkipped {
		require.NotZero(t, goldenMatches(traces, s), "no trace has this: %s", s.why)
	}
}

// deviate edits what is expected. It reports 1 if that changes something; as
// what is expected is then compared to the letter, the edit is needed.
func (ts *goldenTranscript) deviate(edit goldenEdit) int {
	before := ts.lines()
	edit(ts)
	if slices.Equal(before, ts.lines()) {
		return 0
	}
	return 1
}
