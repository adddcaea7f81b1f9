//go:build linux

package main

import (
	"bufio"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// figure identifies a figure of a peer.
type figure struct {
	phase  string // or the graph
	size   string // number of clients or nodes
	column string
	peer   string
}

// results holds the value of each figure in each repetition.
type results struct {
	values map[figure]map[int]float64
	long   bool // the figures mean something
}

func newResults(long bool) *results { return &results{map[figure]map[int]float64{}, long} }

// read adds the output of wsload or dag in one repetition.
func (r *results) read(in io.Reader, rep int) error {
	var names []string
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		cells := strings.Split(lines.Text(), ",")
		if cells[0] == "kind" || cells[0] == "runner" {
			names = cells
			continue
		}
		if len(names) == 0 || len(cells) < 5 {
			return fmt.Errorf("unexpected line %q", lines.Text())
		}
		f := figure{phase: cells[3], size: cells[1], peer: cells[0]}
		if names[0] == "runner" {
			f.phase, f.size = cells[1], cells[2]
		}
		for i, cell := range cells[4:] {
			name, value, own := strings.Cut(cell, "=")
			if !own {
				name, value = names[i+4], cell
			}
			v, err := strconv.ParseFloat(value, 64)
			if err != nil {
				return fmt.Errorf("%s in line %q: %w", name, lines.Text(), err)
			}
			f.column = name
			r.set(f, rep, v)
		}
	}
	return lines.Err()
}

func (r *results) set(f figure, rep int, v float64) {
	if r.values[f] == nil {
		r.values[f] = map[int]float64{}
	}
	r.values[f][rep] = v
}

// get returns the values of a figure. If base is not empty, it returns the ratios to the
// same figure of base in the same repetition.
func (r *results) get(f figure, base string) (values []float64) {
	limit := f
	limit.peer = base
	for rep, v := range r.values[f] {
		if base == "" {
			values = append(values, v)
		} else if d := r.values[limit][rep]; d > 0 {
			values = append(values, v/d)
		}
	}
	slices.Sort(values)
	return values
}

// others returns the median and the maximum of the processors that other programs used.
func (r *results) others() string {
	var values []float64
	for f, v := range r.values {
		if f.column == "other_cores" {
			values = slices.AppendSeq(values, maps.Values(v))
		}
	}
	if len(values) == 0 {
		return "an unknown number of"
	}
	slices.Sort(values)
	return fmt.Sprintf("%.1f (at most %.1f) of the", max(median(values), 0), max(values[len(values)-1], 0))
}

// lost returns an error that names the peers that lost messages or closed connections.
func (r *results) lost() error {
	var bad []string
	for f, v := range r.values {
		for rep, n := range v {
			if (f.column == "lost" || f.column == "closed") && n != 0 {
				bad = append(bad, fmt.Sprintf("%s, %s clients, %s, repetition %d: %s: %.0f", f.peer, f.size, f.phase, rep, f.column, n))
			}
		}
	}
	if len(bad) == 0 {
		return nil
	}
	slices.Sort(bad)
	return fmt.Errorf("messages were lost or connections closed:\n%s", strings.Join(bad, "\n"))
}

func median(sorted []float64) float64 {
	n := len(sorted)
	if n == 0 {
		return 0
	}
	return (sorted[n/2] + sorted[(n-1)/2]) / 2
}
