//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/nodebus/nodebus/internal/leak"
	"github.com/stretchr/testify/require"
)

func TestMain(m *testing.M) { os.Exit(leak.Main(m)) }

const wsHeader = "kind,clients,rep,phase,deliveries,lost,cpu_s_per_M,other_cores,closed\n"

// TestTables checks that a ratio is between two peers of one repetition, and that a goal
// is compared with the median of the ratios.
func TestTables(t *testing.T) {
	all := newResults(true)
	for rep, out := range []string{
		wsHeader + "us,5,0,blast,10,0,3,0.5,0\nlimit,5,0,blast,10,0,1,0.1,0\n",
		wsHeader + "us,5,0,blast,10,0,8,0,0\nlimit,5,0,blast,10,0,4,0.2,0\nus,5,0,idle,5,0,rss=7\n",
		"runner,graph,nodes,edges,rep,build_ns_node\nus,chain,3,2,0,12345\n",
	} {
		require.NoError(t, all.read(strings.NewReader(out), rep))
	}
	rows := []row{{"blast", "5", "cpu_s_per_M", 2.5}, {"blast", "6", "cpu_s_per_M", 2}, {"idle", "5", "rss", 6}, {"chain", "3", "build_ns_node", 0}}
	var out strings.Builder
	(&table{"Title", "s", "limit", "us", []string{"us", "limit", "absent"}, rows[:2]}).print(&out, all)
	(&table{"Other", "bytes", "", "us", []string{"us"}, rows[2:]}).print(&out, all)
	(&table{"Nothing", "bytes", "", "us", []string{"absent"}, rows}).print(&out, all)
	require.Equal(t, `
Title: s; ×: ratio to limit

| | us | limit | goal for us |
|---|--:|--:|:-:|
| blast 5 | ×2.50 (2.00–3.00) | 2.50 (1.00–4.00) | ≤ 2.50: reached |
| blast 6 | – | – | – |

Other: bytes

| | us | goal for us |
|---|--:|:-:|
| idle 5 | 7.00 | ≤ 6.00: missed |
| chain 3 | 12.3 k | – |
`, out.String())
	require.Equal(t, "0.2 (at most 0.5) of the", all.others())
	require.NoError(t, all.lost())

	all.long = false
	out.Reset()
	(&table{"Short", "bytes", "", "us", []string{"us"}, rows[2:3]}).print(&out, all)
	require.Contains(t, out.String(), "| 7.00 | ≤ 6.00 |", "a short run says nothing about a goal")
}

// TestLost: whoever loses a message or closes a connection is named.
func TestLost(t *testing.T) {
	for _, line := range []string{"us,5,0,blast,10,2,3,0.5,0", "us,5,0,blast,10,0,3,0.5,1"} {
		all := newResults(true)
		require.NoError(t, all.read(strings.NewReader(wsHeader+line), 1))
		require.ErrorContains(t, all.lost(), "us, 5 clients, blast, repetition 1")
	}
}

func TestUnexpectedOutput(t *testing.T) {
	for _, out := range []string{"us,5,0,blast,10", wsHeader + "us,5", wsHeader + "us,5,0,blast,x"} {
		require.Error(t, newResults(true).read(strings.NewReader(out), 0), out)
	}
}

// TestGroups: each figure in the tables is measured, in the short form and in the long form.
func TestGroups(t *testing.T) {
	for _, long := range []bool{false, true} {
		o := &options{long: long}
		var args string
		for _, g := range groups(o) {
			args += " " + strings.Join(g.args, " ")
		}
		for _, tab := range tables(o) {
			for _, r := range tab.rows {
				size, err := strconv.Atoi(r.size)
				require.NoError(t, err)
				if r.phase == "wide" {
					size-- // the last node waits for all others
				}
				require.Regexp(t, fmt.Sprintf("[ ,:]%d[ ,]", size), args+" ", "%s %s", tab.title, r.phase)
			}
		}
	}
}

// TestRead prints what an earlier run has kept. A repetition that is not complete does not
// count.
func TestRead(t *testing.T) {
	folder := t.TempDir()
	write := func(name, text string) {
		require.NoError(t, os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600))
	}
	write("each-0.csv", wsHeader+"nodebus-each,1000,0,blast,10,0,6,0,0\nraw-each,1000,0,blast,10,0,2,0,0\n")
	write("log-0.csv", wsHeader+"nodebus-log,1000,0,resume,10,0,cpu_ms=0.7\n")
	write("each-1.csv", wsHeader+"nodebus-each,1000,0,blast,10,0,60,0,0\nraw-each,1000,0,blast,10,0,2,0,0\n")
	var out strings.Builder
	require.NoError(t, run([]string{"-long", "-read", "-only", "each,log", "-o", folder}, &out))
	require.Contains(t, out.String(), "| blast 1000 | ×3.00 | 2.00 | ≤ 2.00: missed |")
	require.Contains(t, out.String(), "| resume 1000 | 0.70 | ≤ 1.00: reached |")
	require.NoError(t, os.Remove(filepath.Join(folder, "log-0.csv")))
	require.ErrorIs(t, run([]string{"-read", "-only", "each,log", "-o", folder}, &out), os.ErrNotExist)
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-long", "-only", "log,dag", "-o", "folder"})
	require.NoError(t, err)
	require.Equal(t, options{long: true, reps: 3, only: []string{"log", "dag"}, folder: "folder"}, o)
	o, err = parse(nil)
	require.NoError(t, err)
	require.Equal(t, options{reps: 1}, o)
	_, err = parse([]string{"-only", "other"})
	require.ErrorContains(t, err, "other")
}
