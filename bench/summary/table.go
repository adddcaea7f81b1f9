package main

import (
	"bytes"
	"fmt"
	"io"
	"slices"
	"strconv"
)

// tables holds all figures by table, row and column. Tables, rows and columns are in the
// order of their first figure.
type tables struct {
	limit, main string
	list        []*table
}

type table struct {
	name    string
	columns []string
	rows    []*row
}

type row struct {
	name  string
	cells map[string][]float64
}

// add adds a figure. It ignores a value that is not a number, and a column without a name.
func (t *tables) add(tableName, rowName, column, value string) {
	v, err := strconv.ParseFloat(value, 64)
	if err != nil || column == "" {
		return
	}
	i := slices.IndexFunc(t.list, func(o *table) bool { return o.name == tableName })
	if i < 0 {
		i = len(t.list)
		t.list = append(t.list, &table{name: tableName})
	}
	tab := t.list[i]
	if !slices.Contains(tab.columns, column) {
		tab.columns = append(tab.columns, column)
	}
	r := tab.row(rowName)
	if r == nil {
		r = &row{rowName, map[string][]float64{}}
		tab.rows = append(tab.rows, r)
	}
	r.cells[column] = append(r.cells[column], v)
}

func (tab *table) row(name string) *row {
	for _, r := range tab.rows {
		if r.name == name {
			return r
		}
	}
	return nil
}

func (t *tables) print(out io.Writer) error {
	var b bytes.Buffer
	for _, tab := range t.list {
		base := 0.0
		if r := tab.row(t.limit); r != nil {
			base = median(r.cells[t.main])
		}
		fmt.Fprintf(&b, "\n%s\n\n| peer | runs |", tab.name)
		for _, c := range tab.columns {
			fmt.Fprintf(&b, " %s |", c)
			if c == t.main && base > 0 {
				b.WriteString(" × limit |")
			}
		}
		b.WriteString("\n|---|--:|")
		for _, c := range tab.columns {
			b.WriteString("--:|")
			if c == t.main && base > 0 {
				b.WriteString("--:|")
			}
		}
		b.WriteString("\n")
		for _, r := range tab.rows {
			t.printRow(&b, tab, r, base)
		}
	}
	_, err := out.Write(b.Bytes())
	return err
}

func (t *tables) printRow(b *bytes.Buffer, tab *table, r *row, base float64) {
	runs := 0
	for _, v := range r.cells {
		runs = max(runs, len(v))
	}
	fmt.Fprintf(b, "| %s | %d |", r.name, runs)
	for _, c := range tab.columns {
		v := r.cells[c]
		switch {
		case len(v) == 0:
			b.WriteString(" – |")
		case c == t.main && len(v) > 1:
			fmt.Fprintf(b, " %s (%s–%s) |", short(median(v)), short(slices.Min(v)), short(slices.Max(v)))
		default:
			fmt.Fprintf(b, " %s |", short(median(v)))
		}
		if c == t.main && base > 0 {
			fmt.Fprintf(b, " %.2f |", median(v)/base)
		}
	}
	b.WriteString("\n")
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	return (s[n/2] + s[(n-1)/2]) / 2
}

// short formats f with three significant digits.
func short(f float64) string {
	switch a := max(f, -f); {
	case a == 0:
		return "0"
	case a >= 1e6:
		return fmt.Sprintf("%.2f M", f/1e6)
	case a >= 10e3:
		return fmt.Sprintf("%.0f k", f/1e3)
	case a >= 100:
		return fmt.Sprintf("%.0f", f)
	case a >= 10:
		return fmt.Sprintf("%.1f", f)
	case a >= 1:
		return fmt.Sprintf("%.2f", f)
	}
	return fmt.Sprintf("%.3f", f)
}
