//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
)

// The peers of the groups, in the order in which they are measured. A peer stands beside the
// peer that it is compared with, because the machine changes from one minute to the next.
var (
	streams = []string{"raw-sse", "nodebus-sse", "centrifuge-sse"}
	fanout  = []string{"nodebus", "raw-shard", "nodebus-watch", "centrifuge", "gws", "melody", "coder", "coder-batch"}
	each    = []string{"nodebus-each", "raw-each", "centrifuge-each"}
	logs    = []string{"nodebus-log", "raw-log"}
	runners = []string{"limit-observed", "nodebus", "nodebus-silent", "nodebus-submitted", "goroutine-per-node"}
)

// table is one table. The cell of base is its value, and all other cells are ratios to it.
// If base is empty, all cells are values.
type table struct {
	title string
	unit  string
	base  string
	ours  string
	peers []string
	rows  []row
}

// row is one figure of all peers.
type row struct {
	phase, size, column string
	goal                float64 // the highest value for ours; 0 means no goal
}

// tables returns all tables, with the goals.
func tables(o *options) []table {
	clients, one := []string{"10", "100"}, "100"
	if o.long {
		clients, one = []string{"100", "1000", "5000"}, "1000"
	}
	cpu := func(sizes []string, goals map[string]float64) (rows []row) {
		for _, phase := range []string{"blast", "burst10", "paced"} {
			for _, n := range sizes {
				rows = append(rows, row{phase, n, "cpu_s_per_M", goals[phase]})
			}
		}
		return rows
	}
	var idle []row
	for _, n := range clients {
		r := row{"idle", n, "rss", 9 << 10}
		if len(n) < 4 {
			r.goal = 0 // with few clients, what the process itself needs hides what a client needs
		}
		idle = append(idle, r)
	}
	const million = "CPU-seconds of the server per million deliveries"
	return []table{
		{"Fan-out over WebSocket", million, "raw-shard", "nodebus", fanout, cpu(clients, map[string]float64{"blast": 1.5, "burst10": 1.2, "paced": 1.1})},
		{"Event streams beside WebSocket", million, "nodebus", "nodebus-sse", append([]string{"nodebus"}, streams...), cpu(clients, map[string]float64{"blast": 1.3, "burst10": 1.3, "paced": 1.3})},
		{"Idle clients", "resident bytes per client", "", "nodebus", append(fanout[:len(fanout):len(fanout)], streams...), idle},
		{"The publisher's own time, mean", "µs per event", "", "nodebus", fanout, publisher(one, "publish_us")},
		{"The publisher's own time, median", "µs per event", "", "nodebus", fanout, publisher(one, "publish_p50_us")},
		{"Each event for one client", million, "raw-each", "nodebus-each", each, cpu([]string{one}, map[string]float64{"blast": 2, "burst10": 2, "paced": 2})},
		{"One client comes back, CPU of the server", "ms per client", "", "nodebus-log", logs, []row{
			{"resume", one, "cpu_ms", 1}, {"connect", one, "cpu_ms", 0},
		}},
		{"All clients come back at once, until each has what it missed", "ms", "", "nodebus-log", logs, []row{
			{"reconnect", one, "wall_ms", 500}, {"connect-all", one, "wall_ms", 500},
		}},
		{"Graphs", "CPU-ns per node", "limit-observed", "nodebus", runners, graphs(o, "cpu_ns_node", 0)},
		{"Graphs", "CPU-ns per node", "", "nodebus", runners, graphs(o, "cpu_ns_node", 1500)},
		{"Graphs", "allocations per node", "", "nodebus", runners, graphs(o, "allocs_node", 2)},
	}
}

// publisher returns the rows of the time that a publisher spends. Programs that interrupt it
// raise the mean, and hardly the median.
func publisher(clients, column string) []row {
	return []row{{"paced", clients, column, 40}, {"burst10", clients, column, 5}}
}

func graphs(o *options, column string, goal float64) []row {
	if !o.long {
		return []row{{"chain", "100", column, goal}, {"wide", "101", column, goal}}
	}
	return []row{
		{"chain", "1000", column, goal},
		{"wide", "1001", column, goal},
		{"layered", "10000", column, goal},
		{"chain", "100000", column, goal},
		{"wide", "100001", column, goal},
	}
}

// print prints the table as Markdown. It leaves out peers and rows without figures.
func (t *table) print(out io.Writer, all *results) {
	var peers []string
	for _, p := range t.peers {
		for _, r := range t.rows {
			if len(all.get(r.of(p), "")) > 0 {
				peers = append(peers, p)
				break
			}
		}
	}
	if len(peers) == 0 {
		return
	}
	fmt.Fprintf(out, "\n%s: %s", t.title, t.unit)
	if t.base != "" {
		fmt.Fprintf(out, "; ×: ratio to %s", t.base)
	}
	fmt.Fprintf(out, "\n\n| | %s | goal for %s |\n|---|%s:-:|\n", strings.Join(peers, " | "), t.ours, strings.Repeat("--:|", len(peers)))
	for _, r := range t.rows {
		fmt.Fprintf(out, "| %s %s |", r.phase, r.size)
		for _, p := range peers {
			fmt.Fprintf(out, " %s |", t.cell(r.of(p), all))
		}
		fmt.Fprintf(out, " %s |\n", t.verdict(r, all))
	}
}

func (r row) of(peer string) figure { return figure{r.phase, r.size, r.column, peer} }

func (t *table) cell(f figure, all *results) string {
	base, sign := t.base, "×"
	if base == f.peer || base == "" {
		base, sign = "", ""
	}
	v := all.get(f, base)
	switch len(v) {
	case 0:
		return "–"
	case 1:
		return sign + short(v[0])
	}
	return fmt.Sprintf("%s%s (%s–%s)", sign, short(median(v)), short(v[0]), short(v[len(v)-1]))
}

// verdict returns the goal and, if the figures mean something, whether the median of ours
// reaches it.
func (t *table) verdict(r row, all *results) string {
	v := all.get(r.of(t.ours), t.base)
	if r.goal == 0 || len(v) == 0 {
		return "–"
	}
	if !all.long {
		return "≤ " + short(r.goal)
	}
	word := "missed"
	if median(v) <= r.goal {
		word = "reached"
	}
	return fmt.Sprintf("≤ %s: %s", short(r.goal), word)
}

// short formats f with three significant digits.
func short(f float64) string {
	switch a := max(f, -f); {
	case a == 0:
		return "0"
	case a >= 10e3:
		return fmt.Sprintf("%.1f k", f/1e3)
	case a >= 100:
		return fmt.Sprintf("%.0f", f)
	case a >= 10:
		return fmt.Sprintf("%.1f", f)
	case a >= 0.1:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}
