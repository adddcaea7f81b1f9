package golden_test

import (
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"
)

// TestGolden runs every recorded scenario of the reference server here, and
// compares what each client is sent and what each request is answered. What
// deviations does not list has to be the same.
func TestGolden(t *testing.T) {
	traces := loadTraces(t)
	applied := make([]int, len(deviations))
	all := true
	for _, tr := range traces {
		ran := false
		t.Run(tr.Name, func(t *testing.T) {
			ran = true
			want := tr.recorded(t).plain(tr)
			for i, d := range deviations {
				if d.trace == "" || d.trace == tr.Name {
					applied[i] += want.deviate(d.edit)
				}
			}
			var got *transcript
			synctest.Test(t, func(t *testing.T) { got = tr.replay(t) })
			equal(t, want, got.plain(tr))
		})
		all = all && ran
	}
	if !all { // some were deselected on the command line
		return
	}
	for i, d := range deviations {
		require.NotZero(t, applied[i], "no trace needs this deviation: %s, %s", d.ref, d.why)
	}
	for _, s := range skipped {
		require.NotZero(t, matches(traces, s), "no trace has this: %s", s.why)
	}
}

// deviate edits what is expected. It reports 1 if that changes something; as
// what is expected is then compared to the letter, the edit is needed.
func (ts *transcript) deviate(edit edit) int {
	before := ts.lines()
	edit(ts)
	if slices.Equal(before, ts.lines()) {
		return 0
	}
	return 1
}
