package main

import (
	"bufio"
	"io"
	"slices"
	"strconv"
	"strings"
)

// readCSV calls f for each line, with the names of the last header and the cells of the
// line. first is the name of the first column; it identifies a header.
func readCSV(in io.Reader, first string, f func(names, cells []string)) error {
	var names []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		cells := strings.Split(lines.Text(), ",")
		if cells[0] == first {
			names = cells
		} else if len(cells) >= 4 {
			f(names, cells)
		}
	}
	return lines.Err()
}

// readWS reads the output of wsload: one table for each phase and number of clients. The
// cells of an idle phase contain their own names, as name=value.
func readWS(t *tables, in io.Reader) error {
	return readCSV(in, "kind", func(names, cells []string) {
		named := strings.Contains(strings.Join(cells, ""), "=")
		for i, c := range cells[4:] {
			name, value, own := strings.Cut(c, "=")
			if !own {
				name, value = "", c
				if i+4 < len(names) && !named {
					name = names[i+4]
				}
			}
			t.add(cells[3]+", "+cells[1]+" clients", cells[0], name, value)
		}
	})
}

// readDAG reads the output of dag: one table for each graph.
func readDAG(t *tables, in io.Reader) error {
	return readCSV(in, "runner", func(names, cells []string) {
		for i, c := range cells {
			if i >= 5 && i < len(names) {
				t.add(cells[1]+", "+cells[2]+" nodes, "+cells[3]+" edges", cells[0], names[i], c)
			}
		}
	})
}

// readBench reads the output of go test -bench: one table for each benchmark, and one
// row for each peer=NAME in the benchmark's name. The main column is the first unit that
// counts CPU time, or the first unit if no unit does.
func readBench(t *tables, in io.Reader) error {
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 4 || !strings.HasPrefix(f[0], "Benchmark") {
			continue
		}
		var table []string
		row := ""
		for part := range strings.SplitSeq(withoutProcs(f[0]), "/") {
			if peer, ok := strings.CutPrefix(part, "peer="); ok {
				row = peer
			} else {
				table = append(table, part)
			}
		}
		var values, units []string
		for i := 2; i+1 < len(f); i += 2 {
			values, units = append(values, f[i]), append(units, f[i+1])
		}
		if cpu := slices.IndexFunc(units, func(u string) bool { return strings.HasPrefix(u, "cpu-ns") }); t.main == "" {
			t.main = units[max(cpu, 0)]
		}
		for i, u := range units {
			t.add(strings.Join(table, " "), row, u, values[i])
		}
	}
	return lines.Err()
}

// withoutProcs removes the number of processors from the name of a benchmark.
func withoutProcs(name string) string {
	i := strings.LastIndexByte(name, '-')
	if i < 0 {
		return name
	}
	if _, err := strconv.Atoi(name[i+1:]); err != nil {
		return name
	}
	return name[:i]
}
