package main

import (
	"os"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

// TestMeasure does a little of all work with every peer: each gives one line with its figures.
// The backends of NATS differ only in their servers, and most of the time, the disk is waited
// for. With -short, the phases are fewer.
func TestMeasure(t *testing.T) {
	all := map[string]string{"bolt": "", "nats": "one-event", "nats-unsynced": "", "nats-cluster": "open-new"}
	if testing.Short() {
		all = map[string]string{"bolt": "", "nats-unsynced": "submit,events,resume,fanout,open-new,grow-take,grow-events"}
	}
	for name, only := range all {
		t.Run(name, func(t *testing.T) {
			var out strings.Builder
			require.NoError(t, measureAll([]string{"-dir", t.TempDir(), "-backend", name, "-phases", only}, &out))
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			require.Equal(t, header, lines[0])
			want := 0
			for _, p := range phases(&options{backend: backendOf(name)}) {
				if only == "" || strings.Contains(","+only+",", ","+p.name+",") {
					want += len(p.peers)
				}
			}
			require.Len(t, lines[1:], want)
			for _, line := range lines[1:] {
				require.Regexp(t, `^[a-z0-9-]+,\d+,0,[a-z-]+,us=[0-9.e+-]+,cpu_us=[0-9.e+-]+(,bytes=\d+)?$`, line)
			}
		})
	}
}

// TestErrors: what fails is named.
func TestErrors(t *testing.T) {
	require.ErrorContains(t, measureAll([]string{"-dir", t.TempDir() + "/absent", "-phases", "submit"}, &strings.Builder{}), "submit 1")
	require.Error(t, measureAll([]string{"-unknown"}, &strings.Builder{}))
	require.ErrorContains(t, measureAll([]string{"-backend", "paper"}, &strings.Builder{}), "paper")
}
