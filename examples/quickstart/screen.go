package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/nodebus/nodebus"
)

// screen prints a line for each event and, on a terminal, keeps a bar below them
// for each node that runs.
type screen struct {
	out   io.Writer
	names map[string]string // class by node
	bars  bool
	runs  []bar
	drawn int // bars on the screen
}

type bar struct {
	node       string
	value, max float64
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

func (s *screen) line(event, node, about string) {
	s.clear()
	if node != "" {
		node += " " + s.names[node]
	}
	fmt.Fprintln(s.out, strings.TrimRight(fmt.Sprintf("  %-16s %-12s %s", event, node, about), " "))
	s.draw()
}

func (s *screen) executing(_ nodebus.Event, p nodebus.Executing) {
	if p.Node == "" {
		s.runs = nil
		s.line("closed", "", "")
		return
	}
	s.runs = append(s.runs, bar{p.Node, 0, 1})
	s.line("executing", p.Node, "")
}

func (s *screen) progress(_ nodebus.Event, p nodebus.Progress) {
	for i := range s.runs {
		if s.runs[i].node == p.Node {
			s.runs[i] = bar{p.Node, p.Value, p.Max}
		}
	}
	s.line("progress", p.Node, fmt.Sprintf("%g of %g", p.Value, p.Max))
}

func (s *screen) draw() {
	if !s.bars {
		return
	}
	if n := len(s.runs); n > 4 { // nodes say when they begin, and the last few are enough
		s.runs = s.runs[n-4:]
	}
	for _, b := range s.runs {
		full := int(30 * b.value / b.max)
		fmt.Fprintf(s.out, "  %-12s [%s%s]\n", b.node+" "+s.names[b.node], strings.Repeat("█", full), strings.Repeat("·", 30-full))
	}
	s.drawn = len(s.runs)
}

// clear takes the bars away.
func (s *screen) clear() {
	for ; s.drawn > 0; s.drawn-- {
		fmt.Fprint(s.out, "\x1b[1A\x1b[2K")
	}
}
